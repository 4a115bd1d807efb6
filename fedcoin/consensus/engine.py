"""What a driver needs of a consensus engine. `voting.Voting` and `instant.Instant` are two."""

from __future__ import annotations

from typing import Protocol

from fedcoin.consensus.effects import Effect, Message
from fedcoin.consensus.timers import Timer
from fedcoin.data.messages.votes import Proposal, Vote


class ConsensusEngine(Protocol):
    """One height, decided by messages in and effects out.

    The driver carries out the effects of each call in their order, and makes a new engine
    for the next height once it got `Decide`. `voting.Voting` says more about each method.
    """

    @property
    def height(self) -> int:
        """The height that is being decided."""

    @property
    def round(self) -> int:
        """The present round."""

    @property
    def is_started(self) -> bool:
        """Was `start` called?"""

    @property
    def is_decided(self) -> bool:
        """Is the height over?"""

    @property
    def is_under_way(self) -> bool:
        """Are others deciding this height, so that it is time to start?"""

    def start(self) -> list[Effect]:
        """Begin to take part."""

    def on_proposal(self, proposal: Proposal) -> list[Effect]:
        """Take in a proposal whose signature was checked; raises `Refusal`."""

    def on_vote(self, vote: Vote) -> list[Effect]:
        """Take in a vote whose signature was checked; raises `Refusal`."""

    def on_timeout(self, timer: Timer) -> list[Effect]:
        """A timer has ended."""

    def on_block_checked(self, block_hash: bytes, ok: bool) -> list[Effect]:
        """The answer to `CheckBlock`."""

    def on_block_built(self, round: int, block_hash: bytes, raw: bytes) -> list[Effect]:
        """The answer to `BuildBlock`."""

    def messages(self) -> list[Message]:
        """What a peer at this height may lack."""
