"""What a message must be before voting looks at it. Its signature was checked before."""

from __future__ import annotations

from fedcoin.consensus.effects import Message
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import Proposal


def check_message(message: Message, height: int, validators: ValidatorSet) -> None:
    """Refuse (WRONG_HEIGHT, NOT_A_VALIDATOR) what does not belong to this height."""
    if message.height != height:
        raise RefusalError(
            ConsensusCode.WRONG_HEIGHT,
            f"height is {message.height}; {height} is being decided",
            field="height",
            limit=str(height),
        )
    if validators.by_key(message.public_key) is None:
        raise RefusalError(
            ConsensusCode.NOT_A_VALIDATOR,
            f"public_key {message.public_key.hex()} is no validator's at height {height}",
            field="public_key",
        )


def check_proposal(proposal: Proposal, proposer: Validator) -> None:
    """Refuse (WRONG_PROPOSER, WRONG_VALID_ROUND) a proposal that cannot be a correct one."""
    if proposal.public_key != proposer.public_key:
        raise RefusalError(
            ConsensusCode.WRONG_PROPOSER,
            f"public_key {proposal.public_key.hex()} may not propose in round {proposal.round}; "
            f"it is the turn of {proposer.public_key.hex()}",
            field="public_key",
        )
    if not -1 <= proposal.valid_round < proposal.round:
        raise RefusalError(
            ConsensusCode.WRONG_VALID_ROUND,
            f"valid_round is {proposal.valid_round}; it must be below round {proposal.round}",
            field="valid_round",
            limit=str(proposal.round - 1),
        )
