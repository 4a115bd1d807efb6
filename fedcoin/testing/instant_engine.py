"""A consensus engine for one validator, whose blocks are final at once.

Without prevotes and timers: build, propose, precommit, decide. Its certificates are valid, so that
tests can make a chain without a second engine.
"""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.consensus.certificates import make_certificate
from fedcoin.consensus.effects import (
    BuildBlock,
    CastVote,
    Decide,
    Effect,
    ForwardMessage,
    Message,
    SendProposal,
)
from fedcoin.consensus.message_checks import check_message, check_proposal
from fedcoin.consensus.timers import Timer
from fedcoin.consensus.validators import Validator, ValidatorSet
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.votes import PRECOMMIT, Proposal, Vote


class InstantEngine:
    """Decide one height for a set of one validator. Implements `consensus.engine.ConsensusEngine`.

    After a crash the height goes on with the proposal that was stored, or one round later when only
    a precommit was.
    """

    def __init__(
        self,
        height: int,
        validators: ValidatorSet,
        own_key: bytes | None,
        restored: Sequence[Message] = (),
    ) -> None:
        """Make an engine that has not started.

        Args:
            height: The height to decide.
            validators: The set of one validator.
            own_key: This node's public key, 32 bytes; None for a node that does not vote.
            restored: The validator's messages of this height that were stored before a crash.

        Raises:
            ValueError: There is not exactly one validator.
        """
        if len(validators) != 1:
            raise ValueError(f"{len(validators)} validators; the instant engine is for one")
        self.height = height
        self.round = 0
        self.is_started = False
        self.is_decided = False
        self._validators = validators
        self._validator: Validator = validators.members[0]
        self._own_key = own_key
        self._proposals: dict[int, Proposal] = {}
        self._precommits: dict[int, Vote] = {}
        for message in restored:
            self._keep(message)
        self.round = max((*self._proposals, *self._precommits), default=0)
        if self.round in self._precommits and self.round not in self._proposals:
            self.round += 1

    @property
    def is_under_way(self) -> bool:
        """Did the validator propose or precommit already?"""
        return bool(self._proposals or self._precommits)

    def start(self) -> list[Effect]:
        """Implement `ConsensusEngine.start`: ask for a block if this is the validator."""
        if self.is_started or self.is_decided:
            return []
        self.is_started = True
        if self._own_key == self._validator.public_key and self.round not in self._proposals:
            return [BuildBlock(self.round)]
        return self._go_on()

    def on_block_built(self, round: int, block: Block) -> list[Effect]:
        """Implement `ConsensusEngine.on_block_built`: propose the block."""
        if self.is_decided or not self.is_started or round in self._proposals:
            return []
        return [SendProposal(round, -1, block)]

    def on_proposal(self, proposal: Proposal) -> list[Effect]:
        """Implement `ConsensusEngine.on_proposal`: precommit an own proposal."""
        check_message(proposal, self.height, self._validators)
        check_proposal(proposal, self._validator)
        return self._take(proposal)

    def on_vote(self, vote: Vote) -> list[Effect]:
        """Implement `ConsensusEngine.on_vote`: decide when the precommit is for the proposal."""
        check_message(vote, self.height, self._validators)
        return self._take(vote)

    def on_timeout(self, timer: Timer) -> list[Effect]:
        """Implement `ConsensusEngine.on_timeout`: do nothing, because no timer is started."""
        return []

    def on_block_checked(self, block_hash: bytes, ok: bool) -> list[Effect]:
        """Implement `ConsensusEngine.on_block_checked`: do nothing; own blocks are not checked."""
        return []

    def messages(self) -> list[Message]:
        """Implement `ConsensusEngine.messages`: return all proposals and precommits."""
        return [*self._proposals.values(), *self._precommits.values()]

    def _take(self, message: Message) -> list[Effect]:
        if self.is_decided or not self._keep(message):
            return []
        return [ForwardMessage(message), *self._go_on()]

    def _keep(self, message: Message) -> bool:
        """Keep the first proposal and the first precommit of each round; ignore other messages."""
        if isinstance(message, Proposal):
            return self._proposals.setdefault(message.round, message) is message
        if message.kind != PRECOMMIT or not message.block_hash:
            return False
        return self._precommits.setdefault(message.round, message) is message

    def _go_on(self) -> list[Effect]:
        for round, proposal in self._proposals.items():
            precommit = self._precommits.get(round)
            if precommit is not None and precommit.block_hash == proposal.block_hash:
                self.is_decided = True
                certificate = make_certificate([precommit])
                return [Decide(proposal.block, certificate, round)]
        is_own = self._own_key == self._validator.public_key
        current = self._proposals.get(self.round)
        has_precommitted = self.round in self._precommits
        if is_own and self.is_started and current is not None and not has_precommitted:
            return [CastVote(PRECOMMIT, self.round, current.block_hash)]
        return []
