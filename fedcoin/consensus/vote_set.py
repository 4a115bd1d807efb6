"""The votes of one kind in one round, counted within bounds.

Each validator's first vote is counted. A faulty validator may sign conflicting votes and show each
to other peers. The algorithm counts such a validator for every value that it signed: two quorums
for different values still require a third of the power to be faulty. It has to, because otherwise
a node that saw one vote could never accept the quorum that the other vote is part of.

So a conflicting vote is stored too, but only when another validator's first vote is for the same
value. This bounds the memory by the square of the number of validators, and a flood of invented
values takes none.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.messages.votes import Vote

NIL = b""
"""The value of a vote for nil (no block)."""


@dataclass(frozen=True, slots=True)
class AddedVote:
    """The result of adding a vote."""

    is_new: bool
    """Whether the vote was stored now."""
    conflicting: Vote | None = None
    """An earlier vote of the same validator for another value."""


class VoteSet:
    """The votes of one kind in one round.

    Attributes:
        power: The power of all validators that voted, in sap.
        quorum: The value, a block hash or `NIL`, that more than two thirds of the power voted
            for; None while there is none.
    """

    __slots__ = ("_conflicting", "_first", "_powers", "_validators", "power", "quorum")

    def __init__(self, validators: ValidatorSet) -> None:
        """Make an empty set.

        Args:
            validators: The validators of the height.
        """
        self._validators = validators
        self._first: dict[bytes, Vote] = {}
        self._conflicting: dict[tuple[bytes, bytes], Vote] = {}
        self._powers: dict[bytes, int] = {}
        self.power = 0
        self.quorum: bytes | None = None

    def add(self, vote: Vote) -> AddedVote:
        """Count a vote. The caller checks that it is of this set's kind and round.

        Args:
            vote: A validator's vote.

        Returns:
            Whether the vote was stored, and the earlier vote that it conflicts with, if any.
        """
        first = self._first.get(vote.public_key)
        if first is None:
            self._first[vote.public_key] = vote
            self.power += self._count(vote)
            return AddedVote(is_new=True)
        key = (vote.public_key, vote.block_hash)
        if first.block_hash == vote.block_hash or key in self._conflicting:
            return AddedVote(is_new=False)
        if vote.block_hash not in self._powers:
            return AddedVote(is_new=False, conflicting=first)
        self._conflicting[key] = vote
        self._count(vote)
        return AddedVote(is_new=True, conflicting=first)

    def votes(self) -> list[Vote]:
        """List all stored votes."""
        return [*self._first.values(), *self._conflicting.values()]

    def votes_for(self, value: bytes) -> list[Vote]:
        """List the votes for a value.

        Args:
            value: A block hash, or `NIL`.

        Returns:
            One vote of each validator that voted for it.
        """
        return [vote for vote in self.votes() if vote.block_hash == value]

    def power_for(self, value: bytes) -> int:
        """Add up the power that voted for a value.

        Args:
            value: A block hash, or `NIL`.

        Returns:
            The power in sap.
        """
        return self._powers.get(value, 0)

    def _count(self, vote: Vote) -> int:
        validator = self._validators.by_key(vote.public_key)
        assert validator is not None, "the caller checks that the key is a validator's"
        power = self._powers.get(vote.block_hash, 0) + validator.power
        self._powers[vote.block_hash] = power
        if self.quorum is None and self._validators.has_quorum(power):
            self.quorum = vote.block_hash
        return validator.power
