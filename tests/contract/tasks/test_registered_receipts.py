"""Registered receipts, when a client or the server would end them without a payment."""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import Sampling
from tests.conftest import ReportAttack
from tests.support.ledger_campaign import FAILED
from tests.support.receipt_campaign import WINDOW, campaign, open_by, opening, register

DAY = 86_400_000


def test_a_client_opens_a_task_that_no_miner_takes(report_attack: ReportAttack) -> None:
    """It would hold the escrow for 16 days, and the receipts of all others would end with it."""
    job = campaign()
    chain, client = job.chain, job.clients[0]
    register(job, *job.clients)
    chain.produce(after_ms=WINDOW)
    long = {"commit_window_ms": DAY, "max_attempts": 16}
    chain.refuses(LedgerCode.BAD_WINDOW, opening(job, client, **long))
    for samples in (999, 5_001, 1_000_000):
        sampling = Sampling(schedule=task_pb2.SCHEDULE_ANTITHETIC, max_samples=samples)
        chain.refuses(LedgerCode.BAD_AVERAGING, opening(job, client, sampling=sampling))
    # The longest task of a client, with the most that it may choose.
    longest = {"commit_window_ms": WINDOW // 2 - 20_000, "max_attempts": 2}
    beyond = longest | {"commit_window_ms": WINDOW // 2 - 19_999}
    chain.refuses(LedgerCode.BAD_WINDOW, opening(job, client, **beyond))
    since = chain.time_ms
    open_by(job, client, **longest)
    while job.task.phase != FAILED:
        chain.produce(after_ms=max(10, job.task.deadline_ms - chain.time_ms))
    assert chain.time_ms - since < WINDOW + 1_000
    report_attack(
        "a client opens the round with work that no miner takes and 16 windows of 24 h, and so ends"
        " all other receipts",
        "only the server could open it",
        "`BAD_AVERAGING`, `BAD_WINDOW`: at most an hour, or the receipt window",
    )


def test_a_long_receipt_window_allows_a_client_longer_windows() -> None:
    job = campaign(receipt_window_ms=2 * WINDOW)
    register(job, job.clients[0])
    job.chain.produce(after_ms=2 * WINDOW)
    long = {"commit_window_ms": WINDOW - 20_000}
    open_by(job, job.clients[0], updates=[job.update(job.clients[0], 1)], **long)
