"""Liars against the real ledger and voting, in short; scripts/studies/security_study.py is long."""

from __future__ import annotations

import pytest

from fedcoin.incentive.payout import compute_deposit
from fedcoin.testing.campaign_simulation.campaign_setting import FDC, CampaignSetting
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.campaign_simulation.simulated_campaign import CampaignSimulation
from fedcoin.testing.dishonest.mining_strategies import HONEST_STRATEGY, MINING_STRATEGIES
from fedcoin.testing.measurements.coordinator_fraud import lies
from fedcoin.testing.measurements.equivocation import equivocated
from fedcoin.testing.measurements.replayed_messages import brought
from fedcoin.testing.measurements.settlement_delay import censored, withheld
from fedcoin.testing.measurements.strategy_outcomes import ours
from fedcoin.v1 import task_pb2

TASKS = 3
DEPOSIT = compute_deposit(1, 20 * FDC)


def played(
    kind: str, schedule: int = task_pb2.SCHEDULE_PERMUTATION, tasks: int = TASKS
) -> CampaignSimulation:
    strategy = MINING_STRATEGIES.get(kind, HONEST_STRATEGY)
    setting = CampaignSetting(
        strategies=(strategy, HONEST_STRATEGY, HONEST_STRATEGY, HONEST_STRATEGY),
        rounds=tasks,
        schedule=schedule,
        max_samples=0 if schedule == task_pb2.SCHEDULE_EXACT else 200,
    )
    arena = CampaignSimulation(setting)
    report = arena.run()
    assert not report.violations
    assert arena.failed == 0
    assert len(arena.settled) == tasks
    for node in arena.nodes:
        assert node.ledger.total_supply() == arena.genesis.supply
    return arena


def test_honest_miners_lose_nothing() -> None:
    arena = played("honest")
    assert [tally.revealed for tally in arena.tallies] == [TASKS] * 4
    assert not any(tally.burned for tally in arena.tallies)
    assert sum(tally.wins for tally in arena.tallies) == TASKS
    assert not arena.refusals


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
def test_liars_win_nothing_and_pay(kind: str, code: str) -> None:
    arena = played(kind)
    liar, *others = arena.tallies
    assert (liar.wins, liar.rewards, liar.revealed) == (0, 0, 0)
    assert liar.burned == TASKS * DEPOSIT
    assert all(tally.revealed == TASKS and not tally.burned for tally in others)
    assert set(arena.refusals) - {"TOO_LATE", "NOT_OPENED"} == ({code} if code else set())


@pytest.mark.parametrize("kind", ["partial-forger", "subtree-hider"])
def test_who_forges_a_tenth_is_as_good_as_caught(kind: str) -> None:
    liar = played(kind).tallies[0]
    assert liar.burned >= (TASKS - 1) * DEPOSIT


@pytest.mark.parametrize("kind", ["mean-publisher", "inflated-count", "invented-vector"])
def test_nor_under_exact(kind: str) -> None:
    arena = played(kind, task_pb2.SCHEDULE_EXACT, tasks=2)
    assert arena.tallies[0].wins == 0
    assert arena.tallies[0].burned == 2 * DEPOSIT


def test_who_stops_when_it_suits_stays_within_d() -> None:
    arena = played("optional-stopper")
    assert arena.tallies[0].revealed == TASKS
    values = arena.game.values()
    for task in arena.settled:
        assert abs(task.mean_shapley_nano[0] / 1e9 - values[0]) < 0.03


@pytest.mark.parametrize(("validators", "faulty"), [(4, 1), (7, 2)])
@pytest.mark.parametrize("hasty", [False, True])
def test_censors_delay_by_no_more_blocks_than_there_are(
    validators: int, faulty: int, hasty: bool
) -> None:
    fair = censored(2, validators, 0)
    found = censored(2, validators, faulty, hasty=hasty)
    assert found.failed == 0
    # Three phases can each be delayed.
    assert found.most_blocks <= fair.least_blocks + 3 * faulty
    # No word of an honest miner is kept out for more turns than there are censors.
    assert len(found.waits) - 1 <= faulty
    assert sum(found.waits) == 3 * 2 * (validators - faulty)
    assert len(fair.waits) == 1
    assert found.revealed == 2 * (validators - faulty)
    assert found.burned == 0


@pytest.mark.parametrize("kind", ["withholder", "late-withholder"])
def test_withholding_stops_no_settlement_that_has_its_quorum(kind: str) -> None:
    found = withheld(2, kind, 4, 1)
    assert (found.settled, found.failed) == (2, 0)
    assert found.burned == pytest.approx(DEPOSIT / FDC)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("validators", "faulty"), [(4, 1), (7, 2), (10, 3)])
def test_the_longest_delay_is_reached_and_never_passed(validators: int, faulty: int) -> None:
    found = censored(4, validators, faulty, seeds=2)
    assert found.failed == 0
    assert len(found.waits) - 1 == faulty


def test_who_is_away_costs_time_and_no_coin() -> None:
    found = withheld(2, "absentee", 4, 1)
    assert (found.settled, found.failed, found.burned) == (2, 0, 0)
    assert 10 <= found.seconds < 12


def test_a_grinder_tries_in_vain() -> None:
    found = ours("challenge-grinder", 10, schedule=task_pb2.SCHEDULE_EXACT)
    assert found.blocks == 10
    assert found.tries > 10 * found.turns > 0
    assert found.challenges == 1
    assert found.wins < 8
    assert found.lost == 0


@pytest.mark.parametrize(("validators", "count"), [(4, 1), (7, 2)])
def test_who_votes_twice_loses_its_bond_and_stops_nothing(validators: int, count: int) -> None:
    found = equivocated(2, validators, count)
    assert (found.settled, found.failed) == (2, 0)
    assert found.slashed == count
    assert found.honest_slashed == 0
    assert found.burned + found.reported == found.bond
    assert found.reported > 0


def test_what_is_old_or_foreign_changes_nothing() -> None:
    """`brought` itself asserts that each is refused and the state stays."""
    said = {row.what: row for row in brought()}
    assert len(said) == 13
    assert said["a vote of a final height"].points == 0
    assert said["a transaction for another chain"].said == "WRONG_CHAIN"
    assert all(row.points >= 20 for what, row in said.items() if "for another chain" in what)


def test_a_coordinator_is_refused_unless_it_leaves_somebody_out() -> None:
    said = {lie.what: lie.code for lie in lies()}
    assert {what for what, code in said.items() if not code} == {"nothing", "leaves a client out"}


def test_the_same_seed_is_the_same_history() -> None:
    first, second = (played("honest", tasks=2) for _ in range(2))
    assert [n.tip.hash for n in first.nodes if n.tip] == [n.tip.hash for n in second.nodes if n.tip]


def test_the_game_is_a_function_of_the_coalition() -> None:
    assert (SaturatingGame(6).table() == SaturatingGame(6).table()).all()
    assert SaturatingGame(6).values().sum() * 1_000 == pytest.approx(
        SaturatingGame(6).table()[-1] - SaturatingGame(6).table()[0]
    )
