"""What the own key has signed at one height, and must never contradict."""

from __future__ import annotations

from fedcoin.consensus.effects import Message
from fedcoin.consensus.vote_set import NIL
from fedcoin.data.messages.votes import PRECOMMIT, Proposal

NO_ROUND = -1
"""Stands for a round that never was."""


class SigningState:
    """Own votes and proposals, and the lock that follows from them.

    `locked` is (lockedRound, lockedValue) of the paper: the latest precommit for a block.
    """

    __slots__ = ("_proposals", "_votes", "locked")

    def __init__(self) -> None:
        self._votes: set[tuple[int, int]] = set()
        self._proposals: set[int] = set()
        self.locked: tuple[int, bytes] = (NO_ROUND, NIL)

    def vote(self, kind: int, round: int, value: bytes) -> bool:
        """Note a vote; False when one of this kind and round was noted before."""
        if (kind, round) in self._votes:
            return False
        self._votes.add((kind, round))
        if kind == PRECOMMIT and value and round > self.locked[0]:
            self.locked = (round, value)
        return True

    def proposal(self, round: int) -> bool:
        """Note a proposal; False when one of this round was noted before."""
        known = round in self._proposals
        self._proposals.add(round)
        return not known

    def note(self, message: Message) -> None:
        """Note a message that bears the own signature, wherever it comes from."""
        if isinstance(message, Proposal):
            self.proposal(message.round)
        else:
            self.vote(message.kind, message.round, message.block_hash)

    def has_voted(self, kind: int, round: int) -> bool:
        """Was there a vote of this kind in this round?"""
        return (kind, round) in self._votes

    def has_proposed(self, round: int) -> bool:
        """Was there a proposal in this round?"""
        return round in self._proposals

    @property
    def latest_round(self) -> int:
        """The latest round in which anything was signed; 0 when nothing was."""
        return max((*self._proposals, *(round for _, round in self._votes)), default=0)
