"""A campaign whose clients train the last layer alone, from the first upload to the payments."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.coordinator import coordinator as coordinator_module
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.learning.model.spec import frozen_shapes, parse_spec, trained_shapes
from tests.support.training_site import settings, site, started
from tests.support.waiting import LOADED_SECONDS


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_clients_train_and_are_paid_for_the_named_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator_module, "FAREWELL_SECONDS", 1.0)
    config = settings(
        clients=1,
        rounds=2,
        input_scale=16,
        trained="dense_1*",
        join_seconds=LOADED_SECONDS,
        round_seconds=LOADED_SECONDS,
    )
    async with site(tmp_path) as here, started(here.coordinator(config)) as coordinator:
        trainer = here.trainer(coordinator.address, 0)
        task = asyncio.create_task(trainer.run())
        try:
            history = await asyncio.wait_for(coordinator.run(), LOADED_SECONDS)
            paid = await asyncio.wait_for(task, 30)
        finally:
            task.cancel()
            await trainer.stop()
        campaign = coordinator.campaign
        model = await here.client.download_artifact(campaign.model)
        views = await here.client.list_tasks(campaign.campaign_id)
        aggregate = await here.client.download_artifact(bytes.fromhex(views[0].aggregate))
        frozen = await here.client.download_artifact(campaign.frozen)
    spec = parse_spec(model)
    assert [len(trained_shapes(spec)), len(frozen_shapes(spec))] == [2, 2]
    assert list(decode_tensors(aggregate)) == list(trained_shapes(spec))
    assert list(decode_tensors(frozen)) == list(frozen_shapes(spec))
    assert all(record.settled for record in history)
    assert [payment.payout > 0 for payment in paid] == [True, True]
