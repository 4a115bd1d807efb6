"""A stream of consensus messages that a test reads and writes."""

from __future__ import annotations

import asyncio
import time

from fedcoin.network.peers.connections.link import Link
from fedcoin.v1.consensus_service_pb2 import ConsensusMessage, ExchangeRequest


class TestedStream:
    """The stream of a link that a test has opened."""

    __test__ = False

    def __init__(self, link: Link) -> None:
        self.stream = link.exchange()
        self.unread: list[ConsensusMessage] = []

    async def send(self, raw: bytes) -> None:
        await self.stream.write(raw)

    async def next(self) -> ConsensusMessage:
        """Read the next message of any kind."""
        while not self.unread:
            raw = await self.stream.read(5)
            assert raw is not None
            self.unread.extend(ExchangeRequest.FromString(raw).messages)
        return self.unread.pop(0)

    async def next_content(self, timeout_s: float = 5) -> ConsensusMessage:
        """Read the next vote or proposal."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            message = await self.next()
            if message.HasField("vote") or message.HasField("proposal"):
                return message
        raise asyncio.TimeoutError

    async def next_content_raw(self) -> bytes:
        """Read the next vote or proposal, serialised as `encode` does it."""
        message = await self.next_content()
        return ExchangeRequest(messages=[message]).SerializeToString(deterministic=True)
