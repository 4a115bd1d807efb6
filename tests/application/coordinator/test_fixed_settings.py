"""A coordinator that goes on is told what its campaign was begun with, or refuses."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.config_sources import load_config
from fedcoin.application.coordinator.campaign import CampaignPhase
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.fixed_settings import (
    FIXED,
    check_fixed,
    recall_settings,
    render_fixed,
)
from fedcoin.application.coordinator.initial_artifacts import create_campaign
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.learning.training.datasets import load_evaluation_set
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.transaction_pb2 import CloseCampaign
from tests.support.training_site import (
    FUNDS,
    SERVER,
    materials,
    settings,
    site,
    started,
)
from tests.support.waiting import until

pytestmark = pytest.mark.usefixtures("inline_workers")

OTHER = {
    "dataset": "mnist",
    "input_scale": 255,
    "model": "cnn",
    "initial_weights": "average",
    "trained": "*kernel*",
    "evaluation_size": 10,
    "evaluation_shards": 2,
    "rounds": 5,
    "budget": "40fdc",
    "requester": "purse.json",
    "receipt_seconds": 300,
    "spread": "decreasing",
    "split": "1,1,1",
    "reward": "winner",
    "training_reward": "proportional",
    "unit_price": "1fdc",
    "similarity_limit": 0.5,
    "utility": "log-loss",
    "private": True,
    "seed": 7,
}
NEEDED: dict[str, dict[str, object]] = {"private": {"clients_file": "clients.txt"}}


async def test_each_fixed_setting_is_compared_and_named(tmp_path: Path) -> None:
    assert set(OTHER) == set(FIXED)
    async with site(tmp_path) as here:
        await here.prepared(settings())
        campaign = await CampaignFile(here.state_path).load()
        assert campaign is not None
        before = render_fixed(settings())
        with pytest.raises(RefusalError, match="rounds = 2"):
            await here.coordinator(settings(rounds=5)).start()
        for name, value in OTHER.items():
            chosen = settings(**{name: value, **NEEDED.get(name, {})})
            with pytest.raises(RefusalError) as caught:
                check_fixed(campaign, chosen)
            error = caught.value
            assert error.code is ApplicationCode.OTHER_SETTINGS
            given = render_fixed(chosen)[name]
            assert f"coordinator.{name} = {before[name]} (given: {given})" in error.message
            assert (error.field, error.limit) == (f"coordinator.{name}", before[name])
        # How clients train, and how long each step takes, may change.
        changed = settings(epochs=9, join_seconds=9, max_clients=7)
        async with started(here.coordinator(changed)) as again:
            assert again.campaign.max_clients == 7
        assert "going on with round 1: waiting" in here.lines


async def test_a_start_without_flags_has_the_settings_of_the_campaign(tmp_path: Path) -> None:
    begun = settings(rounds=7, budget="31fdc", clients=2, epochs=9, key="coordinator")
    async with site(tmp_path) as here:
        campaign = create_campaign(begun, here.chain, here.store(), materials())
        file = CampaignFile(here.state_path)
        await file.save(campaign)
        recalled = recall_settings(here.state_path, new=True)
        config = load_config(None, {}, {}, recalled).coordinator
        assert config == begun
        check_fixed(campaign, config)
        # What is given now comes first: it is refused where the campaign fixed it.
        flags = {"coordinator.rounds": 5, "coordinator.epochs": 3}
        given = load_config(None, {"FEDCOIN_COORDINATOR_CLIENTS": "4"}, flags, recalled).coordinator
        assert (given.rounds, given.epochs, given.clients) == (5, 3, 4)
        with pytest.raises(RefusalError, match=r"rounds = 7 \(given: 5\)"):
            check_fixed(campaign, given)
        campaign.phase = CampaignPhase.FINISHED
        await file.save(campaign)
    assert recall_settings(here.state_path, new=True) == {}
    assert recall_settings(here.state_path, new=False) == recalled


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": 3, "other_settings": {}}'])
def test_nothing_is_recalled_from_a_damaged_file(tmp_path: Path, content: str) -> None:
    assert recall_settings(tmp_path / "missing", new=False) == {}
    (tmp_path / "coordinator.json").write_text(content)
    assert recall_settings(tmp_path / "coordinator.json", new=False) == {}


def test_a_recalled_value_that_is_no_toml_is_refused() -> None:
    with pytest.raises(RefusalError, match=r"coordinator\.rounds"):
        load_config(None, {}, {}, {"coordinator.rounds": "= 3"})


async def test_a_finished_campaign_names_the_way_to_another(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        campaign = create_campaign(settings(), here.chain, here.store(), materials())
        campaign.campaign_id, campaign.phase = b"c" * 32, CampaignPhase.FINISHED
        check_fixed(campaign, settings())
        with pytest.raises(RefusalError, match="is finished: start with --new-campaign"):
            check_fixed(campaign, settings(rounds=5))


async def test_a_campaign_of_another_key_is_not_continued(tmp_path: Path) -> None:
    async with site(tmp_path) as here, started(await here.prepared(settings())) as coordinator:
        run = asyncio.create_task(coordinator.run())
        await until(lambda: bool(coordinator.campaign.campaign_id))
        run.cancel()
        await asyncio.wait([run])
        other = here.coordinator(settings(), KeyPair.from_seed(b"o" * 32))
        async with started(other):
            with pytest.raises(RefusalError, match="give --key as before") as caught:
                await other.run()
        assert caught.value.code is ApplicationCode.OTHER_SETTINGS


async def test_a_campaign_that_was_closed_meanwhile_is_over(tmp_path: Path) -> None:
    async with site(tmp_path) as here, started(await here.prepared(settings())) as coordinator:
        run = asyncio.create_task(coordinator.run())
        await until(lambda: bool(coordinator.campaign.campaign_id))
        run.cancel()
        await asyncio.wait([run])
        await coordinator.stop()
        wallet = Wallet(here.client, SERVER, here.chain)
        action = CloseCampaign(campaign_id=coordinator.campaign.campaign_id)
        await wallet.wait_until_final(await wallet.submit(action), 60)
        async with started(here.coordinator(settings())) as again:
            with pytest.raises(RefusalError, match="round 1 is not held") as caught:
                await again.run()
            assert caught.value.code is ApplicationCode.CAMPAIGN_FINISHED
        saved = await CampaignFile(here.state_path).load()
        assert saved is not None
        assert saved.phase is CampaignPhase.FINISHED


@pytest.mark.parametrize(("examples", "limit"), [(360, 50_000), (2, 2_000)])
async def test_nothing_is_paid_when_the_node_does_not_take_the_artifacts(
    tmp_path: Path, examples: int, limit: int
) -> None:
    """First the evaluation set (some 95 KB) is too large for the node, then the weights (5 KB)."""
    async with site(tmp_path, artifact_bytes=limit) as here:
        evaluation = load_evaluation_set("digits", examples, scale=16)
        given = replace(materials(), evaluation=evaluation)
        campaign = create_campaign(settings(), here.chain, here.store(), given)
        await CampaignFile(here.state_path).save(campaign)
        async with started(here.coordinator(settings())) as coordinator:
            with pytest.raises((RefusalError, RpcError)) as caught:
                await coordinator.run()
        named = "evaluation set" if examples > 2 else f"{limit}"
        failure: Any = caught.value
        assert named in failure.message
        assert failure.code in (DataCode.TOO_LARGE, "TOO_LARGE")
        assert await here.client.list_campaigns() == []
        assert (await here.client.get_account(SERVER.address)).balance == FUNDS
        assert not coordinator.campaign.pending
