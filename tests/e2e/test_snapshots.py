"""A validator joins a running network from a snapshot, then votes, mines and is paid."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.transaction_pb2 import Bond
from fedcoin.v1.views_pb2 import TaskView
from tests.support.e2e.campaigns import Campaign, check_paid, phase, reached
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, BRISK, IDLE_MINER, Network, Node, act, pay
from tests.support.keys import ALICE, BOB, key_of
from tests.support.programs import Stage, fedcoin
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)

EVERY = 5
LATE = key_of("late")


@asynccontextmanager
async def snapshotting(folder: Path, **settings: object) -> AsyncIterator[Network]:
    """Run three validators that make snapshots."""
    with Stage(folder) as stage:
        network = Network(stage, [BOND] * 3, BRISK, settings=settings)
        for node in network.nodes:
            node.program.also("--set", f"snapshots.every={EVERY}")
        await network.start()
        yield network


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    async with snapshotting(tmp_path) as network:
        yield network


@pytest.fixture
async def idle_network(tmp_path: Path) -> AsyncIterator[Network]:
    """The same network for a test without tasks."""
    async with snapshotting(tmp_path, **IDLE_MINER) as network:
        yield network


def snapshot_heights(node: Node) -> list[int]:
    listed = json.loads(fedcoin("snapshot", "list", "--home", node.home.root, "--json"))
    return [one["height"] for one in listed]


async def settle_task(network: Network, client: NodeClient, clients: int) -> TaskView:
    """Open a task of this many clients and wait until it is settled."""
    campaign = Campaign(client, network.chain, Round(clients))
    view = await reached(client, await campaign.begin(), "SETTLED")
    check_paid(view)
    return view


async def make_two_snapshots(network: Network, client: NodeClient) -> None:
    """Go on until each node has two snapshots, the later one of this block or a later one."""
    now = (await client.get_status()).height
    last = max(2 * EVERY, -(-now // EVERY) * EVERY)
    while (await client.get_status()).height < last:
        await pay(client, ALICE, BOB.address, 1)
    await until(
        lambda: all(last in snapshot_heights(node) for node in network.nodes),
        f"each node has made the snapshot of block {last}",
    )


async def join_by_snapshot(network: Network) -> tuple[Node, int]:
    """Start one more miner; returns it and the height of the snapshot that it began from."""
    late = network.add("late", LATE, "--mine", "--set", "snapshots.join_behind=2")
    await network.start()
    await network.wait_for_one_state()
    base = (await late.status()).first_height - 1
    assert base >= 2 * EVERY
    assert base in snapshot_heights(late)
    return late, base


async def become_validator(network: Network, client: NodeClient, late: Node) -> None:
    await pay(client, ALICE, LATE.address, 2 * BOND)
    await network.wait_for_one_state()
    async with late.client() as own_client:
        await act(own_client, LATE, Bond(amount=BOND))


def check_was_paid(view: TaskView, key: KeyPair) -> None:
    address = format_address(key.address)
    miner = next(miner for miner in view.miners if miner.address == address)
    assert miner.revealed
    assert miner.reward > 0


async def check_history_begins_at_the_snapshot(late: Node, before: str, since: str) -> None:
    """The node refuses to list payments of a task before its snapshot; it has the later task."""
    async with late.client() as client:
        with pytest.raises(RpcError) as caught:
            await client.list_payments(before)
        assert caught.value.code == NetworkCode.HISTORY_NOT_KEPT.value
        assert (await client.get_task(since)).phase == phase("SETTLED")


def check_proves_payment(node: Node, view: TaskView) -> None:
    """A proof of payment that this node gives is verified with nothing but the genesis file."""
    payee = view.clients[0].address
    path = node.home.root / "proof.json"
    path.write_text(fedcoin("task", "proof", view.task_id, payee, "--node", node.api))
    fedcoin("verify", "--proof", path, "--genesis", node.home.genesis_path)


def verify_databases(network: Network, first_heights: Mapping[str, int]) -> None:
    """Stop all nodes, and check each database; a node that is not named began at block 1."""
    for node in network.nodes:
        node.program.stop()
    for node in network.nodes:
        found = json.loads(fedcoin("verify", "--home", node.home.root, "--json"))
        assert found["first_height"] == first_heights.get(node.name, 1)
        assert found["supply"] == network.supply


async def test_a_validator_joins_votes_mines_and_is_paid(network: Network) -> None:
    first, second, _ = network.nodes
    async with first.client() as client:
        before = await settle_task(network, client, clients=2)
        await make_two_snapshots(network, client)
        late, base = await join_by_snapshot(network)
        await become_validator(network, client, late)
        view = await settle_task(network, client, clients=3)
        check_was_paid(view, LATE)
        # The late node may be a block behind the one that was asked.
        await network.wait_for_one_state()
        await check_history_begins_at_the_snapshot(late, before.task_id, view.task_id)
        check_proves_payment(late, view)

        # Three of four validators decide, so without the second one the late one's vote is needed.
        second.program.kill()
        await pay(client, ALICE, BOB.address, 1)
        late.program.kill()
        await second.start()
        await late.start()
        await network.wait_for_one_state()
        assert (await late.status()).first_height == base + 1
    verify_databases(network, {late.name: base + 1})


async def test_a_home_restored_from_a_file_catches_up(
    idle_network: Network, tmp_path: Path
) -> None:
    """An operator restores a snapshot file, so the node asks no peer for a snapshot."""
    network = idle_network
    first = network.nodes[0]
    async with first.client() as client:
        for _ in range(3):
            await pay(client, ALICE, BOB.address, 1)
        file = tmp_path / "state.snapshot"
        made = json.loads(fedcoin("snapshot", "create", "--home", first.home.root, file, "--json"))
        await pay(client, ALICE, BOB.address, 1)
        late = network.add("late", LATE, "--mine")
        fedcoin("snapshot", "restore", "--home", late.home.root, file)
        await network.start()
        status = await network.wait_for_one_state()
        assert (await late.status()).first_height == made["height"] + 1
        assert status.height > made["height"]
    for node in network.nodes:
        node.program.stop()
