"""The votes of one kind in one round, counted within bounds.

Each validator's first vote is counted. A faulty validator may sign conflicting votes and show each
to other peers. The algorithm counts such a validator for every value that it signed: two quorums
for different values still require a third of the power to be faulty. It has to, because otherwise
a node that saw one vote could never accept the quorum that the other vote is part of.

So a conflicting vote is stored too, but only when another validator's first vote is for the same
value. This bounds the memory by the square of the number of validators, and a flood of invented
values takes none.

A prevote for a block says whether the voter audited the block. More than two thirds of the power
are a quorum of prevotes for a block only if at least a third of the power audited it: then a
correct validator did. A validator that signs an audited and an unaudited prevote for one block
contradicts itself, too. Both count, so that every node can accept the quorum.
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
    """An earlier vote of the same validator with which this one cannot both be honest."""


class VoteSet:
    """The votes of one kind in one round.

    Attributes:
        power: The power of all validators that voted, in sap.
        quorum: The value, a block hash or `NIL`, that more than two thirds of the power voted
            for; None while there is none. Of prevotes for a block, at least a third of the power
            must be audited.
    """

    __slots__ = (
        "_audited",
        "_conflicting",
        "_first",
        "_needs_audit",
        "_powers",
        "_validators",
        "power",
        "quorum",
    )

    def __init__(self, validators: ValidatorSet, *, needs_audit: bool = False) -> None:
        """Make an empty set.

        Args:
            validators: The validators of the height.
            needs_audit: Whether the set is one of prevotes, of which a quorum for a block needs
                audited ones.
        """
        self._validators = validators
        self._needs_audit = needs_audit
        self._audited: dict[bytes, int] = {}
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
        known = self._conflicting.get(key) or (
            first if first.block_hash == vote.block_hash else None
        )
        if known is not None:
            return self._add_again(vote, known)
        if vote.block_hash not in self._powers:
            return AddedVote(is_new=False, conflicting=first)
        self._conflicting[key] = vote
        self._count(vote)
        return AddedVote(is_new=True, conflicting=first)

    def _add_again(self, vote: Vote, known: Vote) -> AddedVote:
        """Add a vote for a value that its validator's vote is stored for."""
        if vote.audited == known.audited:
            return AddedVote(is_new=False)
        if not vote.audited:
            return AddedVote(is_new=False, conflicting=known)
        self._conflicting[vote.public_key, vote.block_hash] = vote
        self._count_audited(vote)
        return AddedVote(is_new=True, conflicting=known)

    def votes(self) -> list[Vote]:
        """List all stored votes."""
        return [*self._first.values(), *self._conflicting.values()]

    def votes_for(self, value: bytes) -> list[Vote]:
        """List the votes for a value.

        Args:
            value: A block hash, 32 bytes, or `NIL`.

        Returns:
            One vote of each validator that voted for it, the audited one if there are two.
        """
        votes = {vote.public_key: vote for vote in self.votes() if vote.block_hash == value}
        return list(votes.values())

    def power_for(self, value: bytes) -> int:
        """Add up the power that voted for a value.

        Args:
            value: A block hash, 32 bytes, or `NIL`.

        Returns:
            The power in sap.
        """
        return self._powers.get(value, 0)

    def _count(self, vote: Vote) -> int:
        power = self._power_of(vote)
        self._powers[vote.block_hash] = self._powers.get(vote.block_hash, 0) + power
        if vote.audited:
            self._count_audited(vote)
        else:
            self._update_quorum(vote.block_hash)
        return power

    def _count_audited(self, vote: Vote) -> None:
        audited = self._audited.get(vote.block_hash, 0) + self._power_of(vote)
        self._audited[vote.block_hash] = audited
        self._update_quorum(vote.block_hash)

    def _update_quorum(self, value: bytes) -> None:
        is_vouched = (
            not self._needs_audit
            or value == NIL
            or self._validators.has_correct(self._audited.get(value, 0))
        )
        if self.quorum is None and is_vouched and self._validators.has_quorum(self._powers[value]):
            self.quorum = value

    def _power_of(self, vote: Vote) -> int:
        validator = self._validators.by_key(vote.public_key)
        assert validator is not None, "the caller checks that the key is a validator's"
        return validator.power
