"""Whatever an operator attaches to a node stops neither its votes nor its clean exit."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from fedcoin.network.client.node_client import NodeClient
from tests.support.e2e.network import BOND, BRISK, IDLE_MINER, Network, pay
from tests.support.keys import ALICE, BOB
from tests.support.programs import COMMAND, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

PAYMENTS = 30
STOPS = 3


def is_traced(process: int) -> bool:
    """Whether a debugger holds the main thread of a process."""
    return "tracing stop" in Path(f"/proc/{process}/status").read_text()


async def test_a_reader_of_the_database_stops_no_vote_and_no_exit(tmp_path: Path) -> None:
    """A backup or an open sqlite3 shell: a read transaction, and checkpoints from outside."""
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        (node,) = network.nodes
        await network.start()
        reader = sqlite3.connect(node.home.chain_path, isolation_level=None)
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM blocks").fetchone()
        other = sqlite3.connect(node.home.chain_path, isolation_level=None, timeout=0.1)
        async with node.client() as client:
            for _ in range(PAYMENTS):
                await pay(client, ALICE, BOB.address, 1, seconds=20)
                other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        assert reader.execute("SELECT count(*) FROM blocks").fetchone() == before
        node.program.stop()
        reader.close()
        other.close()
        assert network.finish().height >= PAYMENTS


async def test_pauses_as_by_a_debugger_cost_their_time_alone(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        (node,) = network.nodes
        await network.start()
        async with node.client() as client:
            for _ in range(5):
                paying = asyncio.ensure_future(pay(client, ALICE, BOB.address, 1, seconds=30))
                await asyncio.sleep(0)
                node.program.signal(signal.SIGSTOP)
                await asyncio.sleep(1)
                node.program.signal(signal.SIGCONT)
                await paying
        network.finish()


@pytest.mark.skipif(sys.platform != "linux", reason="ptrace(2) is traced as on Linux")
async def test_a_debugger_stops_no_vote_that_it_lets_go_and_no_exit(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        (node,) = network.nodes
        await network.start()
        module = "tests.support.processes.debugger"
        arguments = [sys.executable, "-m", module, str(node.program.pid), str(STOPS), "1"]
        debugger = await asyncio.create_subprocess_exec(*arguments, stdout=asyncio.subprocess.PIPE)
        assert debugger.stdout is not None
        try:
            async with node.client() as client:
                for _ in range(STOPS):
                    assert await debugger.stdout.readline() == b"stopped\n"
                    assert is_traced(node.program.pid)
                    await pay(client, ALICE, BOB.address, 1, seconds=30)
                    assert await debugger.stdout.readline() == b"resumed\n"
                for _ in range(PAYMENTS):
                    await pay(client, ALICE, BOB.address, 1, seconds=20)
            # Still attached: SIGTERM goes through the debugger.
            assert network.finish().height >= PAYMENTS
            assert await asyncio.wait_for(debugger.wait(), 20) == 0
        finally:
            if debugger.returncode is None:
                debugger.kill()
                await debugger.wait()


async def test_a_log_that_nobody_reads_stops_no_vote_and_no_exit(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        settings = {**IDLE_MINER, "log.level": "debug"}
        network = Network(stage, [BOND], BRISK, settings=settings)
        (node,) = network.nodes
        arguments = [*COMMAND, "start", "--home", str(node.home.root), "--mine"]
        pipe, log = os.pipe()
        process = await asyncio.create_subprocess_exec(*arguments, stderr=log)
        os.close(log)
        try:
            await node.ready()
            async with node.client() as client:
                # Several times what the pipe holds.
                for _ in range(1_000):
                    await client.get_status()
                for _ in range(PAYMENTS):
                    await pay(client, ALICE, BOB.address, 1, seconds=20)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 20) == 0
        finally:
            os.close(pipe)
            if process.returncode is None:
                process.kill()
                await process.wait()


async def count_peers(client: NodeClient, expected: int) -> float:
    """Wait until a node counts so many peers; returns for how long, in seconds."""
    began = time.monotonic()
    while (await client.get_status()).peers != expected:
        assert time.monotonic() - began < 30
        await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_a_stopped_peer_is_gone_within_three_seconds_and_keeps_its_place(
    tmp_path: Path,
) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND] * 4, BRISK, settings=IDLE_MINER)
        watcher, *_, stopped = network.nodes
        await network.start()
        async with watcher.client() as client:
            await count_peers(client, 3)
            stopped.program.signal(signal.SIGSTOP)
            # On a busy machine, what was sent before may be read a little later.
            assert await count_peers(client, 2) < 3.5
            assert (await client.get_status()).connected_power == 3 * BOND
            await pay(client, ALICE, BOB.address, 1, seconds=30)
            stopped.program.signal(signal.SIGCONT)
            assert await count_peers(client, 3) < 2
            # As short as a debugger's look: voting goes on by itself.
            stopped.program.signal(signal.SIGSTOP)
            await asyncio.sleep(2)
            stopped.program.signal(signal.SIGCONT)
            last = (await pay(client, ALICE, BOB.address, 1, seconds=30)).height
        await stopped.caught_up(last)
        # It is the same connection as before, without another handshake.
        assert watcher.program.said().count("left:") == 0
