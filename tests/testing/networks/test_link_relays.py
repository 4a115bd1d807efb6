"""Relays find out who dialled, hold bytes back during a partition, and delay and reset them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

import pytest

from fedcoin.testing.networks.link_relays import LinkConditions, LinkRelay, find_owner


def can_ask_the_kernel() -> bool:
    if sys.platform != "linux":
        return False
    try:
        find_owner(1, 1, {"here": os.getpid()})
    except OSError:
        return False
    return True


pytestmark = pytest.mark.skipif(
    not can_ask_the_kernel(), reason="needs Linux's sock_diag and /proc, which some sandboxes lack"
)

APART = (frozenset(["here"]), frozenset(["there"]))
DELAY_MS = 120

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def echoing(
    pids: Mapping[str, int], delay_ms: int = 0
) -> AsyncIterator[tuple[LinkConditions, LinkRelay, Streams]]:
    """A server that echoes, a relay before it, and a connection through the relay."""

    served = asyncio.Event()

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    conditions = LinkConditions(lambda first, second: delay_ms)
    relay = LinkRelay("there", f"{host}:{port}", conditions, lambda: pids)
    await relay.start()
    own_host, _, own_port = relay.address.rpartition(":")
    reader, writer = await asyncio.open_connection(own_host, int(own_port))
    try:
        writer.write(b"hello")
        assert await asyncio.wait_for(reader.read(100), 20) == b"hello"
        yield conditions, relay, (reader, writer)
    finally:
        writer.close()
        await relay.stop()
        server.close()
        await served.wait()


OWN = {"nobody": 0, "here": os.getpid()}


async def test_a_connection_is_that_of_the_process_which_dialled() -> None:
    async with echoing(OWN) as (_, relay, (_, writer)):
        port, relay_port = writer.get_extra_info("sockname")[1], int(relay.address.split(":")[1])
        assert find_owner(port, relay_port, OWN) == "here"
        assert find_owner(port, relay_port, {"parent": os.getppid()}) == ""
        assert find_owner(port, port, OWN) == ""


async def test_a_partition_holds_bytes_back_until_it_is_over() -> None:
    async with echoing(OWN) as (conditions, _, (reader, writer)):
        writer.write(b"one")
        assert await asyncio.wait_for(reader.read(100), 20) == b"one"
        conditions.cut(APART)
        writer.write(b"two")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(reader.read(100), 0.2)
        conditions.heal()
        assert await asyncio.wait_for(reader.read(100), 20) == b"two"


async def test_a_partition_that_leaves_both_on_one_side_passes_bytes() -> None:
    async with echoing(OWN) as (conditions, _, (reader, writer)):
        conditions.cut((frozenset(["here", "there"]), frozenset(["elsewhere"])))
        writer.write(b"one")
        assert await asyncio.wait_for(reader.read(100), 20) == b"one"


async def test_a_connection_that_no_node_dialled_is_closed() -> None:
    relay = LinkRelay("there", "127.0.0.1:1", LinkConditions(lambda first, second: 0), dict)
    await relay.start()
    host, _, port = relay.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with suppress(ConnectionError):
        assert await asyncio.wait_for(reader.read(100), 20) == b""
    writer.close()
    await relay.stop()


async def test_each_direction_is_late_by_the_delay() -> None:
    async with echoing(OWN, DELAY_MS) as (conditions, _, (reader, writer)):
        conditions.slow_down(["there", "here"], DELAY_MS)
        began = asyncio.get_running_loop().time()
        writer.write(b"one")
        assert await asyncio.wait_for(reader.read(100), 20) == b"one"
        assert asyncio.get_running_loop().time() - began >= 4 * DELAY_MS / 1_000


async def test_a_reset_ends_the_connections_of_one_dialler() -> None:
    async with echoing(OWN) as (_, relay, (reader, writer)):
        writer.write(b"one")
        assert await asyncio.wait_for(reader.read(100), 20) == b"one"
        relay.reset("nobody")
        writer.write(b"two")
        assert await asyncio.wait_for(reader.read(100), 20) == b"two"
        relay.reset("here")
        with suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(100), 20) == b""
