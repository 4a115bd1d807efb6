"""What a server owes for the updates that it has signed receipts for."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.tasks import room_rent
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode
from fedcoin.data.messages.client_list import ListedClient, build_admission, build_client_list
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.task_pb2 import OpenTask, Sampling
from fedcoin.v1.transaction_pb2 import RegisterReceipt, SetClients, Transfer
from fedcoin.v1.transaction_pb2 import TransferOutput as Output
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_campaign import GAVE_WAY, LedgerCampaign, additive, aggregate
from tests.support.ledger_chain import LedgerChain
from tests.support.receipt_campaign import (
    FAIR,
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


@pytest.fixture
def job() -> LedgerCampaign:
    return campaign()


def test_a_registered_receipt_takes_a_deposit_and_returns_it_with_the_task(
    job: LedgerCampaign,
) -> None:
    client, before = job.clients[0], job.chain.balance(job.clients[0])
    made = registering(job, client)
    job.chain.produce(made)
    deposit = 10 * job.chain.genesis.parameters.state_fee
    assert job.chain.balance(client) == before - made.body.fee - deposit
    state = job.chain.campaign(job.campaign_id)
    assert (state.receipts, state.receipts_since_ms) == (1, job.chain.time_ms)
    open_by(job, job.server)
    assert job.chain.campaign(job.campaign_id).receipts == 1
    settle(job)
    state = job.chain.campaign(job.campaign_id)
    assert (state.receipts, state.receipts_since_ms) == (0, 0)
    kind = block_pb2.PAYMENT_KIND_RECEIPT_DEPOSIT_RETURNED
    returned = [p for p in job.chain.payments() if p.kind == kind]
    assert [(p.address, p.amount, p.round) for p in returned] == [(client.address, deposit, 1)]


def test_receipts_that_are_not_accepted(job: LedgerCampaign, report_attack: ReportAttack) -> None:
    chain, client = job.chain, job.clients[0]
    forged = registering(job, client, signer=client)
    chain.refuses(LedgerCode.BAD_RECEIPT, forged, field="receipt")
    update, other = job.update(client, 1), job.update(client, 1, num_samples=9)
    swapped = RegisterReceipt(update=update, receipt=receipt_of(job, other))
    chain.refuses(LedgerCode.BAD_RECEIPT, chain.sign(client, swapped), field="receipt")
    empty = RegisterReceipt(update=update)
    chain.refuses(LedgerCode.BAD_RECEIPT, chain.sign(client, empty), field="receipt")
    chain.refuses(DataCode.MALFORMED, chain.sign(client, RegisterReceipt()))
    chain.refuses(LedgerCode.NOT_THE_CLIENT, registering(job, client, sender=BOB))
    chain.refuses(LedgerCode.UNKNOWN_CAMPAIGN, registering(job, client, campaign_id=bytes(32)))
    chain.refuses(LedgerCode.WRONG_ROUND, registering(job, client, round=2))
    wrong = registering(job, client, base=sha256(b"other"))
    chain.refuses(LedgerCode.WRONG_BASE, wrong, field="update.base")
    register(job, client)
    chain.refuses(LedgerCode.ALREADY_REGISTERED, registering(job, client))
    chain.produce(after_ms=WINDOW)
    late = registering(job, job.clients[1])
    chain.refuses(LedgerCode.RECEIPTS_OVER, late)
    open_by(job, job.server)
    chain.refuses(LedgerCode.TASK_STILL_OPEN, registering(job, job.clients[1]))
    report_attack(
        "a client registers receipts that it signed itself, or that are for another update",
        "there were no receipts",
        "`BAD_RECEIPT`",
    )


def test_a_campaign_without_a_window_knows_no_receipts() -> None:
    job = campaign(receipt_window_ms=0)
    job.chain.refuses(LedgerCode.NO_RECEIPTS, registering(job, job.clients[0]))
    job.chain.produce(closing(job))
    assert job.chain.campaign(job.campaign_id).closed
    job.chain.refuses(LedgerCode.CAMPAIGN_CLOSED, closing(job))


@pytest.mark.parametrize("window", [1, 999, 604_800_001])
def test_windows_out_of_range(window: int) -> None:
    job = LedgerCampaign(LedgerChain.create(1))
    bad = job.chain.sign(ALICE, job.campaign_terms(receipt_window_ms=window))
    job.chain.refuses(LedgerCode.BAD_RECEIPT_WINDOW, bad, field="receipt_window_ms")


def test_more_receipts_than_a_task_has_clients() -> None:
    made = LedgerCampaign(LedgerChain.create(1, max_clients=2))
    coins = [Output(recipient=client.address, amount=FDC) for client in made.clients]
    made.chain.produce(made.chain.sign(ALICE, Transfer(outputs=coins)))
    made.open_campaign(receipt_window_ms=WINDOW)
    register(made, *made.clients[:2])
    made.chain.refuses(LedgerCode.TOO_MANY_CLIENTS, registering(made, made.clients[2]))


def test_a_list_of_clients_holds_for_receipts() -> None:
    listed = sorted(ListedClient(key_of(f"client {i}").address, 100) for i in range(2))
    job = campaign(clients=build_client_list(listed))
    on_list = next(c for c in job.clients if c.address == listed[0].address)
    update = job.update(on_list, 1)
    proof = build_admission(listed, on_list.address)
    action = RegisterReceipt(update=update, receipt=receipt_of(job, update), admission=proof)
    bare = RegisterReceipt(update=update, receipt=action.receipt)
    chain = job.chain
    chain.refuses(LedgerCode.CLIENT_NOT_LISTED, chain.sign(on_list, bare), field="admission")
    much = job.update(on_list, 1, num_samples=101)
    greedy = RegisterReceipt(update=much, receipt=receipt_of(job, much), admission=proof)
    chain.refuses(LedgerCode.TOO_MANY_EXAMPLES, chain.sign(on_list, greedy))
    chain.produce(chain.sign(on_list, action))
    # The requester cannot take the client off the list then.
    change = chain.sign(ALICE, SetClients(campaign_id=job.campaign_id))
    chain.refuses(LedgerCode.RECEIPTS_UNSETTLED, change)


def test_updates_are_kept_and_the_campaign_closed_at_once(
    job: LedgerCampaign, report_attack: ReportAttack
) -> None:
    """The campaign closes a window later, and not while receipts wait."""
    chain = job.chain
    chain.produce(closing(job))
    state = chain.campaign(job.campaign_id)
    assert (state.closed, state.closing_ms) == (False, chain.time_ms + WINDOW)
    chain.refuses(LedgerCode.CAMPAIGN_CLOSING, closing(job))
    register(job, job.clients[0])
    since = chain.time_ms
    # The closing's time has come, but the receipt's has not.
    chain.produce(after_ms=WINDOW)
    state = chain.campaign(job.campaign_id)
    assert (state.closed, state.closing_ms) == (False, since + 2 * WINDOW)
    open_by(job, job.clients[0], updates=[job.update(job.clients[0], 1)])
    job.settle(dict.fromkeys(chain.miners, additive(3)))
    paid = [p for p in chain.payments() if p.kind == block_pb2.PAYMENT_KIND_TRAINING]
    assert [payment.address for payment in paid] == [job.clients[0].address]
    before = chain.balance(ALICE)
    chain.produce(after_ms=2 * WINDOW)
    assert chain.campaign(job.campaign_id).closed
    assert chain.balance(ALICE) == before + 5 * FDC
    report_attack(
        "a requester takes a round's updates and closes the campaign",
        "the updates for nothing",
        "the campaign stays open for the clients that register receipts, and pays for their task",
    )


def test_a_campaign_closes_by_itself_when_nobody_has_a_receipt(job: LedgerCampaign) -> None:
    before = job.chain.balance(ALICE)
    request = closing(job)
    job.chain.produce(request)
    assert job.chain.ledger.next_deadline_ms() == job.chain.time_ms + WINDOW
    job.chain.produce(after_ms=WINDOW - 1)
    assert not job.chain.campaign(job.campaign_id).closed
    job.chain.produce()
    assert job.chain.campaign(job.campaign_id).closed
    assert job.chain.balance(ALICE) == before - request.body.fee + 10 * FDC
    assert job.chain.ledger.next_deadline_ms() is None


def test_a_campaign_does_not_close_while_a_task_is_open(job: LedgerCampaign) -> None:
    job.chain.produce(closing(job))
    open_by(job, job.server)
    job.chain.produce(after_ms=1)
    job.run(dict.fromkeys(job.chain.miners, additive(3, 2, 1)))
    job.chain.produce(after_ms=2 * WINDOW)
    # The block that settles the task comes first.
    job.chain.produce()
    assert job.chain.campaign(job.campaign_id).closed


def test_close_is_refused_while_receipts_are_unsettled(job: LedgerCampaign) -> None:
    register(job, *job.clients)
    over = job.chain.time_ms + 2 * WINDOW
    job.chain.refuses(LedgerCode.RECEIPTS_UNSETTLED, closing(job), field="campaign_id")
    job.chain.produce(after_ms=WINDOW)
    job.chain.refuses(LedgerCode.RECEIPTS_UNSETTLED, closing(job))
    job.chain.produce(after_ms=over - job.chain.time_ms)
    job.chain.produce(closing(job))
    assert job.chain.campaign(job.campaign_id).closed


@pytest.mark.parametrize("reward", ["PROPORTIONAL", "UNIT_PRICE"])
def test_the_evaluation_set_is_held_back_until_the_campaign_can_close(
    reward: str, report_attack: ReportAttack
) -> None:
    """The training price of the round is burned, so that nothing is saved."""
    unit = reward == "UNIT_PRICE"
    job = campaign(
        training_reward=task_pb2.TrainingReward.Value(f"TRAINING_REWARD_{reward}"),
        unit_price=FDC if unit else 0,
    )
    register(job, job.clients[1])
    client = job.chain.balance(job.clients[1])
    job.chain.produce(after_ms=2 * WINDOW)
    before, burned = job.chain.balance(ALICE), job.chain.ledger.totals().burned
    request = closing(job)
    job.chain.produce(request)
    price = 7 * FDC // 2
    assert job.chain.balance(ALICE) == before - request.body.fee + 10 * FDC - price
    assert job.chain.ledger.totals().burned >= burned + price
    deposit = 10 * job.chain.genesis.parameters.state_fee
    assert job.chain.balance(job.clients[1]) == client + deposit
    kinds = {payment.kind: payment.amount for payment in job.chain.payments()}
    assert kinds[block_pb2.PAYMENT_KIND_TRAINING_BURNED] == price
    report_attack(
        f"a requester holds the evaluation set back, so that no task can be opened ({reward})",
        "the updates for nothing",
        "the round's training price is burned when the campaign closes",
    )


def test_the_server_opens_the_round_with_other_updates(
    job: LedgerCampaign, report_attack: ReportAttack
) -> None:
    first, second, third = job.clients
    register(job, first, third)
    only = [job.update(second, 1)]
    job.chain.refuses(LedgerCode.RECEIPT_LEFT_OUT, opening(job, BOB, updates=only))
    other = [job.update(first, 1, num_samples=9), job.update(third, 1)]
    job.chain.refuses(LedgerCode.RECEIPT_LEFT_OUT, opening(job, BOB, updates=other))
    # Nor does it help to wait.
    job.chain.produce(after_ms=3 * WINDOW)
    job.chain.refuses(LedgerCode.RECEIPT_LEFT_OUT, opening(job, BOB, updates=only))
    # It may list more.
    open_by(job, BOB)
    settle(job)
    report_attack(
        "a coordinator opens the round with its own updates and leaves registered ones out",
        "the updates for nothing",
        "`RECEIPT_LEFT_OUT`",
    )


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (LedgerCode.BAD_WINDOW, {"commit_window_ms": 29_999}),
        (LedgerCode.BAD_WINDOW, {"reveal_window_ms": 9_999}),
        (LedgerCode.BAD_ATTEMPTS, {"max_attempts": 1}),
    ],
)
def test_a_task_that_is_made_to_fail_ends_no_receipts(
    job: LedgerCampaign, code: LedgerCode, changes: dict[str, int], report_attack: ReportAttack
) -> None:
    register(job, job.clients[0])
    job.chain.refuses(code, opening(job, BOB, **changes))
    report_attack(
        f"a coordinator opens a task that cannot be mined in time ({', '.join(changes)})",
        "the updates for nothing",
        f"`{code.name}` when receipts are registered",
    )


def test_a_client_opens_the_round_when_the_server_did_not(job: LedgerCampaign) -> None:
    first, second, third = job.clients
    early = opening(job, first)
    job.chain.refuses(LedgerCode.NOT_THE_SERVER, early)
    register(job, first, second)
    both = [job.update(client, 1) for client in (first, second)]
    job.chain.refuses(LedgerCode.NOT_THE_SERVER, opening(job, first, updates=both))
    # A block is due when clients may open the task.
    assert job.chain.ledger.next_deadline_ms() == job.chain.time_ms + WINDOW
    job.chain.produce(after_ms=WINDOW)
    assert job.chain.ledger.next_deadline_ms() is None
    job.chain.refuses(LedgerCode.NOT_THE_SERVER, opening(job, third, updates=both))
    before = job.chain.balance(first)
    made = opening(job, first, updates=both)
    open_by(job, first, updates=both)
    assert job.task.opener == first.address
    deposit = job.task.deposit
    entries = 2 + 2 + len(job.chain.miners)
    for_state = entries * job.chain.genesis.parameters.state_fee
    spent = made.body.fee + deposit + for_state
    assert job.chain.balance(first) == before - spent
    server = job.chain.balance(BOB)
    job.settle(dict.fromkeys(job.chain.miners, additive(3, 1)))
    paid = {(p.kind, p.address): p.amount for p in job.chain.payments()}
    training = block_pb2.PAYMENT_KIND_TRAINING
    assert paid[training, first.address] == 3 * paid[training, second.address]
    # Who does the server's work has its price and its deposit.
    assert paid[block_pb2.PAYMENT_KIND_AGGREGATION, first.address] == FDC // 2
    assert paid[block_pb2.PAYMENT_KIND_TASK_DEPOSIT_RETURNED, first.address] == deposit
    assert job.chain.balance(BOB) == server
    # The next round is the server's again.
    job.chain.refuses(LedgerCode.NOT_THE_SERVER, opening(job, first))
    open_by(job, BOB)
    assert job.task.opener == b""
    settle(job)


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (LedgerCode.BAD_AVERAGING, {"averaging": task_pb2.AVERAGING_RENORMALISED}),
        (LedgerCode.BAD_AVERAGING, {"empty_coalition": task_pb2.EMPTY_COALITION_ZERO}),
        (
            LedgerCode.BAD_AVERAGING,
            {"sampling": Sampling(schedule=task_pb2.SCHEDULE_PERMUTATION, max_samples=999)},
        ),
        (
            LedgerCode.BAD_AVERAGING,
            {
                "sampling": Sampling(
                    schedule=task_pb2.SCHEDULE_PERMUTATION, max_samples=1_000, truncation=1
                )
            },
        ),
        (LedgerCode.BAD_WINDOW, {"commit_window_ms": 1_000}),
    ],
)
def test_a_client_opens_the_round_on_terms_of_its_own(
    job: LedgerCampaign, code: LedgerCode, changes: dict[str, Any], report_attack: ReportAttack
) -> None:
    register(job, *job.clients)
    job.chain.produce(after_ms=WINDOW)
    job.chain.refuses(code, opening(job, job.clients[0], **changes))
    report_attack(
        f"a client opens the round on terms of its own ({', '.join(changes)})",
        "only the server could open it",
        f"`{code.name}`",
    )


def test_a_client_lists_updates_without_receipts_or_leaves_its_own_out(
    job: LedgerCampaign,
) -> None:
    first, second, _ = job.clients
    register(job, first, second)
    job.chain.produce(after_ms=WINDOW)
    job.chain.refuses(LedgerCode.RECEIPT_LEFT_OUT, opening(job, first))
    others = [job.update(second, 1)]
    job.chain.refuses(LedgerCode.RECEIPT_LEFT_OUT, opening(job, first, updates=others))
    forged = [job.update(first, 1, num_samples=9)]
    job.chain.refuses(LedgerCode.RECEIPT_LEFT_OUT, opening(job, first, updates=forged))
    # Voters judge whether an update that is left out was unusable.
    open_by(job, first, updates=[job.update(first, 1)])


def test_the_base_of_receipts_follows_from_the_rounds_before(job: LedgerCampaign) -> None:
    open_by(job, BOB)
    settle(job)
    old = registering(job, job.clients[0], base=job.terms.base)
    job.chain.refuses(LedgerCode.WRONG_BASE, old, field="update.base")
    register(job, job.clients[0])
    rebased: OpenTask = job.task_terms(**FAIR, base=job.terms.base)
    del rebased.updates[:]
    rebased.updates.extend(job.update(c, 2, base=job.terms.base) for c in job.clients)
    job.chain.refuses(LedgerCode.WRONG_BASE, job.chain.sign(BOB, rebased))
    assert job.base(2) == aggregate(1)


def test_after_a_failed_task_the_base_stays() -> None:
    job = campaign(rounds=3)
    open_by(job, BOB)
    first_base = job.terms.base
    job.chain.produce(after_ms=60_000)
    while job.task.phase != block_pb2.TASK_PHASE_FAILED:
        job.chain.produce(after_ms=60_000)
    refused = registering(job, job.clients[0], base=aggregate(1))
    job.chain.refuses(LedgerCode.WRONG_BASE, refused)
    job.chain.produce(registering(job, job.clients[0], base=first_base))
    assert job.chain.campaign(job.campaign_id).receipts == 1


def test_receipts_outlive_a_task_that_makes_way(
    job: LedgerCampaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room_rent, "MAX_OPEN_TASKS", 1)
    register(job, job.clients[0])
    job.chain.produce(after_ms=2 * WINDOW - 1_000)
    open_by(job, BOB)
    better = LedgerCampaign(job.chain)
    better.open_campaign(rounds=1, budget=100 * FDC)
    better.open_task()
    assert job.task.phase == GAVE_WAY
    state = job.chain.campaign(job.campaign_id)
    assert state.receipts == 1
    # The client may open the task at once, and the campaign waits for another window.
    assert state.receipts_since_ms == job.chain.time_ms - WINDOW
    job.chain.refuses(LedgerCode.RECEIPTS_UNSETTLED, closing(job))
