"""Which failures end a node, and how it ends."""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.mining.miner import Miner
from fedcoin.application.node.chain import Chain
from fedcoin.application.node.components import NodeComponents
from fedcoin.application.node.node_runner import run_node
from fedcoin.application.node.watching.failure import (
    FailureWatch,
    NodeFailedError,
    disk_failures_of,
)
from fedcoin.consensus.effects import CastVote
from fedcoin.data.messages.blocks import Block
from tests.support.training_site import node_home

EMPTY_BLOCKS = {"miner.warm": False}


class Farewell:
    """Records the order in which a node says goodbye."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.order: list[str] = []

    async def set_not_serving(self) -> None:
        await asyncio.sleep(0.01)
        self.order.append("stopping" if self.stopping.is_set() else "NOT_SERVING first")


async def test_a_vital_task_ends_the_node_and_health_says_so_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    farewell = Farewell()
    watch = FailureWatch(farewell.stopping, farewell.set_not_serving)
    watch.on_failure(lambda: farewell.order.append("listener"))
    watch.note("node: effects", OSError("the disk is gone"), True)
    watch.note("node: miner", OSError("the disk is gone too"), True)
    await asyncio.wait_for(farewell.stopping.wait(), 5)
    assert farewell.order == ["listener", "NOT_SERVING first"]
    assert watch.failure is not None
    assert watch.failure.task == "node: effects"
    (record,) = (r for r in caplog.records if r.levelno == logging.CRITICAL)
    assert "this node ends: the task 'node: effects' failed: OSError: the disk is gone" in (
        record.getMessage()
    )


@pytest.mark.parametrize(
    "reason",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system"),
        sqlite3.OperationalError("database or disk is full"),
    ],
)
def test_a_disk_that_fails_at_the_start_ends_the_node(reason: Exception) -> None:
    starting = disk_failures_of("start")
    with pytest.raises(NodeFailedError, match="the task 'start' failed: ") as caught, starting:
        raise reason
    assert caught.value.__cause__ is reason


def test_a_missing_file_is_no_failure_of_the_disk() -> None:
    with pytest.raises(FileNotFoundError), disk_failures_of("start"):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")


async def test_other_tasks_end_it_only_when_the_database_fails() -> None:
    farewell = Farewell()
    watch = FailureWatch(farewell.stopping, farewell.set_not_serving)
    watch.note("peers: dialer", ValueError("an odd address"), False)
    assert watch.failure is None
    watch.note("node: audit", sqlite3.OperationalError("disk I/O error"), False)
    assert watch.failure is not None
    await asyncio.wait_for(farewell.stopping.wait(), 5)


async def test_a_database_that_is_closed_by_the_stop_is_no_failure() -> None:
    farewell = Farewell()
    watch = FailureWatch(farewell.stopping, farewell.set_not_serving)
    watch.note("/GetBlock", sqlite3.ProgrammingError("Cannot operate on a closed database."), False)
    farewell.stopping.set()
    watch.note("/GetBlock", sqlite3.OperationalError("disk I/O error"), False)
    assert watch.failure is None


class UnstorableChain(Chain):
    """A chain whose blocks cannot be stored."""

    async def commit(self, block: Block, certificate: bytes, round: int) -> bool:
        raise sqlite3.OperationalError("database or disk is full")


class BrokenMiner(Miner):
    """A miner that fails at once."""

    async def run(self) -> None:
        raise OSError("the work folder is gone")


FAULTS: dict[str, Any] = {
    "node: effects": NodeComponents(make_chain=UnstorableChain),
    "node: miner": NodeComponents(make_miner=BrokenMiner),
}


@pytest.mark.parametrize("task", FAULTS)
async def test_a_node_ends_with_the_failure_of_its_task(tmp_path: Path, task: str) -> None:
    home = node_home(tmp_path, max_block_interval_ms=200)
    config = home.config({}, EMPTY_BLOCKS)
    begun: list[str] = []
    with pytest.raises(NodeFailedError) as caught:
        await asyncio.wait_for(
            run_node(
                config,
                home,
                asyncio.Event(),
                components=FAULTS[task],
                on_failure=lambda: begun.append("ending"),
            ),
            60,
        )
    assert caught.value.task == task
    assert begun == ["ending"]


async def test_a_vote_that_cannot_be_stored_ends_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fedcoin.application.node.voting.vote_signer import VoteSigner

    def refuse(self: VoteSigner, height: int, effect: CastVote) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(VoteSigner, "sign", refuse)
    home = node_home(tmp_path, max_block_interval_ms=200)
    with pytest.raises(NodeFailedError, match="effects"):
        await asyncio.wait_for(run_node(home.config({}, EMPTY_BLOCKS), home, asyncio.Event()), 60)
