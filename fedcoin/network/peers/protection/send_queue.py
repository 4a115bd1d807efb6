"""A bounded queue of messages to one peer. Adding to it never waits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from fedcoin.network.peer_options import PEER_MESSAGE_BYTES

MAX_MESSAGES = 8192
"""The largest number of messages in a queue."""
MAX_BYTES = 4 * PEER_MESSAGE_BYTES
"""The largest size of all messages in a queue, in bytes."""
MAX_JOINED_BYTES = 64 * 1024
"""The largest size of several messages that are written as one, in bytes."""
MAX_WRITE_S = 10.0
"""The time in which a peer must accept one message, in seconds."""


class SendQueue:
    """The messages that wait to be sent on one stream.

    Args:
        clock: Gives the time in seconds and never goes back.
        max_messages: The largest number of messages that wait.
        max_bytes: The largest number of bytes that wait.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._clock = clock
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._writing_since: float | None = None
        self._cut = asyncio.Event()

    def put(self, raw: bytes) -> bool:
        """Add a message.

        Args:
            raw: The serialised message.

        Returns:
            True; False when the queue is full, and then the message is not added.
        """
        if len(self._waiting) >= self._max_messages or self._bytes + len(raw) > self._max_bytes:
            return False
        self._waiting.append(raw)
        self._bytes += len(raw)
        self._filled.set()
        return True

    async def pump(self, write: Callable[[bytes], Awaitable[object]]) -> None:
        """Send queued messages as they are added, until cancelled or until `write` raises.

        Args:
            write: Sends serialised messages that waited at the same time, one behind the other.
                Its exception is passed on.
        """
        while True:
            await self._filled.wait()
            while self._waiting:
                raw = self._next()
                self._writing_since = self._clock()
                await write(raw)
                self._writing_since = None
                self._bytes -= len(raw)
            self._filled.clear()

    def _next(self) -> bytes:
        """Take the first message, and those behind it that fit into one write with it."""
        taken = [self._waiting.popleft()]
        size = len(taken[0])
        while self._waiting and size + len(self._waiting[0]) <= MAX_JOINED_BYTES:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        return b"".join(taken)

    def overdue(self) -> bool:
        """Return True when the peer has not accepted the present message in time."""
        since = self._writing_since
        return since is not None and self._clock() - since > MAX_WRITE_S

    def cut(self) -> None:
        """Ask the stream of this queue to end."""
        self._cut.set()

    async def until_cut(self) -> None:
        """Wait until `cut` is called."""
        await self._cut.wait()
