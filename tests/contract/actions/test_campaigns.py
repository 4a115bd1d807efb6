"""A campaign puts its budget into escrow; closing it returns the rest."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.task_pb2 import PriceSplit
from fedcoin.v1.transaction_pb2 import CloseCampaign
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain


@pytest.fixture
def job() -> LedgerCampaign:
    return LedgerCampaign(LedgerChain.create(2))


def test_the_budget_goes_into_escrow(job: LedgerCampaign) -> None:
    chain = job.chain
    before = chain.balance(ALICE)
    opening = chain.sign(ALICE, job.campaign_terms(budget=30 * FDC))
    chain.produce(opening)
    for_state = 4 * chain.genesis.parameters.state_fee
    assert chain.balance(ALICE) == before - 30 * FDC - opening.body.fee - for_state
    campaign = chain.campaign(opening.hash)
    assert campaign.escrow == 30 * FDC
    assert campaign.requester == ALICE.address
    assert campaign.terms == opening.body.open_campaign


@pytest.mark.parametrize(
    ("code", "field", "changes"),
    [
        (LedgerCode.BAD_SERVER, "server", {"server": b"\1" * 21}),
        (LedgerCode.BAD_HASH, "model", {"model": b""}),
        (LedgerCode.BAD_HASH, "initial_weights", {"initial_weights": b"\1" * 31}),
        (LedgerCode.BAD_HASH, "evaluation_root", {"evaluation_root": b"\1" * 33}),
        (LedgerCode.BAD_ROUNDS, "rounds", {"rounds": 0}),
        (LedgerCode.BAD_ROUNDS, "rounds", {"rounds": 10_001}),
        (LedgerCode.ZERO_AMOUNT, "budget", {"budget": 0}),
        (LedgerCode.AMOUNT_OVERFLOW, "budget", {"budget": MAX_AMOUNT + 1}),
        (LedgerCode.BUDGET_TOO_SMALL, "budget", {"budget": 9, "rounds": 10}),
        (LedgerCode.INSUFFICIENT_BALANCE, "budget", {"budget": 1_001 * FDC}),
        (LedgerCode.BAD_UTILITY, "utility", {"utility": 0}),
        (LedgerCode.BAD_UTILITY, "utility", {"utility": 10}),
        (LedgerCode.BAD_SPREAD, "spread", {"spread": 0}),
        (LedgerCode.BAD_SPREAD, "spread", {"spread": 3}),
        (LedgerCode.BAD_PRICE_SPLIT, "split", {"split": PriceSplit()}),
        (LedgerCode.BAD_PRICE_SPLIT, "split", {"split": PriceSplit(training=1_000_001)}),
        (LedgerCode.BAD_MINING_REWARD, "mining_reward", {"mining_reward": 0}),
        (LedgerCode.BAD_SHARDS, "evaluation_shards", {"evaluation_shards": 0}),
        (LedgerCode.BAD_SHARDS, "evaluation_shards", {"evaluation_shards": 10_001}),
    ],
)
def test_terms_that_cannot_be_are_refused(
    job: LedgerCampaign, code: LedgerCode, field: str, changes: dict[str, Any]
) -> None:
    opening = job.chain.sign(ALICE, job.campaign_terms(**changes))
    job.chain.refuses(code, opening, field=field)


def test_closing_returns_what_is_left(job: LedgerCampaign) -> None:
    chain = job.chain
    job.open_campaign(rounds=3, budget=9 * FDC)
    job.open_task()
    job.settle({m: additive(3, 2, 1) for m in chain.miners})
    assert chain.campaign(job.campaign_id).escrow == 6 * FDC
    before = chain.balance(ALICE)
    closing = chain.sign(ALICE, CloseCampaign(campaign_id=job.campaign_id))
    chain.produce(closing)
    assert chain.balance(ALICE) == before + 6 * FDC - closing.body.fee
    (payment,) = chain.payments()
    assert payment.kind == block_pb2.PAYMENT_KIND_REFUND
    assert (payment.amount, payment.campaign_id) == (6 * FDC, job.campaign_id)
    assert (payment.task_id, payment.round) == (b"", 0)
    campaign = chain.campaign(job.campaign_id)
    assert campaign.closed
    assert campaign.escrow == 0
    again = chain.sign(ALICE, CloseCampaign(campaign_id=job.campaign_id))
    chain.refuses(LedgerCode.CAMPAIGN_CLOSED, again, field="campaign_id")


def test_a_campaign_is_closed_by_its_requester_between_tasks(job: LedgerCampaign) -> None:
    chain = job.chain
    job.open_campaign()
    for campaign_id in (b"", b"\1" * 32, job.campaign_id[:-1]):
        unknown = chain.sign(ALICE, CloseCampaign(campaign_id=campaign_id))
        chain.refuses(LedgerCode.UNKNOWN_CAMPAIGN, unknown, field="campaign_id")
    stranger = chain.sign(BOB, CloseCampaign(campaign_id=job.campaign_id))
    chain.refuses(LedgerCode.NOT_THE_REQUESTER, stranger, field="campaign_id")
    job.open_task()
    busy = chain.sign(ALICE, CloseCampaign(campaign_id=job.campaign_id))
    chain.refuses(LedgerCode.TASK_STILL_OPEN, busy, field="campaign_id")


@pytest.mark.parametrize(
    "spread", [task_pb2.BUDGET_SPREAD_EQUAL, task_pb2.BUDGET_SPREAD_DECREASING]
)
def test_the_rounds_of_a_campaign_pay_its_whole_budget(job: LedgerCampaign, spread: int) -> None:
    chain = job.chain
    budget = 10 * FDC + 7
    job.open_campaign(rounds=4, budget=budget, spread=spread)
    paid = []
    for _ in range(4):
        job.open_task()
        job.settle({m: additive(3, 2, 1) for m in chain.miners})
        paid.append(job.terms.prices)
    shares = [prices.training + prices.aggregation + prices.mining for prices in paid]
    assert sum(shares) == budget
    falling = spread == task_pb2.BUDGET_SPREAD_DECREASING
    assert shares == sorted(shares, reverse=True) or not falling
    assert chain.campaign(job.campaign_id).closed
    after = chain.sign(BOB, job.task_terms(round=5))
    chain.refuses(LedgerCode.CAMPAIGN_CLOSED, after, field="campaign_id")
