"""A coordinator and a client whose update makes the model much worse, on a real chain."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.client import handing_in
from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator import coordinator as coordinator_module
from fedcoin.application.coordinator.campaign import CampaignPhase
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.coordinator.initial_artifacts import InitialArtifacts, create_campaign
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.clock import unix_ms
from fedcoin.learning.training import datasets
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.testing.measurements.client_fraud import train
from fedcoin.v1.task_pb2 import ClientUpdate
from tests.conftest import ReportAttack
from tests.support.handing_in import hand_in_update
from tests.support.training_site import (
    TrainingSite,
    client_key,
    materials,
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


def train_materials() -> InitialArtifacts:
    """A model that is worth something when the first round begins."""
    made, digits = materials(), datasets.load_dataset("digits")
    x = digits.x_train.reshape(len(digits.y_train), -1) / np.float32(16)
    trained = train(decode_tensors(made.weights), (x, digits.y_train), 1)
    return replace(made, weights=encode_tensors(trained))


async def begin(here: TrainingSite, config: CoordinatorConfig) -> Coordinator:
    campaign = create_campaign(config, here.chain, here.store(), train_materials())
    await CampaignFile(here.state_path).save(campaign)
    return here.coordinator(config)


async def try_to_hand_in(
    here: TrainingSite, coordinator: Coordinator, number: int, factor: float
) -> handing_in.HandedIn:
    """Hand in the base weights times a factor, as a client's program does."""
    base = decode_tensors(here.store().read(coordinator.campaign.base))
    weights = encode_tensors({name: np.float32(factor) * value for name, value in base.items()})
    update = ClientUpdate.FromString(signed(coordinator, number, bytes(32)).body)
    signer = handing_in.UpdateSigner(update, client_key(number), here.chain.genesis_hash)
    async with FederatedClient(coordinator.address) as client:
        return await handing_in.hand_in(client, signer, weights, here.lines.append)


@pytest.mark.timeout(180)
@pytest.mark.slow
@pytest.mark.attack
async def test_an_update_that_ruins_the_model_alone_gets_no_receipt(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    config = settings(max_update_harm="0.5")
    async with site(tmp_path) as here, started(await begin(here, config)) as coordinator:
        campaign = coordinator.campaign
        run = asyncio.create_task(coordinator.run())
        await until(lambda: bool(campaign.campaign_id))
        for number in (0, 1):
            await register(here, coordinator, number)
        await until(lambda: campaign.phase is CampaignPhase.TRAINING)
        # All of it, half and a quarter of the change turn the model around; a fourth update is not
        # looked at.
        for message in (
            "worse than the round's base model",
            "3 updates of this client were too harmful in round 1",
        ):
            with pytest.raises(RpcError) as caught:
                await try_to_hand_in(here, coordinator, 0, -9.0)
            assert caught.value.code == "HARMFUL_UPDATE"
            assert message in caught.value.message
        assert campaign.updates == {}
        # Half of this change turns nothing around, and is taken.
        handed = await try_to_hand_in(here, coordinator, 1, -0.5)
        sent = decode_tensors(handed.weights)
        base = decode_tensors(here.store().read(campaign.base))
        for name, value in base.items():
            np.testing.assert_allclose(sent[name], np.float32(0.25) * value, rtol=1e-6)
        assert handed.receipt.signature
        # The round does not wait for the client that was refused, and the next one does.
        await until(lambda: campaign.phase is CampaignPhase.SETTLING)
        assert list(campaign.updates) == [client_key(1).address]
        assert not campaign.clients[client_key(0).address].missed
        assert sum("handing in 0.5 of the change" in line for line in here.lines) == 3
        run.cancel()
    report_attack(
        "turn a good model around in one round, so that an accomplice is paid for turning it back",
        "43 % of the campaign's fund (digits), before the rule on harm acts",
        "with `coordinator.max_update_harm`: no receipt (`HARMFUL_UPDATE`)",
    )


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
