"""What clients are paid, by either rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.incentive.payout import RoundPrices, compute_round_prices, split_training_price
from fedcoin.incentive.training_reward import (
    UNIT_NANO,
    compute_payouts,
    compute_prices_due,
    is_gain,
    split_budget,
)
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import OpenCampaign
from tests.conftest import ReportAttack

FDC = 100_000_000
SPLIT = task_pb2.PriceSplit(training=7, aggregation=1, mining=2)


def terms(unit_price: int = 0, budget: int = 300 * FDC, rounds: int = 3) -> OpenCampaign:
    reward = (
        task_pb2.TRAINING_REWARD_UNIT_PRICE if unit_price else task_pb2.TRAINING_REWARD_PROPORTIONAL
    )
    return OpenCampaign(
        rounds=rounds,
        budget=budget,
        spread=task_pb2.BUDGET_SPREAD_EQUAL,
        split=SPLIT,
        training_reward=reward,
        unit_price=unit_price,
    )


def test_each_positive_value_is_paid_at_the_unit_price() -> None:
    # Accuracy rises by 30, 5 and 0 points, and falls by 10, for clients one to four.
    values = [300_000_000, 50_000_000, 0, -100_000_000]
    paid = compute_payouts(terms(unit_price=100 * FDC), values, 210 * FDC)
    assert paid == (30 * FDC, 5 * FDC, 0, 0)


@pytest.mark.attack
def test_a_harmful_update_takes_nothing_from_the_others(report_attack: ReportAttack) -> None:
    """Two clients with wrong labels: the model fell from 3.3 to 0 % right answers.

    Under the paper's rule the first of them gets the whole training price.
    """
    values = [1_400_000, -34_700_000]
    by_unit = compute_payouts(terms(unit_price=100 * FDC), values, 70 * FDC)
    assert by_unit == (14_000_000, 0)
    assert compute_payouts(terms(), values, 70 * FDC) == (70 * FDC, 0)
    report_attack(
        "two clients with wrong labels only, accuracy 3.3 to 0 %",
        "70 FDC, the whole training price",
        f"{sum(by_unit) / FDC:.2f} FDC at 100 FDC for 100 %",
    )


def test_a_unit_costs_the_same_in_every_round() -> None:
    offer = terms(unit_price=100 * FDC)
    fund = split_budget(offer).training
    first = compute_payouts(offer, [400_000_000, 100_000_000], fund)
    later = compute_payouts(offer, [4_000_000, 1_000_000], fund - sum(first))
    assert first == (40 * FDC, 10 * FDC)
    assert later == (40 * FDC // 100, 10 * FDC // 100)
    # The paper's rule pays for one point as much as for fifty.
    assert compute_payouts(terms(), [4_000_000, 1_000_000], 70 * FDC) == (56 * FDC, 14 * FDC)


def test_what_the_fund_does_not_cover_is_split_in_proportion() -> None:
    assert compute_payouts(terms(unit_price=100 * FDC), [30 * UNIT_NANO, 10 * UNIT_NANO], 8) == (
        6,
        2,
    )


@given(
    st.lists(st.integers(-2 * UNIT_NANO, 2 * UNIT_NANO), min_size=1, max_size=12),
    st.integers(1, 10**15),
    st.integers(0, 10**15),
)
def test_payouts_stay_within_the_fund_and_are_monotone(
    values: list[int], unit_price: int, fund: int
) -> None:
    paid = compute_payouts(terms(unit_price), values, fund)
    assert sum(paid) <= fund
    for value, amount in zip(values, paid, strict=True):
        assert amount <= max(value, 0) * unit_price // UNIT_NANO + 1
        assert amount == 0 or value > 0


@given(st.lists(st.integers(0, UNIT_NANO), min_size=2, max_size=6), st.integers(1, 10**6))
def test_no_client_earns_more_by_giving_its_gain_in_parts(gains: list[int], unit: int) -> None:
    """Holding a part back for the next round pays at most the same: each payout is rounded down."""
    offer = terms(unit_price=unit)
    at_once = compute_payouts(offer, [sum(gains)], 10**18)[0]
    in_parts = sum(compute_payouts(offer, [gain], 10**18)[0] for gain in gains)
    assert in_parts <= at_once


def test_prices_due_offer_the_whole_fund_and_share_the_rest_by_rounds() -> None:
    offer = terms(unit_price=FDC, budget=100, rounds=3)
    assert split_budget(offer) == RoundPrices(70, 10, 20)
    due = [compute_prices_due(offer, number, fund) for number, fund in ((1, 70), (2, 41), (3, 0))]
    assert [prices.training for prices in due] == [70, 41, 0]
    assert sum(prices.aggregation for prices in due) == 10
    assert sum(prices.mining for prices in due) == 20
    proportional = terms(budget=100)
    for number in (1, 2, 3):
        expected = compute_round_prices(100, 3, task_pb2.BUDGET_SPREAD_EQUAL, number, SPLIT)
        assert compute_prices_due(proportional, number, 99) == expected


def test_the_papers_rule_is_unchanged() -> None:
    assert (
        compute_payouts(terms(), [30, -50, 10], 1_000)
        == split_training_price([30, -50, 10], 1_000)[0]
    )


@pytest.mark.parametrize(("values", "gain"), [([5, -4], True), ([5, -5], False), ([5, -6], False)])
def test_a_round_gains_when_its_values_add_up_to_more_than_zero(
    values: list[int], gain: bool
) -> None:
    assert is_gain(values) is gain
