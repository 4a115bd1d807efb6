"""Nodes whose disk fails: they say so and end, and never look healthy while they do nothing."""

from __future__ import annotations

import asyncio
import resource
import shlex
import sqlite3
import sys
from pathlib import Path

import pytest

from fedcoin.network.client.rpc_error import RpcError
from tests.conftest import ReportAttack
from tests.support.e2e.network import BOND, BRISK, IDLE_MINER, Network, Node, pay, wallet_on
from tests.support.keys import ALICE, BOB, key_of
from tests.support.programs import COMMAND, Stage
from tests.support.transfers import transfer_to
from tests.support.waiting import until

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="sets a limit of another process"),
]

FULL_BYTES = 24_576
"""The longest file that a node with a full disk can write: its log is shorter, its database not."""
NODE_FAILED = 3


def fill_disk(node: Node) -> None:
    """Make each write beyond a file's first bytes fail, as on a full disk."""
    log = node.home.chain_path.with_name("chain.sqlite-wal")
    assert log.stat().st_size > FULL_BYTES > 4 * node.program.log.stat().st_size
    resource.prlimit(node.program.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, FULL_BYTES))


@pytest.mark.attack
async def test_a_validator_that_cannot_store_its_votes_ends(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        (node,) = network.nodes
        await network.start()
        for words in ("node: effects failed", "this node ends", "Traceback"):
            stage.expect(words)
        async with node.client() as client:
            for _ in range(8):
                await pay(client, ALICE, BOB.address, 1)
            height = (await client.get_status()).height
            fill_disk(node)
            wallet = await wallet_on(client, ALICE)
            await wallet.submit(transfer_to((BOB.address, 1)))
            assert await node.program.ended() == NODE_FAILED, node.program.said()
        assert "this node ends: the task 'node: effects' failed" in node.program.said()
        assert "[NODE_FAILED]" in node.program.said()
        report_attack(
            "one write of a validator fails",
            "it never votes again, and says SERVING",
            f"its process ends with exit code {NODE_FAILED}",
        )
        # With room on the disk again, it goes on where it was.
        await node.start()
        await node.caught_up(height)
        async with node.client() as client:
            await pay(client, ALICE, BOB.address, 1)
        network.finish()


async def test_a_node_that_cannot_store_blocks_ends(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        follower = network.add("follower", key_of("follower"))
        await network.start()
        for words in ("failed", "this node ends", "Traceback"):
            stage.expect(words)
        async with network.nodes[0].client() as client:
            for _ in range(8):
                await pay(client, ALICE, BOB.address, 1)
            await follower.caught_up((await client.get_status()).height)
            fill_disk(follower)
            await pay(client, ALICE, BOB.address, 1)
        assert await follower.program.ended() == NODE_FAILED, follower.program.said()
        await follower.start()
        async with network.nodes[0].client() as client:
            await follower.caught_up((await client.get_status()).height)
        network.finish()


def test_a_node_that_starts_on_a_full_disk_ends_as_later(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        (node,) = Network(stage, [BOND], BRISK, settings=IDLE_MINER).nodes
        start = shlex.join([*COMMAND, "start", "--home", str(node.home.root)])
        # Python before 3.13.1 keeps a module's bytecode of which a full disk took a part only.
        quiet = {"PYTHONDONTWRITEBYTECODE": "1"}
        full = stage.typed("full", f"prlimit --fsize={FULL_BYTES} {start}", tmp_path, quiet).start()
        assert full.wait() == NODE_FAILED, full.said()
        assert "the task 'start' failed: " in full.said()
        assert full.said().strip().endswith("[NODE_FAILED]")
        assert len(full.said().strip().splitlines()) == 1


async def test_a_locked_database_is_waited_for(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        (node,) = network.nodes
        await network.start()
        async with node.client() as client:
            await pay(client, ALICE, BOB.address, 1)
            other = sqlite3.connect(node.home.chain_path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            paying = asyncio.create_task(pay(client, ALICE, BOB.address, 1, seconds=40))
            await until(lambda: "locked by another process" in node.program.said())
            assert not paying.done()
            other.execute("ROLLBACK")
            other.close()
            await paying
        network.finish()


@pytest.mark.slow
async def test_torn_pages_that_a_call_meets_end_the_node(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)
        (node,) = network.nodes
        await network.start()
        for words in ("failed", "this node ends", "Traceback"):
            stage.expect(words)
        async with node.client() as client:
            for _ in range(8):
                await pay(client, ALICE, BOB.address, 1)
            tear_pages(node.home.chain_path)
            with pytest.raises(RpcError):
                await asyncio.gather(*(client.get_block(height) for height in range(1, 9)))
        assert await node.program.ended() == NODE_FAILED, node.program.said()
        assert "[NODE_FAILED]" in node.program.said()


def tear_pages(database: Path) -> None:
    """Overwrite all pages, in the database and in its log, but for the first one."""
    for path in (database, database.with_name("chain.sqlite-wal")):
        with path.open("r+b") as file:
            file.seek(8192)
            file.write(b"\xff" * (path.stat().st_size - 8192))
