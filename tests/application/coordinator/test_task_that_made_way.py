"""A coordinator whose task makes way for a better offer, on a real chain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fedcoin.application.coordinator import coordinator as coordinator_module
from fedcoin.application.coordinator import settlement
from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase
from fedcoin.application.coordinator.chain_messages import build_open_campaign, build_open_task
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.mining import miner, task_choice
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.contract.tasks import room_rent
from fedcoin.data.clock import unix_ms
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.v1.block_pb2 import TASK_PHASE_GAVE_WAY, TASK_PHASE_SETTLED
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate
from tests.support.training_site import (
    MINER,
    TrainingSite,
    client_key,
    hand_in,
    settings,
    site,
    started,
)
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("inline_workers")


@pytest.fixture
def start_mining(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A network with one place for tasks whose miner takes up none yet; the fixture lets it."""
    monkeypatch.setattr(coordinator_module, "FAREWELL_SECONDS", 1.0)
    monkeypatch.setattr(settlement, "FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(room_rent, "MAX_OPEN_TASKS", 1)
    monkeypatch.setattr(miner, "is_worth_mining", lambda *_: False)
    return lambda: monkeypatch.setattr(miner, "is_worth_mining", task_choice.is_worth_mining)


async def reach_mining(here: TrainingSite, coordinator: Coordinator) -> None:
    """Have two clients hand in updates, and wait until the round's task is open."""
    await until(lambda: bool(coordinator.campaign.campaign_id))
    async with FederatedClient(coordinator.address) as client:
        for number in (0, 1):
            await client.register(client_key(number), here.chain.genesis_hash, unix_ms())
    await until(lambda: coordinator.campaign.phase is CampaignPhase.TRAINING)
    await hand_in(coordinator, 0, 1)
    await until(lambda: any("is being mined" in line for line in here.lines))


def sign_for(campaign: Campaign, number: int) -> SignedUpdate:
    """Sign for this campaign what client `number` has handed in."""
    key = client_key(number)
    handed_in = campaign.updates[key.address]
    body = ClientUpdate(
        campaign_id=campaign.campaign_id,
        round=1,
        base=campaign.base,
        update=handed_in.update,
        num_samples=handed_in.num_samples,
        address=key.address,
    )
    return sign_update(body, key, campaign.genesis_hash)


async def push_out(here: TrainingSite, coordinator: Coordinator) -> bytes:
    """Open a rival's task with the same artifacts and a better offer; returns its id."""

    async def forget(_: bytes) -> None:
        pass

    rival = Delivery(here.client, MINER, here.chain, here.lines.append)
    config = settings(rounds=1, budget="400fdc", split=[1, 1, 8])
    campaign = replace(coordinator.campaign, rounds=1, pending=b"", history=[])
    opening = build_open_campaign(config, MINER.address, campaign)
    campaign.campaign_id = (await rival.deliver(opening, b"", forget)).hash
    updates = [
        decode_update(sign_for(campaign, number), here.chain.genesis_hash) for number in (0, 1)
    ]
    updates.sort(key=lambda update: update.address)
    task = await rival.deliver(build_open_task(config, campaign, updates), b"", forget)
    return task.hash


@pytest.mark.timeout(180)
async def test_the_round_is_opened_again_with_the_same_updates(
    tmp_path: Path, start_mining: Callable[[], None]
) -> None:
    config = settings(rounds=1, commit_seconds=5)
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        await reach_mining(here, coordinator)
        rival = await push_out(here, coordinator)
        await until(lambda: any("made way" in line for line in here.lines))
        # The rival's offer is the better one, so that there is no place as long as it is open.
        await until(lambda: any("TOO_MANY_TASKS" in line for line in here.lines))
        campaign = await here.client.get_campaign(coordinator.campaign.campaign_id)
        assert (campaign.last_round, campaign.times_gave_way) == (0, 1)
        assert campaign.escrow == 100 * SAP_PER_FDC
        start_mining()
        (record,) = await asyncio.wait_for(run, 90)
        assert record.settled
        again, first = await here.client.list_tasks(coordinator.campaign.campaign_id)
        assert (again.phase, first.phase) == (TASK_PHASE_SETTLED, TASK_PHASE_GAVE_WAY)
        assert [client.update for client in again.clients] == [
            client.update for client in first.clients
        ]
        assert (await here.client.get_task(rival)).phase == TASK_PHASE_SETTLED
        # The clients have what the first task would have paid them.
        payouts = [client.payout for client in again.clients]
        assert max(payouts) > 0
        accounts = [await here.client.get_account(client_key(number).address) for number in (0, 1)]
        assert sorted(account.balance for account in accounts) >= sorted(payouts)


@pytest.mark.timeout(180)
async def test_a_coordinator_that_was_killed_meanwhile_opens_the_round_again(
    tmp_path: Path, start_mining: Callable[[], None]
) -> None:
    config = settings(rounds=1, commit_seconds=5)
    async with site(tmp_path) as here:
        async with started(await here.prepared(config)) as coordinator:
            run = asyncio.create_task(coordinator.run())
            await reach_mining(here, coordinator)
            run.cancel()
            await asyncio.wait([run])
            await push_out(here, coordinator)
        start_mining()
        async with started(here.coordinator(config)) as again:
            (record,) = await asyncio.wait_for(again.run(), 90)
        assert record.settled
        tasks = await here.client.list_tasks(again.campaign.campaign_id)
        assert [view.phase for view in tasks] == [TASK_PHASE_SETTLED, TASK_PHASE_GAVE_WAY]
