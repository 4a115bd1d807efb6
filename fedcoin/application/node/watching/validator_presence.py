"""Watch whether enough validators can be reached to decide the next block.

A block needs the votes of validators with more than two thirds of the voting power. While fewer
are reachable, transactions wait; the log says so, and so does `fedcoin-node status`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.clock import Clock
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.votes import Vote

log = logging.getLogger(__name__)

CHECK_SECONDS: Final = 2.0
"""Time between two checks of the connected validators, in seconds."""

GRACE_MS: Final = 10_000
"""How long too little power must have been connected before the first warning, in ms.

Nodes of one network that are started together find each other within this time."""

REPEAT_MS: Final = 60_000
"""Time between two warnings while the shortage lasts, in ms."""

VOTE_MARGIN_MS: Final = 30_000
"""A vote proves presence for this much longer than the longest interval of blocks, in ms."""


class _Validators(Protocol):
    """The part of the ledger that this module uses."""

    def validators(self) -> ValidatorSet:
        """Return the validators of the next height."""
        ...


class ValidatorPresence:
    """Estimates the voting power that can be reached from this node.

    A validator counts when it is this node, when it is connected under its validator key, or when
    one of its votes arrived lately: validators may sign with another key than their node key, and
    votes also come through other peers. A vote stops counting when its signer disconnects.
    """

    def __init__(
        self,
        ledger: _Validators,
        own_key: bytes,
        connected: Callable[[], Iterable[bytes]],
        max_block_interval_ms: int,
        clock: Clock,
    ) -> None:
        """Start with no votes seen.

        Args:
            ledger: Knows the validators of the next height.
            own_key: Public key that this node votes with, 32 bytes; it need not be a validator's.
            connected: Returns the node keys of the connected peers, 32 bytes each.
            max_block_interval_ms: The network's longest interval between blocks, in ms.
            clock: Unix time in ms.
        """
        self._ledger = ledger
        self._own_key = own_key
        self._connected = connected
        self._vote_lifetime_ms = max_block_interval_ms + VOTE_MARGIN_MS
        self._clock = clock
        self._last_votes_ms: dict[bytes, int] = {}
        self._connected_before: frozenset[bytes] = frozenset()

    def note_vote(self, vote: Vote) -> None:
        """Remember that the signer of a vote is up.

        Args:
            vote: A vote whose signature was verified.
        """
        if self._ledger.validators().by_key(vote.public_key) is not None:
            self._last_votes_ms[vote.public_key] = self._clock()

    def connected_power(self) -> int:
        """Return the voting power of the validators that can be reached, in sap."""
        connected = frozenset(self._connected())
        oldest_ms = self._clock() - self._vote_lifetime_ms
        gone = self._connected_before - connected
        self._connected_before = connected
        self._last_votes_ms = {
            key: time_ms
            for key, time_ms in self._last_votes_ms.items()
            if time_ms >= oldest_ms and key not in gone
        }
        present = connected | self._last_votes_ms.keys() | {self._own_key}
        return sum(
            validator.power
            for validator in self._ledger.validators()
            if validator.public_key in present
        )

    async def watch(self, catching_up: Callable[[], bool]) -> None:
        """Warn in the log while too little power is connected; runs until it is cancelled.

        Args:
            catching_up: Returns True while this node fetches blocks. Nothing is logged meanwhile,
                because the validator set that the node knows may be outdated.
        """
        shortage = ShortageLog()
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            if not catching_up():
                power = self.connected_power()
                shortage.observe(power, self._ledger.validators(), self._clock())


class ShortageLog:
    """Logs shortages of connected validators: when one lasts, at intervals, and when it ends."""

    def __init__(self) -> None:
        """Start as if enough power had been connected."""
        self._since_ms: int | None = None
        self._warned_ms: int | None = None

    def observe(self, power: int, validators: ValidatorSet, now_ms: int) -> None:
        """Log a warning when a shortage has lasted, and a line when it has ended.

        A shortage is less than a quorum of connected voting power. The first warning comes after
        `GRACE_MS`, further ones every `REPEAT_MS`.

        Args:
            power: The voting power of the connected validators, in sap.
            validators: The validators of the next height.
            now_ms: Unix time in ms.
        """
        if validators.has_quorum(power):
            if self._warned_ms is not None:
                log.info(
                    "validators with %s of the voting power of %s are connected: enough for blocks",
                    format_amount(power),
                    format_amount(validators.total_power),
                )
            self._since_ms = self._warned_ms = None
            return
        if self._since_ms is None:
            self._since_ms = now_ms
        due_ms = (
            self._since_ms + GRACE_MS if self._warned_ms is None else self._warned_ms + REPEAT_MS
        )
        if now_ms >= due_ms:
            self._warned_ms = now_ms
            log.warning(
                "only validators with %s of the voting power of %s are connected; a block needs "
                "more than two thirds, so transactions wait until more validators are up",
                format_amount(power),
                format_amount(validators.total_power),
            )
