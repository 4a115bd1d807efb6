"""A client that trains with differential privacy signs what it spent, and is paid."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest

from fedcoin.application.client.privacy_ledger import PrivacyLedger
from fedcoin.application.client.trainer import Trainer
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.private_sgd import PrivacySettings
from tests.support.training_site import client_key, settings, site, started
from tests.support.waiting import LOADED_SECONDS

# Found, not imported: the import takes a second, in each process that collects the tests.
pytestmark = pytest.mark.skipif(
    find_spec("dp_accounting") is None, reason="needs dp-accounting: the extra `privacy`"
)


async def test_the_spent_budget_is_on_the_chain(tmp_path: Path) -> None:
    lines: list[str] = []
    privacy = PrivacySettings(clip=1.0, noise_multiplier=1.2)
    async with site(tmp_path) as here:
        config = settings(clients=1, rounds=2)
        async with started(await here.prepared(config)) as coordinator:
            trainer = Trainer(
                coordinator.address,
                client_key(0),
                ClientData("digits", scale=16, privacy=privacy),
                here.chain.genesis_hash,
                report=lines.append,
                ledger=PrivacyLedger(tmp_path / "privacy.json", 0.01),
            )
            try:
                work = asyncio.gather(coordinator.run(), trainer.run())
                await asyncio.wait_for(work, LOADED_SECONDS)
            finally:
                await trainer.stop()
            tasks = await here.client.list_tasks(coordinator.campaign.campaign_id)
    claims = {task.round: task.clients[0].privacy for task in tasks}
    assert claims[1].epsilon_milli < claims[2].epsilon_milli < 2 * claims[1].epsilon_milli
    assert (claims[2].clip_micro, claims[2].noise_micro) == (1_000_000, 1_200_000)
    assert claims[2].delta_pico == 10**10
    (warning,) = (line for line in lines if "delta 0.01 is not below 1 / 1437" in line)
    assert lines.index(warning) < next(i for i, line in enumerate(lines) if "joined" in line)
