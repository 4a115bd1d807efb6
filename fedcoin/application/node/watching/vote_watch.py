"""Watch whether this validator casts the votes that it owes.

A validator that has stopped voting counts as faulty, whatever else of it works. Its status shows
its last vote, and while it has owed one for too long, its API's health says NOT_SERVING.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from fedcoin.consensus.effects import Message
from fedcoin.consensus.timers import Timeouts
from fedcoin.data.clock import Clock
from fedcoin.data.messages.parameters import Parameters
from fedcoin.data.messages.votes import Vote
from fedcoin.network.api.backend import OwnVotes

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 2.0
"""Time between two checks, in seconds."""

MARGIN_MS: Final = 30_000
"""How much longer than a round's longest timer a vote may be owed, in ms: the time that checking a
block takes on a slow machine."""


@dataclass(frozen=True, slots=True)
class VotingPosition:
    """What a validator could vote on at some time."""

    height: int
    """The height to decide next."""
    round: int
    """The round of this height, from 0."""
    is_started: bool
    """Whether the voting on this height has begun; between blocks it has not."""
    is_validator: bool
    """Whether this node votes on this height and has all blocks before it."""
    has_voted: bool = False
    """Whether an own vote of this round exists, perhaps of before a restart: no other is cast."""


def longest_vote_ms(parameters: Parameters) -> int:
    """Compute how long a working validator may owe a vote.

    Args:
        parameters: The genesis parameters, whose timeouts count.

    Returns:
        The longest timer of a round and `MARGIN_MS`, in ms.
    """
    timeouts = Timeouts(parameters.propose_timeout_ms, parameters.vote_timeout_ms)
    return max(timeouts.max_ms, timeouts.propose_ms, timeouts.vote_ms) + MARGIN_MS


def has_own_vote(messages: Iterable[Message], key: bytes, round: int) -> bool:
    """Tell whether votes of one round contain one of a validator.

    Args:
        messages: Votes and proposals of one height.
        key: The validator's public key, 32 bytes.
        round: The round, from 0.

    Returns:
        True when there is a prevote or precommit of this validator.
    """
    votes = (message for message in messages if isinstance(message, Vote))
    return any(vote.public_key == key and vote.round == round for vote in votes)


class VoteWatch:
    """Judges from this node's votes and its position whether it owes a vote.

    A vote is owed when the voting on a round has begun, or a height was decided, and the last own
    vote is for an earlier round or height. It is overdue when one is owed for `limit_ms` without
    any own vote in between: a validator that is merely late casts votes all the same.

    Args:
        limit_ms: How long a vote may be owed, in ms.
        clock: Gives Unix ms.
    """

    def __init__(self, limit_ms: int, clock: Clock) -> None:
        self._limit_ms = limit_ms
        self._clock = clock
        # The height and round up to which nothing is owed; None before the first observation.
        self._settled: tuple[int, int] | None = None
        self._owed_since_ms: int | None = None
        self._last_height = 0
        self._last_ms = 0

    def note_vote(self, vote: Vote) -> None:
        """Remember a vote that this node has cast.

        Args:
            vote: A prevote or precommit, as it was sent.
        """
        self._settled = (vote.height, vote.round)
        self._owed_since_ms = None
        self._last_height, self._last_ms = vote.height, self._clock()

    def observe(self, position: VotingPosition) -> bool:
        """Judge once more, with the present position.

        Args:
            position: What this node could vote on.

        Returns:
            Whether a vote is overdue.
        """
        if self._settled is None or not position.is_validator:
            self._settled, self._owed_since_ms = (position.height - 1, 0), None
        elif not _is_owed(position, *self._settled):
            self._owed_since_ms = None
        elif self._owed_since_ms is None:
            self._owed_since_ms = self._clock()
        return self.own_votes().is_overdue

    def own_votes(self) -> OwnVotes:
        """Describe the last own vote, and whether one is overdue."""
        owed = self._owed_since_ms
        is_overdue = owed is not None and self._clock() - owed >= self._limit_ms
        return OwnVotes(self._last_height, self._last_ms, is_overdue)


async def watch_votes(
    watch: VoteWatch,
    position: Callable[[], VotingPosition],
    set_voting: Callable[[bool], Awaitable[None]],
) -> None:
    """Let the health follow a vote watch, and log each change; runs until it is cancelled.

    Args:
        watch: The vote watch.
        position: Returns what this node can vote on now.
        set_voting: Called with False when a vote is overdue, and with True when this node votes
            again.
    """
    is_overdue = False
    while True:
        await asyncio.sleep(CHECK_SECONDS)
        if watch.observe(position()) == is_overdue:
            continue
        is_overdue = not is_overdue
        if is_overdue:
            log.warning(
                "this validator owes a vote at height %d and casts none: its health says "
                "NOT_SERVING until it votes again; restart it if nothing above says why",
                position().height,
            )
        else:
            log.info("this validator votes again")
        await set_voting(not is_overdue)


def _is_owed(position: VotingPosition, height: int, round: int) -> bool:
    """Whether a vote is owed when all is settled up to this height and round."""
    if position.height > height + 1:
        return True
    is_later = (position.height, position.round) > (height, round)
    return position.is_started and is_later and not position.has_voted
