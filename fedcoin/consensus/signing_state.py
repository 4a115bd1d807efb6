"""The votes and proposals that this validator has signed at one height.

A later one must not contradict them.
"""

from __future__ import annotations

from fedcoin.consensus.effects import Message
from fedcoin.consensus.vote_set import NIL
from fedcoin.data.messages.votes import PRECOMMIT, Proposal

NO_ROUND = -1
"""Stands for no round."""


class SigningState:
    """Own votes and proposals of a height, and the lock that follows from them.

    Attributes:
        locked: lockedRound and lockedValue of the paper: the round and the hash of the latest
            precommit for a block; `NO_ROUND` and `NIL` when there is none.
    """

    __slots__ = ("_proposals", "_votes", "locked")

    def __init__(self) -> None:
        """Start with nothing signed."""
        self._votes: set[tuple[int, int]] = set()
        self._proposals: set[int] = set()
        self.locked: tuple[int, bytes] = (NO_ROUND, NIL)

    def note_vote(self, kind: int, round: int, value: bytes) -> bool:
        """Record a vote, and the lock when it is a precommit for a block.

        Args:
            kind: `PREVOTE` or `PRECOMMIT`.
            round: The round, from 0.
            value: A block hash, 32 bytes, or `NIL`.

        Returns:
            True when no vote of this kind and round was recorded before.
        """
        if (kind, round) in self._votes:
            return False
        self._votes.add((kind, round))
        if kind == PRECOMMIT and value and round > self.locked[0]:
            self.locked = (round, value)
        return True

    def note_proposal(self, round: int) -> None:
        """Record that this validator signed a proposal in a round.

        Args:
            round: The round, from 0.
        """
        self._proposals.add(round)

    def note_message(self, message: Message) -> None:
        """Record a message that this validator signed, wherever it comes from.

        Args:
            message: A vote or a proposal.
        """
        if isinstance(message, Proposal):
            self.note_proposal(message.round)
        else:
            self.note_vote(message.kind, message.round, message.block_hash)

    def has_voted(self, kind: int, round: int) -> bool:
        """Tell whether a vote was recorded.

        Args:
            kind: `PREVOTE` or `PRECOMMIT`.
            round: The round, from 0.

        Returns:
            True when there was one of this kind and round.
        """
        return (kind, round) in self._votes

    def has_proposed(self, round: int) -> bool:
        """Tell whether a proposal was recorded.

        Args:
            round: The round, from 0.

        Returns:
            True when there was one in this round.
        """
        return round in self._proposals

    @property
    def latest_round(self) -> int:
        """The latest round in which anything was signed; 0 when nothing was."""
        return max((*self._proposals, *(round for _, round in self._votes)), default=0)
