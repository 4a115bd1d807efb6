"""Counting the votes of one round, within bounds.

Of each validator the first vote counts. A faulty one may sign several that contradict each
other and show each to somebody else; the algorithm counts such a signer for every value that
it signed (two quorums for different values still need a third of the power to be faulty),
and it has to: else who saw one vote could never be shown the quorum that another one was part
of. So a contradicting vote is kept too, but only when another validator's first vote is
for the same value. That bounds what is kept by the square of the number of validators, and a
flood of invented values by nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.messages.votes import Vote

NIL = b""
"""The value of a vote for no block."""


@dataclass(frozen=True, slots=True)
class AddedVote:
    """What came of a vote: was it kept, and which earlier one does it contradict?"""

    kept: bool
    contradicts: Vote | None = None


class VoteSet:
    """The votes of one kind in one round.

    `power` is that of all who voted; `quorum` is the value (a hash, or `NIL`) for which more
    than two thirds voted, None while there is none.
    """

    __slots__ = ("_first", "_more", "_powers", "_validators", "power", "quorum")

    def __init__(self, validators: ValidatorSet) -> None:
        self._validators = validators
        self._first: dict[bytes, Vote] = {}
        self._more: dict[tuple[bytes, bytes], Vote] = {}
        self._powers: dict[bytes, int] = {}
        self.power = 0
        self.quorum: bytes | None = None

    def add(self, vote: Vote) -> AddedVote:
        """Count a vote of a member. Knows nothing of kind or round: that is the caller's."""
        first = self._first.get(vote.public_key)
        if first is None:
            self._first[vote.public_key] = vote
            self.power += self._count(vote)
            return AddedVote(kept=True)
        place = (vote.public_key, vote.block_hash)
        if first.block_hash == vote.block_hash or place in self._more:
            return AddedVote(kept=False)
        if vote.block_hash not in self._powers:
            return AddedVote(kept=False, contradicts=first)
        self._more[place] = vote
        self._count(vote)
        return AddedVote(kept=True, contradicts=first)

    def votes(self) -> list[Vote]:
        """All votes that are kept."""
        return [*self._first.values(), *self._more.values()]

    def votes_for(self, value: bytes) -> list[Vote]:
        """The votes for one value, one of each validator."""
        return [vote for vote in self.votes() if vote.block_hash == value]

    def power_for(self, value: bytes) -> int:
        """The power that voted for one value."""
        return self._powers.get(value, 0)

    def _count(self, vote: Vote) -> int:
        validator = self._validators.by_key(vote.public_key)
        assert validator is not None, "the log lets only validators in"
        power = self._powers.get(vote.block_hash, 0) + validator.power
        self._powers[vote.block_hash] = power
        if self.quorum is None and self._validators.has_quorum(power):
            self.quorum = vote.block_hash
        return validator.power
