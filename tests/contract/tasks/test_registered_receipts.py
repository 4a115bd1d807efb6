"""Registered receipts, when a client or the server would end them without a payment."""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.messages.client_list import ListedClient, build_admission, build_client_list
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.task_pb2 import Sampling
from fedcoin.v1.transaction_pb2 import RegisterReceipt, SetClients
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import FAILED, additive
from tests.support.receipt_campaign import (
    WINDOW,
    campaign,
    closing,
    open_by,
    opening,
    receipt_of,
    register,
    registering,
)

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


# --- what receipts leave open, and what it costs ---


def test_the_server_opens_a_task_that_no_miner_takes(report_attack: ReportAttack) -> None:
    """A task that fails without a reveal ends its round, and the receipts with it."""
    job = campaign()
    register(job, *job.clients)
    before = job.chain.balance(ALICE) + job.chain.balance(BOB)
    sampling = Sampling(schedule=task_pb2.SCHEDULE_ANTITHETIC, max_samples=1_000_000)
    open_by(job, BOB, sampling=sampling)
    while job.task.phase != FAILED:
        job.chain.produce(after_ms=max(10, job.task.deadline_ms - job.chain.time_ms))
    assert job.chain.campaign(job.campaign_id).receipts == 0
    # The round's share of the budget came back.
    cost = before + 5 * FDC - job.chain.balance(ALICE) - job.chain.balance(BOB)
    assert 0 < cost < 0.005 * FDC
    report_attack(
        "a server opens a round with registered receipts at a price for its work that no miner"
        " takes",
        "the updates for nothing",
        "the updates for 0.004 FDC",
    )


def test_the_list_is_changed_before_a_client_registers(report_attack: ReportAttack) -> None:
    listed = sorted(ListedClient(key_of(f"client {i}").address, 100) for i in range(3))
    job = campaign(clients=build_client_list(listed))
    client = job.clients[0]
    update, proof = job.update(client, 1), build_admission(listed, client.address)
    receipt = receipt_of(job, update)
    others = build_client_list([entry for entry in listed if entry.address != client.address])
    change = SetClients(campaign_id=job.campaign_id, clients=others)
    job.chain.produce(job.chain.sign(ALICE, change))
    late = RegisterReceipt(update=update, receipt=receipt, admission=proof)
    late_registration = job.chain.sign(client, late)
    job.chain.refuses(LedgerCode.CLIENT_NOT_LISTED, late_registration, field="admission")
    report_attack(
        "a requester takes a client off the list before it has registered its receipt",
        "there were no receipts",
        "the update for the fee of one transaction",
    )


def test_the_servers_own_receipt_begins_the_window(report_attack: ReportAttack) -> None:
    """A client that gets its receipt a window later can register it no more."""
    job = campaign()
    own, client, _ = job.clients
    register(job, own)
    job.chain.produce(after_ms=WINDOW)
    job.chain.refuses(LedgerCode.RECEIPTS_OVER, registering(job, client))
    only = [job.update(own, 1)]
    open_by(job, BOB, updates=only)
    job.settle(dict.fromkeys(job.chain.miners, additive(0)))
    paid = {payment.kind for payment in job.chain.payments()}
    assert block_pb2.PAYMENT_KIND_TRAINING not in paid
    report_attack(
        "a server registers a receipt of its own when the round begins, so that its clients come"
        " too late with theirs",
        "there were no receipts",
        "nothing from clients that ask a node; of others the updates for one mining price",
    )


def test_a_share_of_many_rounds_is_burned() -> None:
    """Under UNIT_PRICE a round may owe much more than its share of the fund."""
    unit = task_pb2.TRAINING_REWARD_UNIT_PRICE
    job = campaign(rounds=10_000, budget=900 * FDC, training_reward=unit, unit_price=630 * FDC)
    register(job, *job.clients)
    job.chain.produce(after_ms=2 * WINDOW)
    job.chain.produce(closing(job))
    kinds = {payment.kind: payment.amount for payment in job.chain.payments()}
    assert kinds[block_pb2.PAYMENT_KIND_TRAINING_BURNED] == 630 * FDC // 10_000
