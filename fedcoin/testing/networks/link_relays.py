"""One TCP relay before each node's peer listener, which cuts, delays and resets connections.

A node advertises its relay's address, so that all peers dial the relay, whether they know the
address from their settings or from another peer. Linux says which process owns the other end of a
connection, and so between which two nodes it is. No root is needed.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

_PIECE_BYTES = 65_536
_MAX_PIECES = 256
"""How many pieces wait in one direction of a connection; then the sender has to wait."""

# <linux/netlink.h>, <linux/sock_diag.h>, <linux/inet_diag.h>: the last is the inode's place behind
# a header of 16 bytes, four single bytes, the connection (48) and four numbers of four bytes.
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, _INODE_OFFSET = 4, 20, 1, 84


class LinkConditions:
    """What passes between each two nodes at this moment."""

    def __init__(self, base_delay_ms: Callable[[str, str], int]) -> None:
        """Begin with all links whole.

        Args:
            base_delay_ms: The delay of a link without faults in ms, by the names of both nodes.
        """
        self._base_delay_ms = base_delay_ms
        self._groups: tuple[frozenset[str], ...] = ()
        self._more_ms: dict[frozenset[str], int] = {}
        self._whole = asyncio.Event()
        self._whole.set()

    def cut(self, groups: tuple[frozenset[str], ...]) -> None:
        """Let no byte pass between groups; what is sent meanwhile arrives after `heal`.

        Args:
            groups: The names of the nodes in each group.
        """
        self._groups = groups
        self._whole.clear()

    def heal(self) -> None:
        """End the partition."""
        self._groups = ()
        self._whole.set()

    def slow_down(self, nodes: Iterable[str], delay_ms: int) -> None:
        """Add a delay to one link.

        Args:
            nodes: The names of both nodes.
            delay_ms: The delay in each direction in ms; 0 ends an earlier one.
        """
        self._more_ms[frozenset(nodes)] = delay_ms

    def is_cut(self, first: str, second: str) -> bool:
        """Tell whether a partition separates two nodes.

        Args:
            first: The name of a node.
            second: The name of another node.

        Returns:
            True while no byte passes between them.
        """
        return any((first in group) != (second in group) for group in self._groups)

    def delay_seconds(self, first: str, second: str) -> float:
        """Look up how much later a byte arrives.

        Args:
            first: The name of a node.
            second: The name of another node.

        Returns:
            The delay in seconds.
        """
        more_ms = self._more_ms.get(frozenset((first, second)), 0)
        return (self._base_delay_ms(first, second) + more_ms) / 1_000

    async def wait_until_joined(self, first: str, second: str) -> None:
        """Wait while a partition separates two nodes.

        Args:
            first: The name of a node.
            second: The name of another node.
        """
        while self.is_cut(first, second):
            await self._whole.wait()


@dataclass(eq=False)
class _Connection:
    """One connection between two nodes."""

    dialler: str
    writers: tuple[asyncio.StreamWriter, ...]

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class LinkRelay:
    """Passes connections on to one node's peer listener. A partition holds bytes back."""

    def __init__(
        self,
        node: str,
        target: str,
        conditions: LinkConditions,
        pids: Callable[[], Mapping[str, int]],
    ) -> None:
        """Prepare a relay, which does not listen yet.

        Args:
            node: The node's name.
            target: Where its peer listener is, as host:port.
            conditions: What passes between nodes.
            pids: Gives the process id of each node that runs, by name.
        """
        self.node = node
        self.address = ""
        self._port = 0
        self._target = target
        self._conditions = conditions
        self._pids = pids
        self._connections: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen on a free port of loopback; `address` is then what peers dial, as host:port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, self._port = self._server.sockets[0].getsockname()
        self.address = f"{host}:{self._port}"

    async def stop(self) -> None:
        """Stop listening, and end all connections."""
        self._server.close()
        self.reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self, dialler: str = "") -> None:
        """Reset connections to this node.

        Args:
            dialler: The node that dialled; empty for all.
        """
        for connection in self._connections:
            if dialler in ("", connection.dialler):
                connection.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this in a task"
        self._tasks.add(task)
        try:
            await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            # One end has gone, or the relay stops: neither concerns the other connections.
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        dialler = find_owner(port, self._port, self._pids())
        if not dialler:
            # No other program dials a relay: the node that did has ended, or given up.
            return
        await self._conditions.wait_until_joined(dialler, self.node)
        host, _, target_port = self._target.rpartition(":")
        node_reader, node_writer = await asyncio.open_connection(host, int(target_port))
        connection = _Connection(dialler, (writer, node_writer))
        self._connections.add(connection)
        ways = [
            asyncio.ensure_future(self._pump(dialler, reader, node_writer)),
            asyncio.ensure_future(self._pump(dialler, node_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            connection.abort()
            self._connections.discard(connection)

    async def _pump(
        self, dialler: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Pass one direction on, each piece after the link's delay, until its end arrived."""
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MAX_PIECES)
        receiving = asyncio.ensure_future(self._receive(dialler, reader, waiting))
        loop = asyncio.get_running_loop()
        try:
            while True:
                due, piece = await waiting.get()
                await asyncio.sleep(due - loop.time())
                await self._conditions.wait_until_joined(dialler, self.node)
                if not piece:
                    return
                writer.write(piece)
                await writer.drain()
        finally:
            receiving.cancel()
            await asyncio.gather(receiving, return_exceptions=True)

    async def _receive(
        self,
        dialler: str,
        reader: asyncio.StreamReader,
        waiting: asyncio.Queue[tuple[float, bytes]],
    ) -> None:
        loop = asyncio.get_running_loop()
        piece = b"first"
        while piece:
            try:
                piece = await reader.read(_PIECE_BYTES)
            except OSError:
                piece = b""
            delay = self._conditions.delay_seconds(dialler, self.node)
            await waiting.put((loop.time() + delay, piece))


def find_owner(local_port: int, remote_port: int, pids: Mapping[str, int]) -> str:
    """Find the process that owns one end of a TCP connection of this machine.

    Args:
        local_port: The port of that end.
        remote_port: The port of the other end.
        pids: The process ids to look in, by name.

    Returns:
        The name of the process; empty when it is none of them.
    """
    inode = _find_inode(local_port, remote_port)
    owners = (name for name, pid in pids.items() if f"socket:[{inode}]" in _open_files(pid))
    return next(owners, "") if inode else ""


def _find_inode(local_port: int, remote_port: int) -> int:
    """Ask the kernel for the inode of a connection's socket (`man 7 sock_diag`); 0 for none."""
    loopback = socket.inet_aton("127.0.0.1")
    no_cookie = struct.pack("=II", 0xFFFFFFFF, 0xFFFFFFFF)
    # The addresses have room for IPv6. An interface of 0 is any.
    connection = struct.pack("!HH4s12x4s12x4x", local_port, remote_port, loopback, loopback)
    every_state = 0xFFFFFFFF
    wanted = struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, every_state)
    body = wanted + connection + no_cookie
    header = struct.pack("=IHHII", 16 + len(body), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as kernel:
        kernel.send(header + body)
        reply = kernel.recv(4_096)
    # Else it is an error: the connection has ended.
    is_found = struct.unpack_from("=H", reply, 4)[0] == _SOCK_DIAG_BY_FAMILY
    return int(struct.unpack_from("=I", reply, _INODE_OFFSET)[0]) if is_found else 0


def _open_files(pid: int) -> Iterable[str]:
    folder = f"/proc/{pid}/fd"
    with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for name in os.listdir(folder):
            with suppress(OSError):
                yield os.readlink(f"{folder}/{name}")
