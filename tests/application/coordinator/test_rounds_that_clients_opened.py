"""A coordinator that was away while its clients opened the round with their receipts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.client.receipt_claims import open_next_round
from fedcoin.application.coordinator import coordinator as coordinator_module
from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.coordinator.resumption import find_task_of_clients
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.clock import unix_ms
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.transaction_pb2 import RegisterReceipt, Transfer, TransferOutput
from fedcoin.v1.views_pb2 import TaskView
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

pytestmark = [pytest.mark.timeout(180), pytest.mark.usefixtures("inline_workers")]

CONFIG = settings(rounds=3, clients=3, round_seconds=8, receipt_seconds=16)


async def register_clients(here: TrainingSite, coordinator: Coordinator) -> None:
    await until(lambda: bool(coordinator.campaign.campaign_id))
    async with FederatedClient(coordinator.address) as client:
        for number in range(3):
            await client.register(client_key(number), here.chain.genesis_hash, unix_ms())


async def hand_in(coordinator: Coordinator, round: int, *numbers: int) -> list[RegisterReceipt]:
    """Hand in the updates of these clients for a round; returns how each registers its receipt."""
    campaign = coordinator.campaign
    await until(lambda: campaign.round == round and campaign.phase is CampaignPhase.TRAINING)
    registrations = []
    async with FederatedClient(coordinator.address) as client:
        for number in numbers:
            weights = trained(number)
            update = signed(coordinator, number, compute_artifact_id(weights))
            await client.announce_update(update)
            await client.upload_artifact(weights)
            receipt = await client.submit_update(update)
            registrations.append(RegisterReceipt(update=update, receipt=receipt))
    return registrations


async def lose_the_coordinator(here: TrainingSite) -> tuple[bytes, list[RegisterReceipt]]:
    """Play round 1, hand in two of three updates of round 2, and stop the coordinator."""
    async with started(await here.prepared(CONFIG)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        await register_clients(here, coordinator)
        await hand_in(coordinator, 1, 0, 1, 2)
        registrations = await hand_in(coordinator, 2, 0, 1)
        run.cancel()
        await asyncio.wait([run])
        return coordinator.campaign.campaign_id, registrations


async def open_by_clients(
    here: TrainingSite, campaign_id: bytes, registrations: list[RegisterReceipt]
) -> bytes:
    """Register the two receipts, and let the first client open the round; returns the task's id."""
    miner = Wallet(here.client, MINER, here.chain)
    wallets = [Wallet(here.client, client_key(number), here.chain) for number in (0, 1)]
    for number, (wallet, registration) in enumerate(zip(wallets, registrations, strict=True)):
        coins = TransferOutput(recipient=client_key(number).address, amount=10 * SAP_PER_FDC)
        await miner.execute(Transfer(outputs=[coins]))
        await here.client.upload_artifact(trained(number))
        await wallet.execute(registration)
    return await open_next_round(here.client, wallets[0], campaign_id, (), here.lines.append)


@pytest.mark.parametrize("is_noticed_late", [False, True])
async def test_a_coordinator_goes_on_after_the_round_that_its_clients_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_noticed_late: bool
) -> None:
    """It notices when it starts, or when the chain refuses its own task for the round."""
    monkeypatch.setattr(coordinator_module, "FAREWELL_SECONDS", 1.0)
    looks = 0

    async def look(node: NodeClient, campaign: Campaign) -> TaskView | None:
        nonlocal looks
        looks += 1
        blind = is_noticed_late and looks <= 2  # Before it trains, and before it settles.
        return None if blind else await find_task_of_clients(node, campaign)

    monkeypatch.setattr(coordinator_module, "find_task_of_clients", look)
    async with site(tmp_path) as here:
        campaign_id, registrations = await lose_the_coordinator(here)
        looks = 0
        task_id = await open_by_clients(here, campaign_id, registrations)
        async with started(here.coordinator(CONFIG)) as coordinator:
            run = asyncio.create_task(coordinator.run())
            await hand_in(coordinator, 3, 0, 1)
            records = await asyncio.wait_for(run, 60)
        assert [record.round for record in records] == [1, 2, 3]
        assert all(record.settled for record in records)
        followed = records[1]
        assert followed.task_id == task_id
        assert [client.address for client in followed.clients] == sorted(
            client_key(number).address for number in (0, 1)
        )
        campaign = await here.client.get_campaign(campaign_id)
        assert (campaign.last_round, campaign.closed) == (3, True)
        assert any("opened task" in line for line in here.lines)
