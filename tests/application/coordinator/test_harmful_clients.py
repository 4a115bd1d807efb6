"""A coordinator and a client whose update makes the model much worse, on a real chain."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.coordinator import coordinator as coordinator_module
from fedcoin.application.coordinator.campaign import CampaignPhase
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.clock import unix_ms
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.rpc_error import RpcError
from tests.conftest import ReportAttack
from tests.support.handing_in import hand_in_update
from tests.support.training_site import (
    TrainingSite,
    client_key,
    settings,
    signed,
    site,
    started,
)
from tests.support.waiting import until


async def hand_in(here: TrainingSite, coordinator: Coordinator, number: int, factor: float) -> None:
    """Hand in the base weights times a factor; a negative one turns the model's answers around."""
    base = decode_tensors(here.store().read(coordinator.campaign.base))
    weights = encode_tensors({name: np.float32(factor) * value for name, value in base.items()})
    async with FederatedClient(coordinator.address) as client:
        await hand_in_update(
            client, signed(coordinator, number, compute_artifact_id(weights)), weights
        )


async def register(here: TrainingSite, coordinator: Coordinator, number: int) -> None:
    async with FederatedClient(coordinator.address) as client:
        await client.register(client_key(number), here.chain.genesis_hash, unix_ms())


@pytest.mark.timeout(180)
async def test_a_client_that_sinks_the_model_takes_part_in_no_later_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, report_attack: ReportAttack
) -> None:
    monkeypatch.setattr(coordinator_module, "FAREWELL_SECONDS", 1.0)
    config = settings(max_harm="0.01")
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        campaign = coordinator.campaign
        run = asyncio.create_task(coordinator.run())
        await until(lambda: bool(campaign.campaign_id))
        for number in (0, 1):
            await register(here, coordinator, number)
        await until(lambda: campaign.phase is CampaignPhase.TRAINING)
        # Ten times the base answers as the base does, and weighs up what turns it around.
        await hand_in(here, coordinator, 0, 10.0)
        await hand_in(here, coordinator, 1, -9.0)
        await until(lambda: campaign.round == 2 and campaign.phase is CampaignPhase.TRAINING)
        (first,) = campaign.history
        values = {client.address: client.shapley_nano for client in first.clients}
        assert values[client_key(1).address] < -10_000_000
        assert values[client_key(0).address] > 10_000_000
        for attempt in (register(here, coordinator, 1), hand_in(here, coordinator, 1, 1.0)):
            with pytest.raises(RpcError) as caught:
                await attempt
            assert caught.value.code == "LEFT_OUT"
        # The round does not wait for it.
        await hand_in(here, coordinator, 0, 1.0)
        history = await asyncio.wait_for(run, 60)
        assert [len(record.clients) for record in history] == [2, 1]
    report_attack(
        "sink the model again and again, so that an accomplice is paid for repairing it",
        "each round, until the fund is used up",
        "for each address that sinks it, `coordinator.max_harm` of the budget for training, what"
        " this address was paid for real gains before, and one round (`LEFT_OUT`)",
    )
