"""The commit window ends early when most miners have committed, and absent miners move no D."""

from __future__ import annotations

import pytest

from fedcoin.contract.tasks.early_end import min_grace_ms
from fedcoin.data.crypto.keys import KeyPair
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.ledger_campaign import (
    CHALLENGE,
    COMMIT,
    REVEAL,
    SETTLED,
    LedgerCampaign,
    additive,
)
from tests.support.ledger_chain import LedgerChain

GAME = additive(5, 10, -3)
WINDOW_MS = 60_000


def begun(bonds: list[int], *, is_sampled: bool = False) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create(len(bonds), bonds=bonds))
    job.open_campaign()
    changes = {"sampling": job.sampled(60)} if is_sampled else {}
    job.open_task(commit_window_ms=WINDOW_MS, reveal_window_ms=WINDOW_MS, **changes)
    return job


def commit(job: LedgerCampaign, miners: list[KeyPair], after_ms: int) -> None:
    job.chain.produce(*(job.commit(m, job.tree(m, GAME)) for m in miners), after_ms=after_ms)


def grace_ms(job: LedgerCampaign) -> int:
    return min_grace_ms(job.chain.genesis.parameters)


def finish_commit_window(job: LedgerCampaign) -> int:
    """Produce blocks until the window ends, and return how long it was open, in ms."""
    while job.task.phase == COMMIT:
        job.chain.produce(after_ms=100)
    return job.chain.time_ms - job.task.opened_ms


@pytest.mark.attack
def test_one_absent_miner_costs_a_grace_time_and_not_the_window(
    report_attack: ReportAttack,
) -> None:
    report_attack(
        "one miner of four is switched off",
        "each task takes its whole window of 60 s",
        "a grace time of 6 s",
    )
    job = begun([10 * FDC] * 4)
    commit(job, job.chain.miners[:3], after_ms=1_000)
    opened_ms = finish_commit_window(job)
    assert job.task.phase == CHALLENGE
    assert 1_000 + grace_ms(job) <= opened_ms < WINDOW_MS // 2


def test_the_grace_time_is_as_long_as_the_others_took() -> None:
    job = begun([10 * FDC] * 4)
    commit(job, job.chain.miners[:3], after_ms=20_000)
    assert 40_000 <= finish_commit_window(job) < 41_000


def test_the_grace_time_does_not_lengthen_the_window() -> None:
    job = begun([10 * FDC] * 4)
    commit(job, job.chain.miners[:3], after_ms=WINDOW_MS - 1_000)
    assert WINDOW_MS <= finish_commit_window(job) < WINDOW_MS + 1_000


def test_two_thirds_are_not_more_than_two_thirds() -> None:
    job = begun([10 * FDC] * 3)
    commit(job, job.chain.miners[:2], after_ms=1_000)
    assert finish_commit_window(job) >= WINDOW_MS


def test_a_miner_that_is_a_little_slower_takes_part() -> None:
    job = begun([10 * FDC] * 4)
    *fast, slow = job.chain.miners
    commit(job, fast, after_ms=20_000)
    commit(job, [slow], after_ms=19_000)
    assert job.task.phase == CHALLENGE
    assert job.chain.miner(job.task_id, slow) is not None


@pytest.mark.attack
def test_one_proposer_with_its_clock_ahead_does_not_end_the_grace_time(
    report_attack: ReportAttack,
) -> None:
    """Proposers with more than a third of the power have a turn after most have committed."""
    report_attack(
        "a proposer sets its clock ahead when most miners have committed",
        "not possible: there was no early end",
        "the window stays open for other proposers",
    )
    job = begun([10 * FDC] * 4)
    *fast, slow = job.chain.miners
    for miner in fast:
        commit(job, [miner], after_ms=100)
    job.chain.produce(after_ms=WINDOW_MS)
    assert job.task.phase == COMMIT
    commit(job, [slow], after_ms=1)
    assert job.chain.miner(job.task_id, slow) is not None


def test_later_windows_wait_for_the_deposits_at_stake() -> None:
    job = begun([10 * FDC] * 4)
    chain = job.chain
    trees = {m: job.tree(m, GAME) for m in chain.miners}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()))
    *others, late = trees
    chain.produce(*(job.open(m, trees[m]) for m in others))
    deadline_ms = job.task.deadline_ms
    for _ in range(4):
        chain.produce(after_ms=(deadline_ms - chain.time_ms) // 5)
    assert job.task.phase == CHALLENGE
    assert job.task.deadline_ms == deadline_ms
    chain.produce(job.open(late, trees[late]))
    assert job.task.phase == REVEAL
    chain.produce(*(job.reveal(m, tree) for m, tree in trees.items()))
    chain.produce()
    assert chain.penalties == 0


@pytest.mark.parametrize("absent", [0, 1])
def test_an_absent_miner_does_not_move_d(absent: int) -> None:
    job = begun([10 * FDC] * 4, is_sampled=True)
    chain = job.chain
    present = chain.miners[absent:]
    trees = {m: job.tree(m, GAME) for m in present}
    chain.produce(*(job.commit(m, tree) for m, tree in trees.items()), after_ms=9_970)
    finish_commit_window(job)
    chain.produce(*(job.open(m, tree) for m, tree in trees.items()))
    chain.produce(*(job.reveal(m, tree) for m, tree in trees.items()))
    chain.produce()
    assert job.task.phase == SETTLED
    # The target is 10 s: the others took 9,970 + 3 x 10 ms, and waited for at least 6 s.
    assert chain.campaign(job.campaign_id).difficulty_nano == 20_000_000
    assert (job.task.idle_ms >= grace_ms(job)) == bool(absent)
