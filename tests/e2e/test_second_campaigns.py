"""Two campaigns in succession from one home, inside a node and without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcoin.network.client.node_client import NodeClient
from tests.support.e2e.learners import (
    CoordinatorProcess,
    Learner,
    learning,
    prepared,
    prepared_within,
)
from tests.support.e2e.network import BOND, BRISK, Network, serving
from tests.support.programs import Stage
from tests.support.waiting import LOADED_SECONDS, until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("campaigns"), [BOND], BRISK) as network:
        yield network


async def finished(coordinator: CoordinatorProcess) -> None:
    """Run a campaign of one round to its end."""
    learner = Learner(coordinator, 0, 1)
    await coordinator.start()
    async with learning(learner) as tasks:
        await asyncio.wait_for(asyncio.gather(*tasks), 45)
    assert learner.paid[1] > 0


async def opened(node: NodeClient, number: int) -> str:
    """Wait until there are `number` campaigns; returns the latest one's id."""

    async def there() -> str:
        campaigns = await node.list_campaigns()
        return campaigns[0].campaign_id if len(campaigns) == number else ""

    return await until(there, f"there are {number} campaigns", seconds=LOADED_SECONDS)


def kept(home: Path, campaign_id: str) -> bool:
    """Tell whether the record of a finished campaign was kept."""
    found = json.loads((home / f"coordinator-{campaign_id[:16]}.json").read_text())
    return bool(found["campaign_id"] == campaign_id and found["phase"] == "finished")


@pytest.mark.slow
async def test_a_second_campaign_without_a_node(network: Network) -> None:
    coordinator = await prepared(network, rounds=1, clients=1, budget="1fdc")
    program = coordinator.program
    async with network.nodes[0].client() as node:
        before = len(await node.list_campaigns())
        await finished(coordinator)
        assert await program.ended() == 0
        first = await opened(node, before + 1)
        # A restart says that the campaign is finished and how to begin another, and opens nothing.
        program.start()
        assert await program.ended() == 0
        assert f"campaign {first} is finished" in program.said()
        assert "--new-campaign" in program.said()
        assert await opened(node, before + 1) == first
        program.start("--rounds", "5")
        assert await program.ended() == 1
        assert "coordinator.rounds = 1 (given: 5)" in program.said()
        assert "[OTHER_SETTINGS]" in program.said()
        assert await opened(node, before + 1) == first
        program.start("--new-campaign")
        second = await opened(node, before + 2)
        program.kill()
        assert kept(coordinator.home.root, first)
        # During a campaign, the flag changes nothing.
        program.start("--new-campaign")
        await program.says("going on with round 1: waiting")
        program.stop()
        assert f"Campaign {second} stays open in round 1 of 1" in program.said()
        assert f"`fedcoin-node task close {second} --key NAME` closes it" in program.said()
        assert coordinator.state()["campaign_id"] == second
        assert await opened(node, before + 2) == second


async def test_a_second_campaign_inside_a_node(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK)
        (miner,) = network.nodes
        coordinator = await prepared_within(network, miner, rounds=1, clients=1, budget="1fdc")
        await finished(coordinator)
        await miner.program.says("the campaign is finished")
        async with miner.client() as node:
            first = await opened(node, 1)
            miner.program.stop()
            miner.program.start()
            await miner.program.says("start with --new-campaign")
            assert f"campaign {first} is finished" in miner.program.said()
            miner.program.stop()
            miner.program.start("--new-campaign")
            await coordinator.ready(LOADED_SECONDS)
            assert await opened(node, 2) != first
        assert kept(miner.home.root, first)
        network.finish()
