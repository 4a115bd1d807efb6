"""Connections that come from another address of this machine, as from another host."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

OTHER_HOST = "127.0.0.9"


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def forwarding_to(target: str, port: int = 0) -> AsyncIterator[str]:
    """Forward TCP connections, so that they reach the target from OTHER_HOST.

    Args:
        target: The host:port that connections are forwarded to.
        port: Where to listen on loopback; 0 takes a free port.

    Yields:
        The host:port to dial.
    """
    host, _, target_port = target.rpartition(":")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(
            host, int(target_port), local_addr=(OTHER_HOST, 0)
        )
        await asyncio.gather(_pump(reader, back), _pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
