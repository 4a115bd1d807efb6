"""An engine for one validator: what it builds is final. It serves tests.

There are no prevotes and no timers: build, propose, precommit, decide. Its certificates are
as good as any.
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
from fedcoin.data.messages.votes import PRECOMMIT, Proposal, Vote


class InstantEngine:
    """Decides one height for a set of one validator, here (`own_key` is its key) or elsewhere.

    `restored` are the own messages of this height found on disk. After a crash the height
    goes on with the proposal that was written, or one round later when there is none.
    Raises `ValueError` when there is not exactly one validator.
    """

    def __init__(
        self,
        height: int,
        validators: ValidatorSet,
        own_key: bytes | None,
        restored: Sequence[Message] = (),
    ) -> None:
        if len(validators) != 1:
            raise ValueError(f"the instant engine is for one validator, not {len(validators)}")
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
        """Has the validator begun this height?"""
        return bool(self._proposals or self._precommits)

    def start(self) -> list[Effect]:
        """Ask for a block, if this is the validator and it has none."""
        if self.is_started or self.is_decided:
            return []
        self.is_started = True
        if self._own_key == self._validator.public_key and self.round not in self._proposals:
            return [BuildBlock(self.round)]
        return self._go_on()

    def on_block_built(self, round: int, block_hash: bytes, raw: bytes) -> list[Effect]:
        """Propose the block."""
        if self.is_decided or not self.is_started or round in self._proposals:
            return []
        return [SendProposal(round, -1, block_hash, raw)]

    def on_proposal(self, proposal: Proposal) -> list[Effect]:
        """Precommit an own proposal. Raises `Refusal` as `TendermintEngine` does."""
        check_message(proposal, self.height, self._validators)
        check_proposal(proposal, self._validator)
        return self._take(proposal)

    def on_vote(self, vote: Vote) -> list[Effect]:
        """Decide on a precommit. Raises `Refusal` as `TendermintEngine` does."""
        check_message(vote, self.height, self._validators)
        return self._take(vote)

    def on_timeout(self, timer: Timer) -> list[Effect]:
        """There are no timers."""
        return []

    def on_block_checked(self, block_hash: bytes, ok: bool) -> list[Effect]:
        """There are no checks: the one validator trusts itself."""
        return []

    def messages(self) -> list[Message]:
        """All that was said."""
        return [*self._proposals.values(), *self._precommits.values()]

    def _take(self, message: Message) -> list[Effect]:
        if self.is_decided or not self._keep(message):
            return []
        return [ForwardMessage(message), *self._go_on()]

    def _keep(self, message: Message) -> bool:
        """Keep one proposal and one precommit; a validator that is alone has no more to say."""
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
                return [Decide(proposal.block_hash, proposal.block, certificate, round)]
        mine = self._own_key == self._validator.public_key
        now = self._proposals.get(self.round)
        if mine and self.is_started and now is not None and self.round not in self._precommits:
            return [CastVote(PRECOMMIT, self.round, now.block_hash)]
        return []
