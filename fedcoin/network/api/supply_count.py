"""Counting all coins afresh, without letting callers make the node do nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from fedcoin.network.ports import ChainPort

_ATTEMPTS = 5

# At most this share of the time goes into counting, however often it is asked for.
_SHARE = 0.05


class SupplyCount:
    """The latest full count of all coins; the same at every height, if nothing is broken."""

    def __init__(self, chain: ChainPort, clock: Callable[[], float] = time.monotonic) -> None:
        self._chain = chain
        self._clock = clock
        self._count: int | None = None
        self._height = -1
        self._again_at = 0.0
        self._lock = asyncio.Lock()

    async def read(self) -> int:
        """The sum of everything that exists, burned coins included, in sap."""
        async with self._lock:
            height = self._chain.height()
            if self._count is None or (height != self._height and self._clock() >= self._again_at):
                await self._recount()
        return self._count or 0

    async def _recount(self) -> None:
        began = self._clock()
        counts: list[int] = []
        for _ in range(_ATTEMPTS):
            counts.append(await asyncio.to_thread(self._chain.ledger.total_supply))
            # A block in the middle of a count lets coins be counted twice, or not at all:
            # what is not the supply is believed when it is found again.
            supply = self._chain.ledger.totals().supply
            if counts[-1] == supply or counts[-1] in counts[:-1]:
                break
        self._count, self._height = counts[-1], self._chain.height()
        took = self._clock() - began
        self._again_at = self._clock() + took / _SHARE
