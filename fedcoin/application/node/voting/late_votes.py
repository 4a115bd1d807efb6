"""Votes of earlier heights: each is compared with its signer's others, as on time.

Nodes offer each other votes a moment after they came, and by then the height may be decided. A
validator that sent contradicting votes to different nodes is found all the same.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from fedcoin.consensus.effects import Effect
from fedcoin.consensus.tendermint_engine import TendermintEngine
from fedcoin.data.messages.votes import MessageClaim, Vote

LATE_HEIGHTS: Final = 32
"""For how many heights a vote may be late and still count."""


class LateVotes:
    """The engines of the latest heights that are over, without their blocks."""

    def __init__(self) -> None:
        """Begin without a height."""
        self._past: deque[TendermintEngine] = deque(maxlen=LATE_HEIGHTS)

    def end_height(self, voting: TendermintEngine) -> None:
        """Keep the engine of a height that is over; the oldest one makes room.

        Args:
            voting: The engine, which forgets its blocks.
        """
        voting.forget_blocks()
        self._past.append(voting)

    def wants(self, claim: MessageClaim) -> bool:
        """Tell whether a vote is worth the work of verifying it.

        Args:
            claim: What a vote of an earlier height says of itself.

        Returns:
            True when its height is kept.

        Raises:
            RefusalError: NOT_A_VALIDATOR when its signer was not a validator of its height.
        """
        for voting in self._past:
            if voting.height == claim.height:
                return voting.wants_vote(claim)
        return False

    def count(self, vote: Vote) -> Sequence[Effect]:
        """Count a vote of an earlier height.

        Args:
            vote: A vote whose signature was verified.

        Returns:
            What its engine asks for, of which only `ForwardMessage` and `Equivocation` are of use
            now; nothing for a height that is not kept.

        Raises:
            RefusalError: NOT_A_VALIDATOR when its signer was not a validator of its height.
        """
        for voting in self._past:
            if voting.height == vote.height:
                return voting.on_vote(vote)
        return ()
