"""A client of a campaign that is closed before its last round."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from fedcoin.application.cli.training.unfinished_campaign import refuse_early_end
from fedcoin.application.client.trainer import Trainer
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.learning.training.client_data import ClientData
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.views_pb2 import CampaignView
from tests.support.training_site import client_key, settings, site, started


class ObjectingNode:
    """A node that says that the campaign closes, so that the client hands nothing in."""

    async def get_campaign(self, campaign_id: object) -> CampaignView:
        return CampaignView(closing_ms=1)


@pytest.mark.slow
async def test_the_rounds_that_did_not_take_place_are_an_error(tmp_path: Path) -> None:
    config = settings(clients=1, rounds=2, join_seconds=6, round_seconds=2, receipt_seconds=0)
    lines: list[Any] = []
    async with site(tmp_path) as here, started(await here.prepared(config)) as coordinator:
        trainer = Trainer(
            coordinator.address,
            client_key(0),
            ClientData(is_free_rider=True),
            here.chain.genesis_hash,
            report=lines.append,
            node=cast("NodeClient", ObjectingNode()),
        )
        taking_part = asyncio.create_task(trainer.run())
        with pytest.raises(RefusalError) as caught:
            await asyncio.wait_for(coordinator.run(), 60)
        assert caught.value.code is ApplicationCode.GAVE_UP
        assert await asyncio.wait_for(taking_part, 30) == ()
        await trainer.stop()
    assert trainer.missing_rounds == 2
    with pytest.raises(RefusalError, match="2 rounds before its last one") as caught:
        refuse_early_end(trainer.missing_rounds)
    assert caught.value.code is ApplicationCode.CAMPAIGN_ENDED
    refuse_early_end(0)
