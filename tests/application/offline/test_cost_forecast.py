"""The forecast of a campaign's costs, compared with what the ledger asks for the same campaign."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.offline.cost_forecast import CampaignForecast, forecast_campaign
from fedcoin.data.messages.parameters import Parameters
from tests.support.genesis import FDC
from tests.support.ledger_campaign import LedgerCampaign
from tests.support.served_api import GrowingChain

DEFAULTS = Parameters()


def forecast(rules: Parameters = DEFAULTS, size: int = 100, **changes: Any) -> CampaignForecast:
    given: dict[str, Any] = {"clients": 3, "rounds": 2, "budget": 10 * FDC}
    config = CoordinatorConfig(**{**given, "training_reward": "proportional", **changes})
    return forecast_campaign(config, rules, size, 4, 1_000)


def test_the_ledger_asks_for_the_same(tmp_path: Path) -> None:
    chain = GrowingChain.create(2, folder=tmp_path, users=("alice", "bob"))
    job = LedgerCampaign(chain)
    job.open_campaign()
    job.open_task()
    windows = {
        "commit_seconds": job.terms.commit_window_ms / 1000,
        "reveal_seconds": job.terms.reveal_window_ms / 1000,
        "attempts": job.terms.max_attempts,
    }
    rules, size = chain.genesis.parameters, job.terms.evaluation.size
    found = forecast(rules, size, **windows).rounds[0]
    assert (found.work, found.offer) == (job.task.work, job.task.offer)
    prices = job.terms.prices
    expected = (prices.training, prices.aggregation, prices.mining)
    assert (found.training, found.aggregation, found.mining) == expected
    assert found.deposit == job.deposit


@pytest.mark.parametrize("spread", ["equal", "decreasing"])
def test_the_rounds_add_up_to_the_budget(spread: str) -> None:
    found = forecast(spread=spread, rounds=3)
    # Each round rounds its parts to whole sap.
    assert abs(sum(each.mining for each in found.rounds) - found.mining) <= 3
    assert abs(sum(each.aggregation for each in found.rounds) - found.aggregation) <= 3
    assert found.training + found.aggregation + found.mining == found.budget == 10 * FDC


def test_a_poor_campaign_does_not_pay_its_miners() -> None:
    assert all(each.pays_floor for each in forecast().rounds)
    poor = forecast(budget=1000)
    assert not any(each.pays_floor for each in poor.rounds)
    assert all(each.income_of_miner < 0 for each in poor.rounds)
