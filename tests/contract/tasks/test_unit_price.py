"""A campaign with a unit price pays for gains above its best model, through the ledger."""

from __future__ import annotations

from typing import Any

import pytest

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.queries.task_queries import get_task
from fedcoin.data.errors import RefusalError
from fedcoin.v1 import block_pb2, task_pb2
from tests.conftest import ReportAttack
from tests.support.genesis import FDC
from tests.support.ledger_campaign import FAILED, WEIGHTS, Game, LedgerCampaign, additive, aggregate
from tests.support.ledger_chain import LedgerChain

UNIT_PRICE = 5 * FDC
FUND = 7 * FDC
"""The training part of the campaign's 10 FDC."""


def campaign(unit_price: int = UNIT_PRICE, **changes: Any) -> LedgerCampaign:
    job = LedgerCampaign(LedgerChain.create())
    job.open_campaign(
        training_reward=task_pb2.TRAINING_REWARD_UNIT_PRICE, unit_price=unit_price, **changes
    )
    return job


def play(job: LedgerCampaign, game: Game) -> list[int]:
    """Settle a round in which all miners agree, and return the clients' payouts in sap."""
    job.open_task()
    job.settle(dict.fromkeys(job.chain.miners, game))
    kind = block_pb2.PAYMENT_KIND_TRAINING
    paid = {p.address: p.amount for p in job.chain.payments() if p.kind == kind}
    return [paid.get(client.address, 0) for client in job.clients]


def test_gains_are_paid_at_one_price_and_the_rest_returns_at_the_end() -> None:
    job = campaign()
    requester = job.chain.balance(job.requester)
    # Right answers of 100: 30 and 20 points, then 3 and 2 points.
    assert play(job, additive(30, 20, 0)) == [UNIT_PRICE * 30 // 100, UNIT_PRICE * 20 // 100, 0]
    left = job.chain.campaign(job.campaign_id)
    assert left.training_fund == FUND - UNIT_PRICE // 2
    assert play(job, additive(3, 2, 0)) == [UNIT_PRICE * 3 // 100, UNIT_PRICE * 2 // 100, 0]
    closed = job.chain.campaign(job.campaign_id)
    assert (closed.closed, closed.escrow, closed.training_fund) == (
        True,
        0,
        FUND - UNIT_PRICE * 55 // 100,
    )
    assert job.chain.balance(job.requester) == requester + FUND - UNIT_PRICE * 55 // 100


def test_gains_of_a_measure_in_millionths_are_parts_of_its_unit() -> None:
    auc = task_pb2.UTILITY_AUC
    job = campaign(utility=auc)
    # Above the 100 examples of the evaluation set, which bound right answers only.
    game = additive(300_000, 150_000, -50_000, base=500_000)
    job.open_task(utility=auc)
    job.settle(dict.fromkeys(job.chain.miners, game))
    view = get_task(job.chain.ledger.reader, job.task_id)
    assert view is not None
    assert view.utility == auc
    assert [client.shapley_nano for client in view.clients] == [
        300_000_000,
        150_000_000,
        -50_000_000,
    ]
    paid = [client.payout for client in view.clients]
    assert paid == [UNIT_PRICE * 3 // 10, UNIT_PRICE * 15 // 100, 0]


def test_a_task_is_measured_as_its_campaign_promised() -> None:
    job = campaign(utility=task_pb2.UTILITY_BALANCED_ACCURACY)
    with pytest.raises(RefusalError, match="UTILITY_BALANCED_ACCURACY") as refused:
        job.open_task(utility=task_pb2.UTILITY_ACCURACY)
    assert refused.value.code is LedgerCode.BAD_UTILITY


@pytest.mark.attack
def test_a_model_that_sank_is_not_built_upon_and_no_gain_is_paid_twice(
    report_attack: ReportAttack,
) -> None:
    """One client sinks the model by 40 points in each second round, and the others mend it."""
    job = campaign(rounds=4)
    paid = play(job, additive(30, 10, 0))
    assert job.chain.campaign(job.campaign_id).best_weights == aggregate(1)
    # The others' gains of the harmful round are paid, and nothing is taken from them.
    assert play(job, additive(1, 0, -40, base=50)) == [UNIT_PRICE // 100, 0, 0]
    assert job.chain.campaign(job.campaign_id).best_weights == aggregate(1)
    sunk = job.task_terms(base=aggregate(2))
    job.chain.refuses(LedgerCode.WRONG_BASE, job.chain.sign(job.server, sunk), field="base")
    again = play(job, additive(2, 0, 0, base=50))
    assert sum(paid) + sum(again) == UNIT_PRICE * 42 // 100
    report_attack(
        "clients sink the model by 40 points, raise it again, and want to be paid for it",
        "the whole training price of each round",
        f"{sum(again) / FDC:.2f} FDC, the price of the 2 points that are new",
    )


@pytest.mark.attack
def test_the_fund_bounds_what_two_accomplices_get_for_harm_and_repair(
    report_attack: ReportAttack,
) -> None:
    """One sinks the model by 40 points, the other raises it again in the same round."""
    job = campaign(unit_price=FUND, rounds=5)
    rounds = [sum(play(job, additive(40, -40, 0, base=50))) for _ in range(4)]
    assert rounds == [FUND * 2 // 5, FUND * 2 // 5, FUND // 5, 0]
    assert job.chain.campaign(job.campaign_id).best_weights == WEIGHTS
    report_attack(
        "two accomplices, of which one sinks the model by 40 points and the other raises it again,"
        " gain nothing together",
        "the whole training price of each round",
        f"{100 * sum(rounds) // FUND} % of the campaign's fund in three rounds, unless the"
        " coordinator excludes them",
    )


def test_a_failed_round_leaves_fund_and_best_model_as_they_were() -> None:
    job = campaign()
    job.open_task(max_attempts=1)
    job.wait(job.task.phase, job.terms.commit_window_ms)
    assert job.task.phase == FAILED
    state = job.chain.campaign(job.campaign_id)
    assert (state.training_fund, state.best_weights) == (FUND, WEIGHTS)
    # Round 2's aggregation and mining price, and the fund.
    assert state.escrow == FUND + FDC // 2 + FDC


def test_values_that_contain_the_base_models_utility_are_refused() -> None:
    job = campaign()
    terms = job.task_terms(empty_coalition=task_pb2.EMPTY_COALITION_ZERO)
    refused = job.chain.sign(job.server, terms)
    job.chain.refuses(LedgerCode.BAD_EMPTY_COALITION, refused, field="empty_coalition")


def test_a_fund_that_is_used_up_pays_what_it_has() -> None:
    job = campaign(unit_price=20 * FDC)
    # 50 points cost 10 FDC, and the fund has 7.
    assert play(job, additive(30, 20, 0)) == [FUND * 3 // 5, FUND * 2 // 5, 0]
    assert job.chain.campaign(job.campaign_id).training_fund == 0
    assert play(job, additive(10, 5, 0)) == [0, 0, 0]
    assert job.chain.campaign(job.campaign_id).escrow == 0


def test_unit_price_and_reward_go_together() -> None:
    job = LedgerCampaign(LedgerChain.create())
    for reward, price, field in (
        (task_pb2.TRAINING_REWARD_UNIT_PRICE, 0, "unit_price"),
        (task_pb2.TRAINING_REWARD_PROPORTIONAL, 1, "unit_price"),
        (task_pb2.TRAINING_REWARD_UNSPECIFIED, 1, "training_reward"),
    ):
        terms = job.campaign_terms(training_reward=reward, unit_price=price)
        opening = job.chain.sign(job.requester, terms)
        job.chain.refuses(LedgerCode.BAD_TRAINING_REWARD, opening, field=field)
