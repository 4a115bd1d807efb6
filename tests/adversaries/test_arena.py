"""Liars against the real ledger and voting, in short; scripts/security_study.py is long."""

from __future__ import annotations

import pytest

from fedcoin.application.adversaries.strategies import HONEST, STRATEGIES
from fedcoin.incentive.payout import commit_deposit
from fedcoin.v1 import task_pb2
from scripts.security.arena import FDC, Arena, Setting
from scripts.security.censorship import censored, withheld
from scripts.security.games import Game

TASKS = 3
DEPOSIT = commit_deposit(1, 20 * FDC)


def played(kind: str, schedule: int = task_pb2.SCHEDULE_PERMUTATION, tasks: int = TASKS) -> Arena:
    strategy = STRATEGIES.get(kind, HONEST)
    setting = Setting(
        strategies=(strategy, HONEST, HONEST, HONEST),
        rounds=tasks,
        schedule=schedule,
        max_samples=0 if schedule == task_pb2.SCHEDULE_EXACT else 200,
    )
    arena = Arena(setting)
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
    assert found.revealed == 2 * (validators - faulty)
    assert found.burned == 0


@pytest.mark.parametrize("kind", ["withholder", "late-withholder"])
def test_withholding_stops_no_settlement_that_has_its_quorum(kind: str) -> None:
    found = withheld(2, kind, 4, 1)
    assert (found.settled, found.failed) == (2, 0)
    assert found.burned == pytest.approx(DEPOSIT / FDC)


def test_the_same_seed_is_the_same_history() -> None:
    first, second = (played("honest", tasks=2) for _ in range(2))
    assert [n.tip.hash for n in first.nodes if n.tip] == [n.tip.hash for n in second.nodes if n.tip]


def test_the_game_is_a_function_of_the_coalition() -> None:
    assert (Game(6).table() == Game(6).table()).all()
    assert Game(6).values().sum() * 1_000 == pytest.approx(Game(6).table()[-1] - Game(6).table()[0])
