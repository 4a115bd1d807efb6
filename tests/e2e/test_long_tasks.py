"""A miner in the middle of a long task: it reports progress, survives kills, and stops at once."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator

import pytest

from fedcoin.v1.task_pb2 import SCHEDULE_PERMUTATION, Sampling
from tests.support.e2e.campaigns import Campaign
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, BRISK, Network, Node
from tests.support.programs import Stage
from tests.support.waiting import until

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.timeout(240),
]

CLIENTS = 20
PROGRESS = re.compile(r"(\d+) of about [\d,]+ samples, standard error \S+, about \d+ s left")
# At this difficulty a miner never has enough samples.
RULES = {**BRISK, "initial_difficulty_nano": 1, "min_difficulty_nano": 1}


@pytest.fixture
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Stage(tmp_path_factory.mktemp("long")) as stage:
        yield Network(stage, [BOND], RULES)


def progress_lines(node: Node) -> int:
    """Return how often the node has logged its progress since its latest start."""
    return len(PROGRESS.findall(node.program.said()))


async def mines(node: Node) -> None:
    """Wait until the node's workers have evaluated for a while, and not only started."""
    await until(lambda: node.program.worker_cpu_seconds() > 1.5, "the workers evaluate")


async def stop(node: Node) -> float:
    """Stop a node by SIGTERM; returns how long it took, in seconds."""
    began = time.monotonic()
    node.program.signal(signal.SIGTERM)
    assert await node.program.ended() == 0
    return time.monotonic() - began


async def test_a_long_task_reports_progress_and_stops_at_once(network: Network) -> None:
    await network.start()
    (node,) = network.nodes
    async with node.client() as client:
        campaign = Campaign(client, network.chain, Round(CLIENTS))
        await campaign.begin(
            sampling=Sampling(schedule=SCHEDULE_PERMUTATION, max_samples=1_000_000),
            commit_window_ms=3_600_000,
        )
    await mines(node)
    before, told = node.program.children(), progress_lines(node)
    node.program.kill_workers()
    # Progress is logged after an evaluation, which only new workers can make now.
    await until(lambda: progress_lines(node) > told, "it goes on without its dead workers")
    assert not set(node.program.children()) & set(before)
    seconds = await stop(node)
    await node.start()
    await mines(node)
    # The load of the machine may have delayed the first stop.
    seconds = min(seconds, await stop(node))
    # Half a second, or more in proportion to the machine's load.
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert seconds < 0.5 * busy, (seconds, busy)
