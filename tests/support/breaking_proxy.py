"""A TCP proxy between a client and a node, whose connections a test breaks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PIECE = 64 * 1024


class BreakingProxy:
    """Passes bytes on to a node, in a thread of its own; `address` is what clients dial.

    With `limit_first` the first connection is reset after the client has sent (`upwards`), or been
    sent, this number of bytes.
    """

    def __init__(self, node: str, *, limit_first: int = 0, upwards: bool = True) -> None:
        self.address = ""
        self.num_connections = 0
        self.bytes_up = 0
        self.bytes_down = 0
        self._node = node
        self._limit_first = limit_first
        self._upwards = upwards
        self._writers: set[asyncio.StreamWriter] = set()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._loop: asyncio.AbstractEventLoop
        self._serving: asyncio.Task[None]

    def break_all(self) -> None:
        """Reset all connections; new ones are accepted."""

        def abort() -> None:
            for writer in self._writers:
                writer.transport.abort()

        self._loop.call_soon_threadsafe(abort)

    def start(self) -> None:
        """Listen, and return when `address` is known."""
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        """End all connections, and the thread."""
        self.break_all()
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join()

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._serving = task
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        self._started.set()
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.num_connections += 1
        limit = self._limit_first if self.num_connections == 1 else 0
        host, _, port = self._node.rpartition(":")
        try:
            node_reader, node_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        both = {writer, node_writer}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pass(reader, node_writer, limit if self._upwards else 0, up=True),
                self._pass(node_reader, writer, 0 if self._upwards else limit, up=False),
            )
        except OSError:
            pass
        finally:
            for one in both:
                one.transport.abort()
            self._writers -= both

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int, *, up: bool
    ) -> None:
        passed = 0
        while piece := await reader.read(PIECE):
            passed += len(piece)
            if up:
                self.bytes_up += len(piece)
            else:
                self.bytes_down += len(piece)
            if limit and passed > limit:
                raise ConnectionResetError
            writer.write(piece)
            await writer.drain()
        raise ConnectionResetError  # the other direction ends, too


@contextmanager
def breaking(node: str, *, limit_first: int = 0, upwards: bool = True) -> Iterator[BreakingProxy]:
    """Run a proxy to a node's host:port while inside."""
    proxy = BreakingProxy(node, limit_first=limit_first, upwards=upwards)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
