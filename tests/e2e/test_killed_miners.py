"""Miners that are killed during a round: the round is settled, and they catch up."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.incentive.payout import compute_deposit
from fedcoin.v1.block_pb2 import PAYMENT_KIND_DEPOSIT_BURNED
from fedcoin.v1.views_pb2 import TaskMinerView, TaskView
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.eavesdropper import eavesdropping
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, BRISK, Network, Node, serving
from tests.support.waiting import until

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
    pytest.mark.timeout(240),
]

WINDOWS = {"commit_window_ms": 5_000, "reveal_window_ms": 4_000}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("killed"), [BOND] * 4, BRISK) as network:
        yield network


def miner_of(view: TaskView, node: Node) -> TaskMinerView | None:
    """Return a node's entry in a task's view, or None."""
    address = format_address(node.key.address)
    return next((miner for miner in view.miners if miner.address == address), None)


async def check_bonds(network: Network) -> None:
    """Check that no validator was slashed for contradicting votes."""
    async with network.nodes[0].client() as client:
        bonds = {
            validator.public_key: validator.bond for validator in await client.list_validators()
        }
    assert bonds == {key.hex(): bond for key, bond in network.bonds.items()}


async def test_a_miner_killed_before_its_commitment_is_left_out(network: Network) -> None:
    """The round waits for the missing miner until its window ends, and is settled without it."""
    first, *_, last = network.nodes
    async with eavesdropping(network), first.client() as client:
        campaign = Campaign(client, network.chain, Round(3))
        await campaign.upload()
        await campaign.open()
        with last.program.workers_asleep():
            task_id = await campaign.open_task(**WINDOWS)
            last.program.kill()
        view = await reached(client, task_id, "SETTLED")
        check_paid(view)
        assert miner_of(view, last) is None
        assert len([miner for miner in view.miners if miner.revealed]) == 3
        assert not last.program.running
        await last.start()
        await network.wait_for_one_state()
        async with last.client() as late:
            assert await late.get_task(task_id) == view
    await check_bonds(network)


async def test_a_miner_killed_after_its_commitment_reveals_in_time(network: Network) -> None:
    """After its restart the miner opens and reveals its stored work in time, and is paid."""
    first, slow, victim, _ = network.nodes
    async with eavesdropping(network), first.client() as client:
        campaign = Campaign(client, network.chain, Round(3))
        await campaign.upload()
        await campaign.open()
        with slow.program.workers_asleep():
            task_id = await campaign.open_task(commit_window_ms=30_000, reveal_window_ms=20_000)

            async def committed() -> bool:
                found = miner_of(await client.get_task(task_id), victim)
                return found is not None and found.committed

            await until(committed, "the victim has committed")
            victim.program.kill()
        # The slow miner commits now. All have committed, and the round waits for the victim's
        # opening.
        await reached(client, task_id, "CHALLENGE")
        await victim.start()
        view = await reached(client, task_id, "SETTLED")
        check_paid(view)
        found = miner_of(view, victim)
        assert found is not None
        assert found.revealed
        assert found.reward > 0
        await network.wait_for_one_state()
    await check_bonds(network)


async def test_a_miner_that_stays_away_loses_its_deposit(network: Network) -> None:
    """A miner that commits and does not open in time loses its deposit, and nothing else."""
    first, slow, victim, _ = network.nodes
    async with eavesdropping(network), first.client() as client:
        campaign = Campaign(client, network.chain, Round(3))
        await campaign.upload()
        await campaign.open()
        with slow.program.workers_asleep():
            task_id = await campaign.open_task(commit_window_ms=30_000, reveal_window_ms=5_000)

            async def committed() -> bool:
                return miner_of(await client.get_task(task_id), victim) is not None

            await until(committed, "the victim has committed")
            victim.program.kill()
        view = await reached(client, task_id, "SETTLED")
        check_paid(view)
        found = miner_of(view, victim)
        assert found is not None
        assert (found.committed, found.revealed, found.reward) == (True, False, 0)
        least = victim.home.genesis().parameters.commit_deposit
        deposit = compute_deposit(least, view.prices.mining, winner_takes_all=False)
        payments = await client.list_payments(task_id)
        burned = [p.amount for p in payments if p.kind == PAYMENT_KIND_DEPOSIT_BURNED]
        assert burned == [deposit]
        await victim.start()
        await network.wait_for_one_state()
    await check_bonds(network)


async def test_a_killed_worker_is_replaced(network: Network) -> None:
    """A node whose worker process is killed twice starts another one and is paid."""
    first, slow, _, last = network.nodes
    async with first.client() as client:
        campaign = Campaign(client, network.chain, Round(3))
        await campaign.upload()
        await campaign.open()
        # With two of four miners missing the window stays open until there is a new worker.
        with slow.program.workers_asleep():
            last.program.kill_workers()
            task_id = await campaign.open_task(commit_window_ms=30_000, reveal_window_ms=20_000)
            await until(last.program.children, "there is a new worker")
            last.program.kill_workers()

            async def committed() -> bool:
                found = miner_of(await client.get_task(task_id), last)
                return found is not None and found.committed

            await until(committed, "the miner with the new worker has committed")
        view = await reached(client, task_id, "SETTLED")
        check_paid(view)
        found = miner_of(view, last)
        assert found is not None
        assert found.revealed
        assert last.program.running
        await network.wait_for_one_state()
