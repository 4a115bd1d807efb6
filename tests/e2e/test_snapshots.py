"""A validator that joins a running network by its peers' snapshot, and takes part in everything."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.v1.transaction_pb2 import Bond
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, BRISK, Network, Node, act, pay
from tests.support.keys import ALICE, BOB, key_of
from tests.support.programs import Stage, fedcoin
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(240)

EVERY = 5
LATE = key_of("late")


@pytest.fixture
async def network(tmp_path: Path) -> AsyncIterator[Network]:
    """Three validators that make snapshots."""
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND] * 3, BRISK)
        for node in network.nodes:
            node.program.also("--set", f"snapshots.every={EVERY}")
        await network.start()
        yield network


def snapshot_heights(node: Node) -> list[int]:
    listed = json.loads(fedcoin("snapshot", "list", "--home", node.home.root, "--json"))
    return [one["height"] for one in listed]


async def test_a_validator_joins_votes_mines_and_is_paid(network: Network) -> None:
    first, second, _ = network.nodes
    async with first.client() as client:
        early = Campaign(client, network.chain_id, Round(2))
        before = await early.begin()
        check_paid(await reached(client, before, "SETTLED"))
        while (await client.get_status()).height < 2 * EVERY:
            await pay(client, ALICE, BOB.address, 1)
        await until(
            lambda: 2 * EVERY in snapshot_heights(first), "the first node has made a snapshot"
        )

        late = network.add("late", LATE, "--mine", "--set", "snapshots.join_behind=2")
        await network.start()
        await network.wait_for_one_state()
        status = await late.status()
        base = status.first_height - 1
        assert base >= 2 * EVERY
        assert base in snapshot_heights(late)

        await pay(client, ALICE, LATE.address, 2 * BOND)
        await network.wait_for_one_state()
        async with late.client() as there:
            await act(there, LATE, Bond(amount=BOND))
        work = Campaign(client, network.chain_id, Round(3))
        task_id = await work.begin()
        view = await reached(client, task_id, "SETTLED")
        check_paid(view)
        address = format_address(LATE.address)
        mined = next(miner for miner in view.miners if miner.address == address)
        assert mined.revealed
        assert mined.reward > 0

        # What it cannot know it does not pretend to know; what was since, it can prove.
        async with late.client() as there:
            with pytest.raises(RpcError) as caught:
                await there.list_payments(before)
            assert caught.value.code == NetworkCode.HISTORY_NOT_KEPT.value
            assert (await there.get_task(task_id)).phase == view.phase
        proof = fedcoin(
            *("task", "proof", task_id.hex(), view.clients[0].address, "--node", late.api)
        )
        path = late.home.root / "proof.json"
        path.write_text(proof)
        fedcoin("verify", "--proof", path, "--genesis", late.home.genesis_path)

        # With one of the others gone, nothing is decided without its vote.
        second.program.kill()
        await pay(client, ALICE, BOB.address, 1)
        late.program.kill()
        await second.start()
        await late.start()
        await network.wait_for_one_state()
        assert (await late.status()).first_height == base + 1
    for node in network.nodes:
        node.program.stop()
    for node in network.nodes:
        found = json.loads(fedcoin("verify", "--home", node.home.root, "--json"))
        assert found["first_height"] == (base + 1 if node is late else 1)
        assert found["supply"] == network.supply


async def test_a_home_that_was_restored_from_a_file(network: Network, tmp_path: Path) -> None:
    """The same by hand: nobody's snapshots are asked for."""
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
