"""The stream of events that open pages listen to (Server-Sent Events, HTML Living Standard)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from fedcoin.application.explorer.reading.chain_follower import BlockNews, ChainFollower

MAX_STREAMS: Final = 64
"""How many pages can listen at a time; others are read without being live."""

HEARTBEAT_S: Final = 15.0
"""After how many seconds of silence a comment is sent, so that a dead connection is noticed."""

MIN_PAUSE_S: Final = 0.25
"""The shortest time between two events of one stream, in seconds."""

RETRY_MS: Final = 2_000
"""After how long a browser opens a lost stream again, in ms."""


class EventStreams:
    """Opens streams, up to `max_streams` at a time.

    Args:
        follower: Follows the chain.
        max_streams: How many streams may be open.
        heartbeat: After how many seconds of silence a comment is sent.
    """

    def __init__(
        self,
        follower: ChainFollower,
        *,
        max_streams: int = MAX_STREAMS,
        heartbeat: float = HEARTBEAT_S,
    ) -> None:
        self._follower = follower
        self._free = max_streams
        self._heartbeat = heartbeat

    @property
    def has_room(self) -> bool:
        """Whether another stream may be opened."""
        return self._free > 0

    async def open(self, last_event_id: str) -> AsyncGenerator[bytes, None]:
        """Stream events: `block` with its height as id, and `node` when the node comes or goes.

        Args:
            last_event_id: The header of a browser that opens a lost stream again: the height of the
                last block that it heard of; empty for a new stream.

        Yields:
            Parts of the stream, in UTF-8. The first says how long to wait before a retry.
        """
        after = int(last_event_id) if _is_height(last_event_id) else None
        self._free -= 1
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            async with aclosing(self._follower.watch(after, self._heartbeat)) as news:
                async for each in news:
                    yield encode_news(each)
                    if isinstance(each, BlockNews):
                        await asyncio.sleep(MIN_PAUSE_S)
        finally:
            self._free += 1


def encode_news(news: BlockNews | bool | None) -> bytes:
    """Encode one event.

    Args:
        news: A block; whether the node is connected; None for a heartbeat.

    Returns:
        The event in the form of the stream. Its data are JSON on one line.
    """
    if news is None:
        return b": still here\n\n"
    if isinstance(news, bool):
        return f"event: node\ndata: {json.dumps({'connected': news})}\n\n".encode()
    data = {
        "height": news.height,
        "time_ms": news.time_ms,
        "transactions": news.transactions,
        "tasks": [{"round": round, "phase": phase} for round, phase in news.tasks],
    }
    return f"id: {news.height}\nevent: block\ndata: {json.dumps(data)}\n\n".encode()


def _is_height(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
