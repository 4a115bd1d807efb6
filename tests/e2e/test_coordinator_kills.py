"""A coordinator that is killed at each step, and clients that vanish."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.views_pb2 import CampaignView, TaskView
from tests.support.e2e.campaigns import check_paid, phase
from tests.support.e2e.learners import (
    CoordinatorProcess,
    Learner,
    learning,
    prepared,
    prepared_within,
)
from tests.support.e2e.network import BOND, BRISK, SERVER, Network, serving
from tests.support.programs import Stage
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("coordinated"), [BOND], BRISK) as network:
        yield network


async def rounds_of(
    node: NodeClient, coordinator: CoordinatorProcess
) -> tuple[CampaignView, list[TaskView]]:
    """Return the campaign, and its tasks in order, from the chain."""
    campaign = await node.get_campaign(coordinator.state()["campaign_id"])
    tasks = await node.list_tasks(campaign.campaign_id)
    return campaign, sorted(tasks, key=lambda task: task.round)


async def check_rounds(
    node: NodeClient, coordinator: CoordinatorProcess, learners: list[Learner], *, budget: int
) -> list[TaskView]:
    """Check that each round was opened, settled and paid once, and that the clients know."""
    campaign, tasks = await rounds_of(node, coordinator)
    assert [task.round for task in tasks] == list(range(1, campaign.rounds + 1))
    assert all(task.phase == phase("SETTLED") for task in tasks)
    for task in tasks:
        check_paid(task)
    others = [task.prices.aggregation + task.prices.mining for task in tasks]
    assert sum(others) == budget * 3 // 10
    assert campaign.escrow == 0
    for learner in learners:
        address = format_address(learner.key.address)
        for task in tasks:
            due = sum(client.payout for client in task.clients if client.address == address)
            assert learner.paid.get(task.round, due) == due
        # A client that missed a message while the coordinator was down has its coins all the same.
        earned = sum(c.payout for t in tasks for c in t.clients if c.address == address)
        assert earned > 0
    return tasks


@linux
async def test_a_coordinator_killed_at_each_step_finishes_the_campaign(network: Network) -> None:
    """Killed before a client joined, while clients train, while miners work, and between rounds."""
    coordinator = await prepared(network, clients=2, rounds=3, budget="30fdc")
    (miner,) = network.nodes
    quick, slow = Learner(coordinator, 0, 2), Learner(coordinator, 1, 2)
    async with miner.client() as node:
        before = (await node.get_account(SERVER.address)).balance
        await coordinator.start()
        await coordinator.reached(pb.ROUND_PHASE_WAITING, 1)
        coordinator.program.kill()
        await coordinator.start()
        slow.hold.clear()
        async with learning(quick, slow) as tasks:
            # One update is stored before the kill, and the client need not submit it again.
            await until(lambda: len(coordinator.state()["updates"]) == 1, "one update is taken")
            coordinator.program.kill()
            taken = coordinator.state()["updates"]
            await coordinator.start()
            await coordinator.reached(pb.ROUND_PHASE_TRAINING, 1)
            assert coordinator.state()["updates"] == taken
            with miner.program.workers_asleep():
                slow.hold.set()
                await coordinator.reached(pb.ROUND_PHASE_SETTLING, 1)
                coordinator.program.kill()
                await coordinator.start()
            slow.hold.clear()
            await until(lambda: coordinator.state()["round"] == 2, "round 1 is over")
            coordinator.program.kill()
            slow.hold.set()
            assert len(coordinator.state()["history"]) == 1
            coordinator.program.start()
            assert await coordinator.program.ended() == 0
            await asyncio.wait_for(asyncio.gather(*tasks), 30)
        await check_rounds(node, coordinator, [quick, slow], budget=30 * SAP_PER_FDC)
        records = json.loads(coordinator.program.said().splitlines()[-1])
        assert [record["round"] for record in records] == [1, 2, 3]
        assert records[2]["utility"] > records[0]["utility"]
        # One fee for opening the campaign and one for each task: no transaction was sent twice.
        account = await node.get_account(SERVER.address)
        assert account.nonce == 4
        assert before - 30 * SAP_PER_FDC < account.balance < before


async def test_a_coordinator_killed_repeatedly_finishes_the_campaign(network: Network) -> None:
    """Killed at moments that are independent of its progress."""
    coordinator = await prepared(
        network, "restless", clients=2, rounds=6, budget="6fdc", round_seconds=20
    )
    learners = [Learner(coordinator, index, 2) for index in range(2)]
    async with network.nodes[0].client() as node:
        nonce = (await node.get_account(SERVER.address)).nonce
        async with learning(*learners) as tasks:
            for pause in (0.02, 0.05, 0.08, 0.11, 0.14):
                coordinator.program.start()
                await coordinator.program.says("clients reach the coordinator")
                await asyncio.sleep(pause)
                coordinator.program.kill()
            coordinator.program.start()
            assert await coordinator.program.ended() == 0
            await asyncio.wait_for(asyncio.gather(*tasks), 30)
        await check_rounds(node, coordinator, learners, budget=6 * SAP_PER_FDC)
        assert (await node.get_account(SERVER.address)).nonce == nonce + 7


async def test_a_coordinating_node_that_is_killed_finishes_the_campaign(tmp_path: Path) -> None:
    """A node that mines and coordinates is killed, and does both again after its restart."""
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK)
        (miner,) = network.nodes
        coordinator = await prepared_within(network, miner, clients=2, rounds=2, budget="2fdc")
        quick, slow = Learner(coordinator, 0, 2), Learner(coordinator, 1, 2)
        slow.hold.clear()
        await coordinator.start()
        async with learning(quick, slow) as tasks, miner.client() as node:
            await until(lambda: len(coordinator.state()["updates"]) == 1, "one update is taken")
            # Meanwhile no other process can continue the campaign.
            second = stage.program("second", "train", "server", "--home", miner.home.root)
            second.start("--node", miner.api, "--listen", "127.0.0.1:0")
            assert await second.ended() == 1
            assert "[HOME_IN_USE]" in second.said()
            miner.program.kill()
            await coordinator.start()
            slow.hold.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 45)
            await miner.program.says("the campaign is finished")
            await check_rounds(node, coordinator, [quick, slow], budget=2 * SAP_PER_FDC)
        network.finish()


async def test_rounds_go_on_without_a_client_that_vanishes(network: Network) -> None:
    """One client registers and does nothing, another is killed: the rounds go on without them."""
    coordinator = await prepared(
        network, "patient", clients=3, rounds=3, budget="3fdc", round_seconds=5
    )
    stays, vanishes = Learner(coordinator, 0, 3), Learner(coordinator, 1, 3)
    await coordinator.start()
    rider = network.stage.program(
        "rider", "train", "client", "--home", network.stage.root / "rider",
        "--server", coordinator.address, "--data", "digits", "--share", "3/3", "--free-ride",
        "--genesis", network.nodes[0].home.genesis_path,
    )  # fmt: skip
    async with FederatedClient(coordinator.address) as client:
        await vanishes.join(client)
    rider.start()
    await rider.says("joined the campaign")
    async with learning(stays) as tasks, network.nodes[0].client() as node:
        await until(lambda: coordinator.state()["round"] == 2, "round 1 is over")
        rider.kill()
        assert await coordinator.program.ended() == 0
        await asyncio.wait_for(asyncio.gather(*tasks), 30)
        tasks_done = await check_rounds(node, coordinator, [stays], budget=3 * SAP_PER_FDC)
    present = [len(task.clients) for task in tasks_done]
    assert present[0] == 2
    # The rider may have submitted its update of round 2 before it was killed.
    assert present[1] in (1, 2)
    assert present[2] == 1
    vanished = format_address(vanishes.key.address)
    assert all(vanished != c.address for task in tasks_done for c in task.clients)
    said = coordinator.program.said()
    assert "1 did not come in time" in said
    # A round waits for a missing client once.
    assert said.count("did not come in time") <= 2
