"""A coordinator whose task fails with registered receipts, on a real chain."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.coordinator import chain_messages, settlement
from fedcoin.application.coordinator import coordinator as coordinator_module
from fedcoin.application.coordinator.campaign import CampaignPhase
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.mining import miner, task_choice
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.contract.actions import receipt_terms
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.clock import unix_ms
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.v1.block_pb2 import TASK_PHASE_FAILED, TASK_PHASE_SETTLED
from fedcoin.v1.transaction_pb2 import RegisterReceipt, Transfer, TransferOutput
from tests.support.training_site import (
    MINER,
    TrainingSite,
    client_key,
    settings,
    signed,
    site,
    started,
    trained,
)
from tests.support.waiting import until

pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("inline_workers")]

CONFIG = settings(
    rounds=1, round_seconds=20, receipt_seconds=40, commit_seconds=2, reveal_seconds=2, attempts=1
)


@pytest.fixture(autouse=True)
def idle_miner(monkeypatch: pytest.MonkeyPatch) -> None:
    """A miner that takes no task, and short windows for tasks with receipts."""
    monkeypatch.setattr(coordinator_module, "FAREWELL_SECONDS", 1.0)
    monkeypatch.setattr(settlement, "FIRST_PAUSE_S", 0.2)
    monkeypatch.setattr(miner, "is_worth_mining", lambda *_: False)
    for name in ("MIN_COMMIT_WINDOW_MS", "MIN_REVEAL_WINDOW_MS", "MIN_RECEIPT_ATTEMPTS"):
        for module in (receipt_terms, chain_messages):
            monkeypatch.setattr(module, name, 1)


async def register_receipt(here: TrainingSite, coordinator: Coordinator) -> None:
    """Have two clients hand in updates, of which the first registers its receipt in time."""
    await until(lambda: bool(coordinator.campaign.campaign_id))
    coins = TransferOutput(recipient=client_key(0).address, amount=10 * SAP_PER_FDC)
    await Wallet(here.client, MINER, here.chain).execute(Transfer(outputs=[coins]))
    async with FederatedClient(coordinator.address) as client:
        for number in (0, 1):
            await client.register(client_key(number), here.chain.genesis_hash, unix_ms())
        await until(lambda: coordinator.campaign.phase is CampaignPhase.TRAINING)
        for number in (0, 1):
            weights = trained(number)
            update = signed(coordinator, number, compute_artifact_id(weights))
            await client.announce_update(update)
            await client.upload_artifact(weights)
            receipt = await client.submit_update(update)
            if number == 0:
                registration = RegisterReceipt(update=update, receipt=receipt)
                await Wallet(here.client, client_key(0), here.chain).execute(registration)


async def test_the_round_is_opened_again_until_miners_take_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site(tmp_path) as here, started(await here.prepared(CONFIG)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        await register_receipt(here, coordinator)
        await until(
            lambda: any("receipts wait for another" in line for line in here.lines), seconds=60
        )
        view = await here.client.get_campaign(coordinator.campaign.campaign_id)
        assert (view.last_round, view.escrow) == (0, 100 * SAP_PER_FDC)
        monkeypatch.setattr(miner, "is_worth_mining", task_choice.is_worth_mining)
        (record,) = await asyncio.wait_for(run, 120)
        assert record.settled
        last, *earlier = await here.client.list_tasks(coordinator.campaign.campaign_id)
        assert last.phase == TASK_PHASE_SETTLED
        assert {task.phase for task in earlier} == {TASK_PHASE_FAILED}
        assert len(last.clients) == 2


async def test_a_coordinator_gives_up_after_some_tasks_that_no_miner_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settlement, "MAX_FAILURES", 2)
    async with site(tmp_path) as here, started(await here.prepared(CONFIG)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        await register_receipt(here, coordinator)
        with pytest.raises(RefusalError) as caught:
            await asyncio.wait_for(run, 120)
        assert caught.value.code is ApplicationCode.UNMINED_ROUND
        tasks = await here.client.list_tasks(coordinator.campaign.campaign_id)
        assert [task.phase for task in tasks] == [TASK_PHASE_FAILED] * 2
        view = await here.client.get_campaign(coordinator.campaign.campaign_id)
        assert not view.closed
