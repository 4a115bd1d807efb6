"""Dishonest miners among honest ones, on real ledgers and with the real voting."""

from __future__ import annotations

import pytest

from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.incentive.payout import compute_deposit
from fedcoin.testing.campaign_simulation.campaign_setting import CampaignSetting
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY, MINING_STRATEGIES
from fedcoin.v1 import task_pb2

TASKS = 3
DEPOSIT = compute_deposit(1, 20 * SAP_PER_FDC, winner_takes_all=True)


def run_with(
    kind: str, schedule: int = task_pb2.SCHEDULE_PERMUTATION, tasks: int = TASKS
) -> CampaignSimulation:
    """Run one miner of a kind and three honest ones; checks that all tasks settle."""
    strategy = MINING_STRATEGIES.get(kind, HONEST_STRATEGY)
    setting = CampaignSetting(
        strategies=(strategy, HONEST_STRATEGY, HONEST_STRATEGY, HONEST_STRATEGY),
        rounds=tasks,
        schedule=schedule,
        max_samples=0 if schedule == task_pb2.SCHEDULE_EXACT else 200,
    )
    campaign = CampaignSimulation(setting)
    report = campaign.run()
    assert not report.violations
    assert campaign.outcome.num_failed == 0
    assert len(campaign.outcome.settled) == tasks
    for node in campaign.nodes:
        assert node.ledger.total_supply() == campaign.genesis.supply
    return campaign


def test_honest_miners_lose_nothing() -> None:
    outcome = run_with("honest").outcome
    assert [tally.revealed for tally in outcome.tallies] == [TASKS] * 4
    assert not any(tally.burned for tally in outcome.tallies)
    assert sum(tally.wins for tally in outcome.tallies) == TASKS
    assert not outcome.refusals


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("copier", "WRONG_OPENING"),
        ("reveal-copier", "WRONG_OPENING"),
        ("mean-publisher", "AUDIT_FAILED"),
        ("inflated-count", "AUDIT_FAILED"),
        ("invented-vector", "AUDIT_FAILED"),
        ("withholder", ""),
        ("late-withholder", ""),
    ],
)
def test_dishonest_miners_win_nothing_and_lose_their_deposits(kind: str, code: str) -> None:
    outcome = run_with(kind).outcome
    dishonest, *honest = outcome.tallies
    assert (dishonest.wins, dishonest.rewards, dishonest.revealed) == (0, 0, 0)
    assert dishonest.burned == TASKS * DEPOSIT
    assert all(tally.revealed == TASKS and not tally.burned for tally in honest)
    assert set(outcome.refusals) - {"TOO_LATE", "NOT_OPENED"} == ({code} if code else set())


@pytest.mark.parametrize("kind", ["partial-forger", "subtree-hider"])
def test_a_miner_that_forges_a_tenth_is_nearly_always_detected(kind: str) -> None:
    assert run_with(kind).outcome.tallies[0].burned >= (TASKS - 1) * DEPOSIT


@pytest.mark.parametrize("kind", ["mean-publisher", "inflated-count", "invented-vector"])
def test_dishonest_miners_win_nothing_under_exact(kind: str) -> None:
    tally = run_with(kind, task_pb2.SCHEDULE_EXACT, tasks=2).outcome.tallies[0]
    assert tally.wins == 0
    assert tally.burned == 2 * DEPOSIT


def test_a_miner_that_stops_at_a_favourable_count_stays_within_d() -> None:
    campaign = run_with("optional-stopper")
    assert campaign.outcome.tallies[0].revealed == TASKS
    exact = campaign.game.values()
    for task in campaign.outcome.settled:
        assert abs(task.mean_shapley_nano[0] / 1e9 - exact[0]) < 0.03


def test_the_same_seed_gives_the_same_blocks() -> None:
    first, second = (run_with("honest", tasks=2) for _ in range(2))
    hashes = [[node.tip.hash for node in c.nodes if node.tip] for c in (first, second)]
    assert hashes[0] == hashes[1]
