"""Receipts that clients show after the server has opened the round's task."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.queries.task_queries import get_task
from fedcoin.contract.tasks import room_rent
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.task_pb2 import PriceSplit
from fedcoin.v1.transaction_pb2 import RegisterReceipt
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import FAILED, GAVE_WAY, SETTLED, LedgerCampaign, additive
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
from tests.support.transfers import transfer_to

TRAINING = 7 * FDC // 2
BURNED = block_pb2.PAYMENT_KIND_TRAINING_BURNED
PAID = block_pb2.PAYMENT_KIND_TRAINING


def claim(
    job: LedgerCampaign, client: KeyPair, task_id: bytes = b"", round: int = 1, **changes: Any
) -> Transaction:
    """Sign the registration of a receipt with a task's id, by default that of the last task."""
    update = job.update(client, round, **changes)
    receipt = receipt_of(job, update)
    action = RegisterReceipt(update=update, receipt=receipt, task_id=task_id or job.task_id)
    return job.chain.sign(client, action)


def amounts(job: LedgerCampaign, kind: int) -> list[int]:
    """List the latest block's payments of a kind, in sap."""
    return [payment.amount for payment in job.chain.payments() if payment.kind == kind]


def open_without(job: LedgerCampaign, *left_out: KeyPair) -> None:
    """Open the round's task at once, without some of the clients."""
    number = job.chain.campaign(job.campaign_id).last_round + 1
    kept = [client for client in job.clients if client not in left_out]
    open_by(job, BOB, updates=[job.update(client, number) for client in kept])


def settle_some(job: LedgerCampaign) -> None:
    """Play the open task to its end, however many clients it has."""
    worth = [3, 2, 1][: len(job.terms.updates)]
    job.settle(dict.fromkeys(job.chain.miners, additive(*worth)))


@pytest.mark.parametrize("reward", ["PROPORTIONAL", "UNIT_PRICE"])
def test_the_server_opens_the_round_before_its_clients_register(
    reward: str, report_attack: ReportAttack
) -> None:
    """The round's training price is burned, and the campaign ends; the others are paid."""
    unit = reward == "UNIT_PRICE"
    job = campaign(
        training_reward=task_pb2.TrainingReward.Value(f"TRAINING_REWARD_{reward}"),
        unit_price=10 * FDC if unit else 0,
    )
    chain, left_out = job.chain, job.clients[0]
    open_without(job, left_out)
    settle_some(job)
    paid = sum(amounts(job, PAID))
    burned, escrow = chain.ledger.totals().burned, chain.campaign(job.campaign_id).escrow
    made, base = claim(job, left_out, base=job.terms.base), job.base(2)
    following = job.task_terms(**FAIR, base=base)
    chain.refuses(LedgerCode.CAMPAIGN_CLOSING, chain.sign(BOB, following), before=[made])
    chain.produce(made)
    assert amounts(job, BURNED) == [TRAINING]
    fees = made.body.fee - chain.genesis.parameters.base_fee
    assert chain.ledger.totals().burned == burned + TRAINING + fees
    state = chain.campaign(job.campaign_id)
    assert state.escrow == escrow - TRAINING
    chain.produce()
    assert chain.campaign(job.campaign_id).closed
    assert amounts(job, block_pb2.PAYMENT_KIND_REFUND) == [escrow - TRAINING]
    assert paid > 0
    report_attack(
        f"a server opens the round before a client has registered, without its update ({reward})",
        "the update for nothing",
        "the round's training price is burned, and the campaign ends",
    )


def test_the_last_rounds_task_pays_for_what_it_leaves_out(report_attack: ReportAttack) -> None:
    """There is no later round to pay for it, so the open task's training price is burned."""
    job = campaign(rounds=1)
    job.chain.produce()
    open_without(job, *job.clients[:2])
    job.chain.produce(claim(job, job.clients[0]))
    assert amounts(job, BURNED) == []
    # Nobody is burned for twice.
    job.chain.refuses(LedgerCode.NOTHING_OWED, claim(job, job.clients[1]), field="task_id")
    job.settle(dict.fromkeys(job.chain.miners, additive(3)))
    assert amounts(job, BURNED) == [7 * FDC]
    assert amounts(job, PAID) == []
    view = get_task(job.chain.state, job.task_id)
    assert view is not None
    assert [client.payout for client in view.clients] == [0]
    assert job.chain.campaign(job.campaign_id).closed
    report_attack(
        "a server opens the last round for an address of its own, without its clients' updates",
        "the updates for nothing",
        "its training price is burned, when a client registers while the task is open",
    )


def test_a_later_rounds_task_pays_where_nothing_else_is_left() -> None:
    """The receipt is for the first of two rounds, and comes while the last one's task is open."""
    job = campaign()
    left_out = job.clients[0]
    first = job.base(1)
    open_without(job, left_out)
    task_id = job.task_id
    settle_some(job)
    open_by(job, BOB)
    job.chain.produce(claim(job, left_out, task_id, base=first))
    assert amounts(job, BURNED) == []
    assert job.chain.campaign(job.campaign_id).left_out_debt == TRAINING
    settle(job)
    assert amounts(job, BURNED) == [TRAINING]
    assert job.chain.campaign(job.campaign_id).left_out_debt == 0


def test_a_task_that_fails_pays_for_what_it_leaves_out() -> None:
    job = campaign(rounds=1)
    open_without(job, job.clients[0])
    job.chain.produce(claim(job, job.clients[0]))
    while job.task.phase != FAILED:
        job.chain.produce(after_ms=max(10, job.task.deadline_ms - job.chain.time_ms))
    assert amounts(job, BURNED) == [7 * FDC]
    assert amounts(job, block_pb2.PAYMENT_KIND_REFUND) == [3 * FDC]


def test_a_task_that_made_way_leaves_its_round_to_be_registered_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(room_rent, "MAX_OPEN_TASKS", 1)
    job = campaign()
    left_out = job.clients[0]
    open_without(job, left_out)
    rival = LedgerCampaign(job.chain)
    rival.open_campaign(budget=500 * FDC)
    rival.open_task()
    assert job.task.phase == GAVE_WAY
    job.chain.refuses(LedgerCode.NOTHING_OWED, claim(job, left_out), field="task_id")
    register(job, left_out)
    only = [job.update(client, 1) for client in job.clients[1:]]
    job.chain.refuses(LedgerCode.RECEIPT_LEFT_OUT, opening(job, BOB, updates=only))


def test_the_server_opens_a_failing_task_before_its_clients_register(
    report_attack: ReportAttack,
) -> None:
    """They register while it is open, so that its failure does not end the round."""
    job = campaign()
    chain = job.chain
    chain.refuses(LedgerCode.BAD_WINDOW, opening(job, BOB, commit_window_ms=29_999))
    chain.refuses(LedgerCode.BAD_ATTEMPTS, opening(job, BOB, max_attempts=1))
    open_by(job, BOB)
    opened = job.task.opened_ms
    made = [claim(job, client) for client in job.clients]
    chain.produce(*made)
    chain.refuses(LedgerCode.ALREADY_REGISTERED, claim(job, job.clients[0]))
    state = chain.campaign(job.campaign_id)
    assert (state.receipts, state.receipts_since_ms) == (3, chain.time_ms)
    while job.task.phase != FAILED:
        chain.produce(after_ms=max(10, job.task.deadline_ms - chain.time_ms))
    assert chain.time_ms >= opened + 60_000
    assert chain.campaign(job.campaign_id).last_round == 0
    chain.produce(after_ms=WINDOW)
    open_by(job, job.clients[0])
    settle(job)
    assert len(amounts(job, PAID)) == 3
    report_attack(
        "a server opens a task that no miner takes before its clients have registered",
        "the updates for nothing",
        "they have a minute to register; then the round goes on, as with receipts from before",
    )


def test_receipts_of_updates_that_were_valued_prove_nothing(report_attack: ReportAttack) -> None:
    job = campaign()
    chain, client = job.chain, job.clients[0]
    open_by(job, BOB)
    # Another base than the task's cannot be registered for it.
    strange = claim(job, client, base=b"b" * 32)
    chain.refuses(LedgerCode.NOTHING_OWED, strange)
    settle(job)
    assert job.task.phase == SETTLED
    base = job.terms.base
    chain.refuses(LedgerCode.NOTHING_OWED, claim(job, client, base=base), field="task_id")
    forged = RegisterReceipt(
        update=job.update(client, 1, base=base, num_samples=7),
        receipt=receipt_of(job, job.update(client, 1, base=base, num_samples=7), client),
        task_id=job.task_id,
    )
    chain.refuses(LedgerCode.BAD_RECEIPT, chain.sign(client, forged))
    unknown = claim(job, client, b"t" * 32, base=base)
    chain.refuses(LedgerCode.UNKNOWN_TASK, unknown, field="task_id")
    other_round = claim(job, client, round=2)
    chain.refuses(LedgerCode.UNKNOWN_TASK, other_round, field="task_id")
    assert chain.campaign(job.campaign_id).escrow == 5 * FDC
    report_attack(
        "a client that was paid shows its receipt again, to have the price burned",
        "there were no receipts",
        "`NOTHING_OWED`",
    )


def test_a_receipt_comes_a_window_too_late() -> None:
    job = campaign()
    base = job.base(1)
    open_without(job, job.clients[0])
    settle_some(job)
    late = claim(job, job.clients[0], base=base)
    job.chain.produce(after_ms=job.task.opened_ms + WINDOW - 20 - job.chain.time_ms)
    job.chain.refuses(LedgerCode.RECEIPTS_OVER, late, after_ms=20)
    job.chain.produce(late)
    assert amounts(job, BURNED) == [TRAINING]


def test_a_task_that_a_client_opened_owes_nothing_to_others() -> None:
    """It holds what is registered; who has not registered in time has no claim."""
    job = campaign()
    first, second, _ = job.clients
    register(job, first)
    job.chain.produce(after_ms=WINDOW)
    open_by(job, first, updates=[job.update(first, 1)])
    job.chain.refuses(LedgerCode.UNKNOWN_TASK, claim(job, second), field="task_id")


def test_clients_keep_their_registered_round_when_the_campaign_ends() -> None:
    """The next round's receipts are registered, and another client proves an earlier fault."""
    job = campaign(rounds=3, budget=15 * FDC)
    base, left_out = job.base(1), job.clients[0]
    open_without(job, left_out)
    task_id = job.task_id
    settle_some(job)
    register(job, *job.clients[1:])
    job.chain.produce(claim(job, left_out, task_id, base=base))
    job.chain.produce()
    state = job.chain.campaign(job.campaign_id)
    assert (state.closed, state.receipts, state.escrow) == (False, 2, 10 * FDC - TRAINING)
    job.chain.refuses(LedgerCode.CAMPAIGN_CLOSING, closing(job))
    job.chain.produce(after_ms=WINDOW)
    kept = [job.update(client, 2) for client in job.clients[1:]]
    open_by(job, job.clients[1], updates=kept)
    settle_some(job)
    assert len(amounts(job, PAID)) == 2
    job.chain.produce(after_ms=2 * WINDOW)
    job.chain.produce()
    assert job.chain.campaign(job.campaign_id).closed


def test_only_the_client_may_show_its_receipt() -> None:
    job = campaign()
    open_without(job, job.clients[0])
    update = job.update(job.clients[0], 1)
    action = RegisterReceipt(update=update, receipt=receipt_of(job, update), task_id=job.task_id)
    job.chain.refuses(LedgerCode.NOT_THE_CLIENT, job.chain.sign(ALICE, action))
    job.chain.refuses(LedgerCode.TASK_STILL_OPEN, registering(job, job.clients[0]))


@pytest.mark.attack
def test_the_debt_of_the_largest_budget_has_a_record(report_attack: ReportAttack) -> None:
    """Each of a round's tasks owes the training price, here half of nearly all coins."""
    job = with_nearly_all_coins()
    chain, left_out = job.chain, job.clients[0]
    register(job, job.clients[1])
    owing = []
    for _ in range(5):
        open_without(job, left_out)
        owing.append(job.task_id)
        while job.task.phase != FAILED:
            chain.produce(after_ms=max(10, job.task.deadline_ms - chain.time_ms))
    open_without(job, left_out)
    owing.append(job.task_id)
    claims = [claim(job, left_out, task_id).body.register_receipt for task_id in owing]
    settle_some(job)
    escrow = chain.campaign(job.campaign_id).escrow
    chain.produce(*(chain.sign(left_out, each, ahead=i) for i, each in enumerate(claims)))
    assert amounts(job, BURNED) == [escrow]
    assert chain.campaign(job.campaign_id).left_out_debt == 0
    chain.produce()
    assert chain.campaign(job.campaign_id).closed
    report_attack(
        "with 2^62 sap, open six tasks of a round, five of which fail, and show each a receipt for"
        " an update that it lacks",
        "what is owed exceeds 64 bits: no validator can execute the block, and the chain stands",
        "no more is owed than is in escrow",
    )


def with_nearly_all_coins() -> LedgerCampaign:
    """Open a campaign of two rounds with nearly all coins of the largest supply."""
    chain = LedgerChain.create(3, balance=18 * 10**17)
    amount = 18 * 10**17 - 10 * FDC
    owners = (BOB, *chain.miners)
    chain.produce(*(chain.sign(owner, transfer_to((ALICE.address, amount))) for owner in owners))
    terms = {"budget": 89 * 10**17, "split": PriceSplit(training=1)}
    return campaign(chain, receipt_window_ms=7 * 24 * WINDOW, **terms)
