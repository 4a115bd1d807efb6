"""Splits of amounts, prices and budgets to the last sap."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.errors import IncentiveCode
from fedcoin.incentive.payout import (
    RoundPrices,
    compute_round_budget,
    compute_round_prices,
    split,
    split_training_price,
)
from fedcoin.v1 import task_pb2

EQUAL, DECREASING = task_pb2.BUDGET_SPREAD_EQUAL, task_pb2.BUDGET_SPREAD_DECREASING
AMOUNTS = st.integers(0, 2**63 - 1)


@given(AMOUNTS, st.lists(st.integers(0, 2**40), min_size=1, max_size=30))
def test_split_is_exact_and_proportional(amount: int, weights: list[int]) -> None:
    if not any(weights):
        weights[0] = 1
    parts = split(amount, weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(amount * weight, sum(weights))) < 1
        assert weight or not part


def test_split_ties_go_to_the_lower_index() -> None:
    assert split(1, [1, 1, 1]) == (1, 0, 0)
    assert split(5, [1, 1, 1]) == (2, 2, 1)
    assert split(0, [0, 0]) == (0, 0)
    assert split(0, []) == ()


@pytest.mark.parametrize(("amount", "weights"), [(-1, [1]), (1, [-1, 2]), (1, []), (5, [0, 0])])
def test_split_refuses_what_cannot_be_split(amount: int, weights: list[int]) -> None:
    with pytest.raises(RefusalError) as refused:
        split(amount, weights)
    assert refused.value.code is IncentiveCode.BAD_SPLIT


@given(st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=20), AMOUNTS)
def test_training_price_is_paid_out_or_goes_back(values: list[int], price: int) -> None:
    payouts, refund = split_training_price(values, price)
    assert sum(payouts) + refund == price
    assert refund in (0, price)
    assert (refund == price) == (max(values) <= 0) or price == 0
    for value, payout in zip(values, payouts, strict=True):
        assert value > 0 or payout == 0


def test_client_payouts_follow_the_positive_values() -> None:
    assert split_training_price([30, -50, 10, 0], 1_000) == ((750, 0, 250, 0), 0)
    assert split_training_price([1, 1, 1], 1) == ((1, 0, 0), 0)
    assert split_training_price([-1, 0], 7) == ((0, 0), 7)
    assert split_training_price([5], 0) == ((0,), 0)


@given(AMOUNTS, st.integers(1, 200), st.sampled_from([EQUAL, DECREASING]))
def test_rounds_share_out_the_whole_budget(budget: int, rounds: int, spread: int) -> None:
    shares = [
        compute_round_budget(budget, rounds, spread, number) for number in range(1, rounds + 1)
    ]
    assert sum(shares) == budget
    whole = rounds * (rounds + 1) // 2
    for number, share in enumerate(shares, start=1):
        weight = Fraction(1, rounds) if spread == EQUAL else Fraction(rounds + 1 - number, whole)
        assert abs(share - budget * weight) < 1


def test_round_prices() -> None:
    parts = task_pb2.PriceSplit(training=7, aggregation=1, mining=2)
    assert compute_round_prices(3_000, 3, EQUAL, 2, parts) == RoundPrices(700, 100, 200)
    assert [compute_round_budget(6_000, 3, DECREASING, number) for number in (1, 2, 3)] == [
        3000,
        2000,
        1000,
    ]
    assert compute_round_prices(10, 10, EQUAL, 10, parts) == RoundPrices(1, 0, 0)
    assert compute_round_prices(1_000, 1, EQUAL, 1, parts).total() == 1_000


@pytest.mark.parametrize(
    ("budget", "rounds", "spread", "number"),
    [(100, 3, EQUAL, 0), (100, 3, EQUAL, 4), (100, 3, 0, 1), (100, 3, 9, 1), (-1, 3, EQUAL, 1)],
)
def test_rounds_that_do_not_exist(budget: int, rounds: int, spread: int, number: int) -> None:
    with pytest.raises(RefusalError) as refused:
        compute_round_budget(budget, rounds, spread, number)
    assert refused.value.code is IncentiveCode.BAD_SPLIT


def test_a_split_of_nothing_is_refused() -> None:
    with pytest.raises(RefusalError):
        compute_round_prices(100, 1, EQUAL, 1, task_pb2.PriceSplit())
