"""Counting all coins for the status, without letting callers keep the node busy with it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from fedcoin.network.ports.chain_port import ChainPort

_MAX_ATTEMPTS = 5

# Counting takes at most this share of the time, however often the status is asked for.
_MAX_SHARE = 0.05


class SupplyCount:
    """The latest count of all coins. It differs from the supply only when the ledger has a bug."""

    def __init__(self, chain: ChainPort, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without a count.

        Args:
            chain: The chain whose accounts are counted.
            clock: Gives the time in seconds and never goes back.
        """
        self._chain = chain
        self._clock = clock
        self._count: int | None = None
        self._height = -1
        self._next_count_at = 0.0
        self._lock = asyncio.Lock()

    async def read(self) -> int:
        """Return the latest count; count again first if it is outdated and the pause is over.

        A count is outdated when the chain has grown. The pause after a count is 20 times as long as
        the count took.

        Returns:
            The sum of all balances, bonds, deposits and budgets, burned coins included, in sap. It
            may be that of an earlier block.
        """
        async with self._lock:
            has_grown = self._chain.height() != self._height
            if self._count is None or (has_grown and self._clock() >= self._next_count_at):
                await self._recount()
        return self._count or 0

    async def _recount(self) -> None:
        began = self._clock()
        counts: list[int] = []
        for _ in range(_MAX_ATTEMPTS):
            counts.append(await asyncio.to_thread(self._chain.ledger.total_supply))
            # A block that comes during a count lets coins be counted twice or not at all. So a
            # count that is not the supply is accepted only when it is found again.
            supply = self._chain.ledger.totals().supply
            if counts[-1] == supply or counts[-1] in counts[:-1]:
                break
        self._count, self._height = counts[-1], self._chain.height()
        took = self._clock() - began
        self._next_count_at = self._clock() + took / _MAX_SHARE
