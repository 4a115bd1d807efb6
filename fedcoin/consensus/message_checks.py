"""Checks of a message before an engine takes it in. Its signature was verified before."""

from __future__ import annotations

from fedcoin.consensus.effects import Message
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.votes import Proposal


def check_message(message: Message, height: int, validators: ValidatorSet) -> None:
    """Check that a message is for a height and by one of its validators.

    Args:
        message: The message.
        height: The height that is being decided.
        validators: The validators of the height.

    Raises:
        RefusalError: WRONG_HEIGHT when it is for another height, NOT_A_VALIDATOR when its key is
            not a validator's.
    """
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
            f"public_key {message.public_key.hex()} is not that of a validator at height {height}",
            field="public_key",
        )


def check_proposal(proposal: Proposal, proposer: Validator) -> None:
    """Check that a proposal may come from a correct proposer.

    Args:
        proposal: The proposal.
        proposer: The proposer of its round.

    Raises:
        RefusalError: WRONG_PROPOSER when another validator signed it, WRONG_VALID_ROUND when its
            valid round is not before its round, WRONG_BLOCK_ROUND when a new block was not built
            for this round, or a block that is proposed again was built after its valid round.
    """
    if proposal.public_key != proposer.public_key:
        raise RefusalError(
            ConsensusCode.WRONG_PROPOSER,
            f"public_key {proposal.public_key.hex()} may not propose in round {proposal.round}; "
            f"the proposer is {proposer.public_key.hex()}",
            field="public_key",
        )
    if not -1 <= proposal.valid_round < proposal.round:
        raise RefusalError(
            ConsensusCode.WRONG_VALID_ROUND,
            f"valid_round is {proposal.valid_round}; it must be below round {proposal.round}",
            field="valid_round",
            limit=str(proposal.round - 1),
        )
    built, is_new = proposal.block.header.round, proposal.valid_round < 0
    limit = proposal.round if is_new else proposal.valid_round
    if built > limit or (is_new and built < limit):
        raise RefusalError(
            ConsensusCode.WRONG_BLOCK_ROUND,
            f"block.header.round is {built}; with valid_round {proposal.valid_round}, a proposal of"
            f" round {proposal.round} needs a block {'of' if is_new else 'up to'} round {limit}",
            field="block.header.round",
            limit=str(limit),
        )
