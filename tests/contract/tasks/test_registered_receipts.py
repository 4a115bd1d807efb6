"""Registered receipts, when a client or the server would end them without a payment."""

from __future__ import annotations

import pytest

from fedcoin.contract.actions.client_lists import MAX_FORMER_LISTS
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient, build_admission, build_client_list
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.task_pb2 import Admission, Sampling
from fedcoin.v1.transaction_pb2 import RegisterReceipt, SetClients
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import FAILED, LedgerCampaign, additive
from tests.support.receipt_campaign import (
    WINDOW,
    campaign,
    closing,
    open_by,
    opening,
    receipt_of,
    register,
    registering,
    settle,
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
    fail_task(job)
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


# --- a round whose task fails ---


def fail_task(job: LedgerCampaign) -> None:
    """Let the open task's windows pass without a miner."""
    while job.task.phase != FAILED:
        job.chain.produce(after_ms=max(10, job.task.deadline_ms - job.chain.time_ms))


def prove_a_little(job: LedgerCampaign) -> None:
    """Have the task fail after one miner of three, below the quorum, has proved its samples."""
    own, other, _ = job.chain.miners
    job.run(dict.fromkeys((own, other), additive(3, 2, 1)), withheld=[other])
    fail_task(job)


def burned_for_training(job: LedgerCampaign) -> int:
    """Return what the latest block burned of the training price, in sap."""
    kinds = {payment.kind: payment.amount for payment in job.chain.payments()}
    return kinds.get(block_pb2.PAYMENT_KIND_TRAINING_BURNED, 0)


@pytest.mark.parametrize("is_late", [False, True])
def test_the_server_opens_a_task_that_no_miner_takes(
    is_late: bool, report_attack: ReportAttack
) -> None:
    """The task fails, but its round goes on: clients open it on terms that miners take."""
    job = campaign()
    chain = job.chain
    register(job, *job.clients)
    since = chain.time_ms
    chain.produce(after_ms=2 * WINDOW - 1_000 if is_late else 10)
    sampling = Sampling(schedule=task_pb2.SCHEDULE_ANTITHETIC, max_samples=1_000_000)
    open_by(job, BOB, sampling=sampling)
    fail_task(job)
    state = chain.campaign(job.campaign_id)
    assert (state.last_round, state.receipts, state.escrow) == (0, 3, 10 * FDC)
    # Clients have a whole window to open the round.
    begun = chain.time_ms - WINDOW if is_late else since
    assert state.receipts_since_ms == begun
    chain.refuses(LedgerCode.RECEIPTS_UNSETTLED, closing(job))
    chain.produce(after_ms=max(10, begun + WINDOW - chain.time_ms))
    open_by(job, job.clients[0])
    settle(job)
    paid = {p.address for p in chain.payments() if p.kind == block_pb2.PAYMENT_KIND_TRAINING}
    assert paid == {client.address for client in job.clients}
    report_attack(
        "a server opens a round with registered receipts at a price for its work that no miner"
        " takes",
        "the updates for nothing",
        "nothing: the clients open the round again, or its training price is burned",
    )


def test_the_server_waits_after_its_failed_task_until_the_campaign_can_close() -> None:
    job = campaign()
    register(job, *job.clients)
    open_by(job, BOB)
    fail_task(job)
    job.chain.produce(after_ms=2 * WINDOW)
    before, request = job.chain.balance(ALICE), closing(job)
    job.chain.produce(request)
    price = 7 * FDC // 2
    assert burned_for_training(job) == price
    assert job.chain.balance(ALICE) == before - request.body.fee + 10 * FDC - price


@pytest.mark.parametrize("reward", ["PROPORTIONAL", "UNIT_PRICE"])
def test_a_miner_of_the_server_proves_a_little(reward: str, report_attack: ReportAttack) -> None:
    """The mining price is spent then, so that the round ends; the training price is burned."""
    unit = reward == "UNIT_PRICE"
    job = campaign(
        training_reward=task_pb2.TrainingReward.Value(f"TRAINING_REWARD_{reward}"),
        unit_price=FDC if unit else 0,
    )
    chain = job.chain
    register(job, *job.clients)
    deposits = 30 * chain.genesis.parameters.state_fee
    open_by(job, BOB)
    price, share = job.terms.prices, 7 * FDC // 2
    prove_a_little(job)
    kinds = {payment.kind: payment.amount for payment in chain.payments()}
    assert kinds[block_pb2.PAYMENT_KIND_MINING] == price.mining
    assert burned_for_training(job) == share
    # Of the round's share only the aggregation price comes back.
    assert kinds[block_pb2.PAYMENT_KIND_REFUND] == price.aggregation
    returned = block_pb2.PAYMENT_KIND_RECEIPT_DEPOSIT_RETURNED
    assert sum(p.amount for p in chain.payments() if p.kind == returned) == deposits
    state = chain.campaign(job.campaign_id)
    assert (state.last_round, state.receipts, state.escrow) == (1, 0, 5 * FDC)
    assert state.training_fund == (share if unit else 0)
    report_attack(
        f"a server has its own miner prove a little of a task that fails ({reward})",
        "the updates for nothing",
        "the round's training price is burned",
    )


def test_a_task_without_receipts_fails_as_before() -> None:
    job = campaign()
    open_by(job, BOB)
    price = job.terms.prices
    prove_a_little(job)
    kinds = {payment.kind: payment.amount for payment in job.chain.payments()}
    assert kinds[block_pb2.PAYMENT_KIND_REFUND] == price.training + price.aggregation
    assert burned_for_training(job) == 0
    open_by(job, BOB, base=job.terms.base, updates=[
        job.update(client, 2, base=job.terms.base) for client in job.clients
    ])  # fmt: skip
    fail_task(job)
    assert job.chain.campaign(job.campaign_id).closed


def test_a_client_opens_one_failing_task_after_another(report_attack: ReportAttack) -> None:
    """The requester may ask for the end while such a task is open, and the next one is too late."""
    job = campaign()
    chain, client = job.chain, job.clients[0]
    register(job, client)
    only, over = {"updates": [job.update(client, 1)]}, chain.time_ms + 2 * WINDOW
    chain.produce(after_ms=2 * WINDOW - 1_000)
    open_by(job, client, **only)
    chain.produce(closing(job))
    asked = chain.time_ms
    chain.refuses(LedgerCode.CAMPAIGN_CLOSING, closing(job))
    fail_task(job)
    # A client's task gives no further window.
    assert chain.campaign(job.campaign_id).receipts_since_ms == over - 2 * WINDOW
    while not chain.campaign(job.campaign_id).closed:
        made = opening(job, client, **only)
        try:
            chain.produce(made)
        except RefusalError:
            chain.produce()
            break
        job.terms, job.task_id = made.body.open_task, made.hash
        fail_task(job)
    assert chain.campaign(job.campaign_id).closed
    assert burned_for_training(job) == 7 * FDC // 2
    assert chain.time_ms - asked < WINDOW + 2 * 60_000
    report_attack(
        "a client opens one task that fails after another, so that the campaign cannot close",
        "only the server could open it",
        "a receipt window and one task, when the requester asks for the end",
    )


def test_the_server_opens_one_failing_task_after_another(report_attack: ReportAttack) -> None:
    """Each in the block after the last one, so that its clients never come to open theirs."""
    job = campaign()
    chain = job.chain
    register(job, *job.clients)
    # As long as only the server may open the round, it may try again at once.
    open_by(job, BOB)
    fail_task(job)
    open_by(job, BOB)
    fail_task(job)
    due = chain.campaign(job.campaign_id).receipts_since_ms + WINDOW
    chain.produce(after_ms=due - 1_000 - chain.time_ms)
    open_by(job, BOB)
    fail_task(job)
    failed = chain.time_ms
    assert failed > due
    chain.refuses(LedgerCode.CLIENTS_TURN, opening(job, BOB), field="campaign_id")
    chain.refuses(LedgerCode.CLIENTS_TURN, opening(job, BOB), after_ms=WINDOW - 1)
    chain.draft(opening(job, BOB), after_ms=WINDOW)
    chain.produce(after_ms=WINDOW - 1_000)
    open_by(job, job.clients[0])
    settle(job)
    report_attack(
        "a server opens one failing task after another, each before its clients can open theirs",
        "only the server could open it",
        "after each failure a receipt window in which only clients may open the round"
        " (`CLIENTS_TURN`)",
    )


def test_the_server_opens_a_task_with_long_windows(report_attack: ReportAttack) -> None:
    job = campaign()
    register(job, *job.clients)
    long = {"commit_window_ms": DAY, "max_attempts": 16}
    job.chain.refuses(LedgerCode.BAD_WINDOW, opening(job, BOB, **long), field="commit_window_ms")
    longest = {"commit_window_ms": WINDOW // 2 - 20_000, "max_attempts": 2}
    beyond = longest | {"commit_window_ms": WINDOW // 2 - 19_999}
    job.chain.refuses(LedgerCode.BAD_WINDOW, opening(job, BOB, **beyond))
    open_by(job, BOB, **longest)
    report_attack(
        "a server opens a round with 16 windows of 24 h, so that its clients wait for 16 days",
        "only the server could open it",
        "`BAD_WINDOW`: at most an hour, or the receipt window",
    )


# --- what receipts leave open, and what it costs ---


def listed_campaign(*, anybody: bool = False) -> tuple[LedgerCampaign, list[ListedClient]]:
    """Open a campaign with its three clients on the list, or with no list."""
    listed = sorted(ListedClient(key_of(f"client {i}").address, 100) for i in range(3))
    return campaign(clients=build_client_list([] if anybody else listed)), listed


def replace_list(job: LedgerCampaign, listed: list[ListedClient]) -> Transaction:
    change = SetClients(campaign_id=job.campaign_id, clients=build_client_list(listed))
    return job.chain.sign(ALICE, change)


@pytest.mark.parametrize("anybody", [False, True])
def test_the_list_is_changed_before_a_client_registers(
    anybody: bool, report_attack: ReportAttack
) -> None:
    job, listed = listed_campaign(anybody=anybody)
    client, *others = job.clients
    kept = [entry for entry in listed if entry.address != client.address]
    job.chain.produce(replace_list(job, kept))
    update = job.update(client, 1)
    proof = Admission() if anybody else build_admission(listed, client.address)
    late = RegisterReceipt(update=update, receipt=receipt_of(job, update), admission=proof)
    job.chain.produce(after_ms=WINDOW - 20)
    job.chain.produce(job.chain.sign(client, late))
    # The task has to hold it, and needs no proof for it.
    proofs = [build_admission(kept, key.address) for key in job.clients]
    left_out = {"updates": [job.update(key, 1) for key in others], "admissions": proofs[1:]}
    job.chain.refuses(LedgerCode.RECEIPT_LEFT_OUT, opening(job, BOB, **left_out))
    open_by(job, BOB, admissions=proofs)
    settle(job)
    paid = {p.address for p in job.chain.payments() if p.kind == block_pb2.PAYMENT_KIND_TRAINING}
    assert client.address in paid
    report_attack(
        "a requester takes a client off the list before it has registered its receipt",
        "there were no receipts",
        "nothing: clients of the old list may register for as long as the receipt window",
    )


def test_a_client_that_left_the_list_earlier_cannot_register() -> None:
    job, listed = listed_campaign()
    client = job.clients[0]
    job.chain.produce(replace_list(job, [e for e in listed if e.address != client.address]))
    update, proof = job.update(client, 1), build_admission(listed, client.address)
    late = RegisterReceipt(update=update, receipt=receipt_of(job, update), admission=proof)
    signed = job.chain.sign(client, late)
    job.chain.produce(after_ms=WINDOW)
    job.chain.refuses(LedgerCode.CLIENT_NOT_LISTED, signed, field="admission")


def test_former_lists_are_paid_for_and_bounded() -> None:
    job, listed = listed_campaign()
    chain, before = job.chain, job.chain.balance(ALICE)
    fees = 0
    for i in range(MAX_FORMER_LISTS):
        change = replace_list(job, [*listed[:2], ListedClient(listed[2].address, 101 + i)])
        chain.produce(change)
        fees += change.body.fee
    entries = before - fees - chain.balance(ALICE)
    assert entries == MAX_FORMER_LISTS * chain.genesis.parameters.state_fee
    chain.refuses(LedgerCode.TOO_MANY_LISTS, replace_list(job, listed), field="clients")
    # The list that there is already takes no place.
    same = [*listed[:2], ListedClient(listed[2].address, 100 + MAX_FORMER_LISTS)]
    chain.produce(replace_list(job, same))
    chain.produce(replace_list(job, listed), after_ms=WINDOW)
    assert len(chain.campaign(job.campaign_id).former_lists) < MAX_FORMER_LISTS


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
