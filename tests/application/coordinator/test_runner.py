"""The campaign of a home: when a new one replaces a finished one."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.coordinator.campaign import CampaignPhase
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.initial_artifacts import create_campaign
from fedcoin.application.coordinator.runner import open_coordinator
from fedcoin.data.errors import RefusalError
from tests.support.training_site import SERVER, TrainingSite, materials, settings, site


async def finish_campaign(here: TrainingSite) -> bytes:
    """Leave a finished campaign in the node's home; returns its file's content."""
    campaign = create_campaign(settings(), here.chain, here.store(), materials())
    campaign.campaign_id, campaign.phase = b"c" * 32, CampaignPhase.FINISHED
    path = here.node_home().coordinator_path
    path.parent.mkdir(parents=True, exist_ok=True)
    await CampaignFile(path).save(campaign)
    return path.read_bytes()


async def test_a_new_campaign_that_cannot_be_prepared_leaves_the_finished_one(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as here:
        finished = await finish_campaign(here)
        home = here.node_home()
        config = home.config({"FEDCOIN_COORDINATOR_DATASET": str(tmp_path / "missing.npz")})
        with pytest.raises(RefusalError, match=r"missing\.npz"):
            async with open_coordinator(
                config, home, SERVER, here.client, here.chain, here.store(), new=True
            ):
                pass
        assert home.coordinator_path.read_bytes() == finished
        assert not list(home.root.glob("coordinator-*.json"))
