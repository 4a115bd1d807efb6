"""Campaigns that close by time, when others choose the time."""

from __future__ import annotations

import pytest

from fedcoin.contract.tasks import closing as closing_rule
from fedcoin.v1 import block_pb2
from tests.conftest import ReportAttack
from tests.support.ledger_campaign import CHALLENGE, COMMIT, FAILED, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain
from tests.support.receipt_campaign import WINDOW, campaign, closing, open_by, register

DAY = 86_400_000


def test_a_closing_that_waits_for_its_task_asks_for_no_blocks(report_attack: ReportAttack) -> None:
    """A task that nobody mines is open for a day after its campaign's closing was due."""
    job = campaign(receipt_window_ms=DAY)
    job.chain.produce(closing(job))
    open_by(job, job.server, commit_window_ms=DAY // 2 - 20_000)
    job.chain.produce(after_ms=DAY)
    assert job.chain.campaign(job.campaign_id).closing_ms <= job.chain.time_ms
    # Blocks are made without a pause as long as this time has passed.
    assert job.chain.ledger.next_deadline_ms() == job.task.deadline_ms
    # The next closing counts, although the waiting one comes before it.
    later = campaign(job.chain)
    job.chain.produce(closing(later))
    assert job.chain.ledger.next_deadline_ms() == job.chain.time_ms + WINDOW
    job.chain.produce(after_ms=DAY)
    while job.task.phase != FAILED:
        job.chain.produce()
    assert not job.chain.campaign(job.campaign_id).closed
    due = job.chain.ledger.next_deadline_ms()
    assert due is not None
    assert due <= job.chain.time_ms
    job.chain.produce()
    assert job.chain.campaign(job.campaign_id).closed
    report_attack(
        "a requester asks for the end of its campaign, and opens a task with windows of 24 h that"
        " nobody can mine",
        "campaigns closed at once",
        "no block more than without it",
    )


def test_many_campaigns_close_at_one_moment(report_attack: ReportAttack) -> None:
    """Each has as many receipts as a task has clients; a block closes one of them."""
    chain = LedgerChain.create(3, max_clients=3)
    jobs = [campaign(chain, budget=1_000 + i) for i in range(4)]
    for job in jobs:
        chain.produce(closing(job))
    for job in jobs[:3]:
        register(job, *job.clients)
    due = chain.time_ms + 2 * WINDOW
    chain.produce(after_ms=WINDOW)
    chain.produce(after_ms=due - chain.time_ms)
    returned = block_pb2.PAYMENT_KIND_RECEIPT_DEPOSIT_RETURNED
    ended = []
    while not all(chain.campaign(job.campaign_id).closed for job in jobs):
        ended.append(sum(payment.kind == returned for payment in chain.payments()))
        deadline = chain.ledger.next_deadline_ms()
        assert deadline is not None
        assert deadline <= chain.time_ms
        chain.produce()
    ended.append(sum(payment.kind == returned for payment in chain.payments()))
    assert [count for count in ended if count] == [3, 3, 3]
    report_attack(
        "a requester has 780 campaigns with 128 receipts each close in one block, for 13 FDC",
        "there were no receipts",
        "one of them in each block",
    )


def test_a_block_closes_a_few_campaigns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing_rule, "MAX_CLOSINGS", 2)
    chain = LedgerChain.create(1)
    jobs = [campaign(chain, budget=1_000 + i) for i in range(3)]
    for job in jobs:
        chain.produce(closing(job))
    chain.produce(after_ms=2 * WINDOW)
    assert sum(chain.campaign(job.campaign_id).closed for job in jobs) == 2
    chain.produce()
    assert all(chain.campaign(job.campaign_id).closed for job in jobs)


def test_many_tasks_with_receipts_fail_at_one_moment(report_attack: ReportAttack) -> None:
    """Each fails after a miner has proved a little, so that all its receipts end."""
    chain = LedgerChain.create(3, max_clients=3)
    jobs = [campaign(chain, budget=1_000_000 + i) for i in range(4)]
    own, other, _ = chain.miners
    for job in jobs:
        register(job, *job.clients)
        open_by(job, job.server, commit_window_ms=60_000, reveal_window_ms=60_000)
    for job in jobs:
        trees = {miner: job.tree(miner, additive(3, 2, 1)) for miner in (own, other)}
        chain.produce(*(job.commit(miner, tree) for miner, tree in trees.items()))
    wait_for(jobs, CHALLENGE)
    for job in jobs:
        trees = {miner: job.tree(miner, additive(3, 2, 1)) for miner in (own, other)}
        job.open_all(trees)
        chain.produce(job.reveal(own, trees[own]))
    wait_for(jobs, COMMIT)
    assert all(job.task.attempt == 1 for job in jobs)
    returned = block_pb2.PAYMENT_KIND_RECEIPT_DEPOSIT_RETURNED
    chain.produce(after_ms=60_000)
    ended: list[int] = []
    while any(job.task.phase != FAILED for job in jobs) or not ended:
        ended.append(sum(payment.kind == returned for payment in chain.payments()))
        assert chain.ledger.next_deadline_ms() is not None
        chain.produce()
    ended.append(sum(payment.kind == returned for payment in chain.payments()))
    assert [count for count in ended if count] == [3, 3, 3, 3]
    report_attack(
        "64 tasks with 128 receipts each fail in one block",
        "there were no receipts",
        "one of them in each block",
    )


def wait_for(jobs: list[LedgerCampaign], phase: int) -> None:
    """Produce blocks until the windows of all tasks have ended and this phase has begun."""
    chain = jobs[0].chain
    chain.produce(after_ms=60_000)
    while any(job.task.phase != phase for job in jobs):
        chain.produce()
