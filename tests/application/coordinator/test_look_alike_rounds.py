"""A campaign with a similarity limit on a real chain: mined, voted for, paid and recomputed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.coordinator import coordinator as coordinator_module
from fedcoin.application.coordinator.campaign import CampaignPhase
from fedcoin.application.verification.reveal_check import RevealCheck, check_reveals
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.learning.training.datasets import load_dataset
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.testing.measurements.client_fraud import train
from fedcoin.testing.measurements.evaluated_network import Weights
from tests.support.handing_in import hand_in_update
from tests.support.training_site import client_key, materials, settings, signed, site, started
from tests.support.waiting import LOADED_SECONDS, until

pytestmark = pytest.mark.usefixtures("inline_workers")

LIMIT = 0.95


def trained(number: int) -> Weights:
    """Train the first model on one half of the classes of the digits."""
    data = load_dataset("digits", scale=16)
    rows = data.y_train // 5 == number
    flat = data.x_train.reshape(len(data.x_train), -1)
    return train(decode_tensors(materials().weights), (flat[rows], data.y_train[rows]), number)


def near_copy(weights: Weights, noise: float, seed: int) -> Weights:
    """Copy weights with a little noise in each of them."""
    rng = np.random.default_rng(seed)
    return {
        name: (array + noise * rng.normal(size=array.shape)).astype(np.float32)
        for name, array in weights.items()
    }


@pytest.fixture(autouse=True)
def _brief_farewell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator_module, "FAREWELL_SECONDS", 1.0)


@pytest.mark.timeout(300)
async def test_near_copies_share_one_value_from_the_round_to_the_recomputation(
    tmp_path: Path,
) -> None:
    config = settings(clients=4, rounds=1, similarity_limit=LIMIT, round_seconds=LOADED_SECONDS)
    first, second = trained(0), trained(1)
    updates = [first, second, near_copy(first, 1e-3, 1), near_copy(first, 1e-3, 2)]
    copies = {format_address(client_key(n).address) for n in (0, 2, 3)}
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        run = asyncio.create_task(coordinator.run())
        async with FederatedClient(coordinator.address) as client:
            genesis_hash = coordinator.campaign.genesis_hash
            for number in range(4):
                await client.register(client_key(number), genesis_hash, unix_ms())
            await until(lambda: coordinator.campaign.phase is CampaignPhase.TRAINING)
            for number, update in enumerate(updates):
                weights = encode_tensors(update)
                envelope = signed(coordinator, number, compute_artifact_id(weights))
                await hand_in_update(client, envelope, weights)
        (record,) = await asyncio.wait_for(run, LOADED_SECONDS)
        assert record.settled
        assert "round 1: 4 updates are 2 players, with the similarity limit 0.95" in here.lines
        (view,) = await here.client.list_tasks(coordinator.campaign.campaign_id)
        campaign = await here.client.get_campaign(coordinator.campaign.campaign_id)
    assert campaign.similarity_limit_ppm == 950_000
    values = {c.address: c.shapley_nano for c in view.clients}
    groups = {c.address: c.group for c in view.clients}
    assert len({groups[address] for address in copies}) == 1
    assert len(set(groups.values())) == 2
    shared = [values[address] for address in copies]
    (alone,) = (value for address, value in values.items() if address not in copies)
    assert max(shared) - min(shared) <= 1
    # Together three addresses have what one of two clients has, and not three quarters.
    assert 0.5 < sum(shared) / alone < 2
    for c in view.clients:
        assert c.payout == c.shapley_nano * 70 * SAP_PER_FDC // 10**9 > 0
    found = await asyncio.to_thread(recompute, Home(tmp_path / "node"))
    # All 16 coalitions of four clients are the four of two players.
    assert (found.reveals, found.coalitions, found.missing) == (1, 16, ())


def recompute(home: Home) -> RevealCheck:
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        work = check_reveals(store, home.genesis(), home.artifacts_path, lambda: None)
        return asyncio.run(work)
