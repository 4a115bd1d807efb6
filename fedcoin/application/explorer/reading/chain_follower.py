"""Follow a chain by the node's event stream, for all open pages together.

One stream is read, however many pages are open. Each page's own stream waits on this follower and
skips blocks that it is too slow for: a page fetches itself again, so that a skipped block is not
missed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from fedcoin.application.explorer.reading.chain_source import ChainSource
from fedcoin.application.explorer.reading.payment_index import PaymentIndex
from fedcoin.network.client.backoff import Backoff
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.block_pb2 import TaskPhase
from fedcoin.v1.node_service_pb2 import GetStatusResponse, WatchEventsResponse

MAX_RECENT_BLOCKS: Final = 64
"""How many of the latest blocks a stream that was interrupted can catch up with."""

_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.2, 3.0


@dataclass(frozen=True, slots=True)
class BlockNews:
    """What open pages are told about a block."""

    height: int
    """The block's height."""
    time_ms: int
    """The block's time, Unix ms."""
    transactions: int
    """How many transactions it has."""
    tasks: tuple[tuple[int, str], ...]
    """Rounds and the phases that their tasks entered, such as `(2, "settled")`."""


class ChainFollower:
    """Reads the events of all blocks, from the first that the node keeps; `run` it as a task.

    Args:
        source: The node.
        index: Receives each block.
    """

    def __init__(self, source: ChainSource, index: PaymentIndex) -> None:
        self._source = source
        self.index = index
        """The payments and names of the blocks that were read."""
        self.is_connected = False
        """Whether the node's stream is open."""
        self.chain_id = ""
        """The network's name; empty before the node first answered."""
        self.genesis_hash = ""
        """The network's genesis hash, in hex; empty before the node first answered."""
        self.target_height = 0
        """The node's height when the stream was last opened."""
        self._recent: deque[BlockNews] = deque(maxlen=MAX_RECENT_BLOCKS)
        self._changed = asyncio.Event()
        self._is_closed = False

    async def run(self) -> None:
        """Follow the chain until this task is cancelled, through every lost connection."""
        backoff = Backoff(_FIRST_PAUSE_S, _MAX_PAUSE_S)
        while True:
            try:
                await self._follow(backoff)
            except RpcError as error:
                if error.code == NetworkCode.HISTORY_NOT_KEPT.name:
                    # The node dropped blocks, or is another one behind the same address.
                    self.genesis_hash = ""
            self._set_connected(False)
            await asyncio.sleep(backoff.next_pause())

    async def _follow(self, backoff: Backoff) -> None:
        status = await self._source.get_status()
        self._begin(status)
        events = self._source.watch_events(self.index.height + 1, patience=0.0)
        self._set_connected(True)
        async with aclosing(events):
            async for event in events:
                backoff.reset()
                self._take(event)

    def _begin(self, status: GetStatusResponse) -> None:
        is_other = status.genesis_hash != self.genesis_hash or status.height < self.index.height
        if is_other or status.first_height > self.index.height + 1:
            self.index.clear(max(1, status.first_height))
            self._recent.clear()
        self.chain_id, self.genesis_hash = status.chain_id, status.genesis_hash
        self.target_height = status.height

    def _take(self, event: WatchEventsResponse) -> None:
        self.index.add(event)
        block = event.block
        news = BlockNews(
            block.height,
            block.time_ms,
            len(block.transactions),
            tuple((task.round, _phase_name(task.phase)) for task in event.tasks),
        )
        self._recent.append(news)
        # Blocks of the past are indexed in silence, but for a sign of life: pages have them.
        if block.height >= self.target_height or block.height % 1_000 == 0:
            self._notify()

    def _set_connected(self, is_connected: bool) -> None:
        if self.is_connected != is_connected:
            self.is_connected = is_connected
            self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def close(self) -> None:
        """End all watches, so that open streams end before the server does."""
        self._is_closed = True
        self._notify()

    @property
    def is_indexing(self) -> bool:
        """Whether blocks that the node had at the start are still being read."""
        return self.index.height < self.target_height

    async def watch(
        self, after_height: int | None, heartbeat: float
    ) -> AsyncGenerator[BlockNews | bool | None, None]:
        """Watch blocks and the state of the connection, until `close`.

        Args:
            after_height: The last block that the caller knows; None for the latest one.
            heartbeat: After how many seconds of silence None is yielded.

        Yields:
            True or False when the connection to the node is open or lost, first of all at once;
            the news of blocks, of which old ones may be missing; None after a silence.
        """
        seen = self.index.height if after_height is None else after_height
        connected: bool | None = None
        while not self._is_closed:
            changed = self._changed
            if connected != self.is_connected:
                connected = self.is_connected
                yield connected
            if seen > self.index.height:  # the chain began again
                seen = 0
            for news in [each for each in self._recent if each.height > seen]:
                seen = news.height
                yield news
            try:
                await asyncio.wait_for(changed.wait(), heartbeat)
            except (TimeoutError, asyncio.TimeoutError):
                yield None


def _phase_name(phase: TaskPhase.ValueType) -> str:
    name = TaskPhase.Name(phase) if phase in TaskPhase.values() else str(phase)
    return name.removeprefix("TASK_PHASE_").replace("_", " ").lower()
