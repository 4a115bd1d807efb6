"""Answers that rounding decides: which are counted, and what is said about them."""

from __future__ import annotations

import numpy as np
import pytest

from fedcoin.learning.measures.class_rates import BalancedAccuracy, MacroF1
from fedcoin.learning.measures.losses import LogLoss
from fedcoin.learning.measures.measure import Measure
from fedcoin.learning.measures.near_ties import (
    MAX_TIES_PER_TEN_THOUSAND,
    NEAR_TIES,
    TIE_MARGIN,
    accept_ties,
    explain_ties,
    find_near_ties,
)
from fedcoin.learning.measures.right_answers import ACCURACY
from fedcoin.learning.measures.tokens import NextTokenAccuracy


def near(*examples: list[float]) -> list[bool]:
    """Find near ties of one model, given each example's outputs."""
    outputs = np.array(examples, np.float32).T[None]
    return [bool(found) for found in find_near_ties(outputs)[0]]


def test_the_two_highest_outputs_count_by_their_distance_and_the_largest_size() -> None:
    step = float(TIE_MARGIN)
    assert near([1, 1, 0], [1, 1 - step, 0], [1, 1 - 2 * step, 0], [0, 2, 1]) == [
        True, True, False, False,
    ]  # fmt: skip
    # A large output below means that large numbers were added up.
    assert near([0.001, 0.00099, -1], [0.001, 0.00099, 0]) == [True, False]
    assert near([-5, -5.00001, -9], [3, 1, 1]) == [True, False]


def test_outputs_that_decide_nothing() -> None:
    assert near([np.nan, 1, 1], [1, np.nan, 0], [np.inf, np.inf, 0]) == [False] * 3
    # All weights 0: every machine finds the same number everywhere.
    assert near([0.25] * 4, [0.25] * 4) == [False, False]
    # Dead or saturated in one example only: elsewhere the model tells classes apart.
    assert near([0, 0, 0], [1, 0, 0]) == [True, False]
    assert find_near_ties(np.zeros((2, 1, 5), np.float32)).sum() == 0


def test_saturated_sigmoids_and_weights_on_a_coarse_grid_have_many() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(12, 3, (1, 4, 500)).astype(np.float32)
    sigmoids = (1 / (1 + np.exp(-logits))).astype(np.float32)
    assert find_near_ties(logits).sum() == 0
    assert find_near_ties(sigmoids).sum() > 100
    # Weights that were stored as float16, on small whole inputs: sums are often equal.
    weights = rng.integers(-3, 4, (6, 4)).astype(np.float16).astype(np.float32) / 4
    x = rng.integers(0, 3, (500, 6)).astype(np.float32)
    outputs = (x @ weights).astype(np.float32)
    assert find_near_ties(outputs.T[None]).sum() > 20


def test_counts_of_positions_leave_those_without_a_label_out() -> None:
    outputs = np.zeros((1, 2, 3, 4), np.float32)
    outputs[0, 0, 0] = 1  # the first position is decided
    labels = np.array([[0, 1], [0, -1], [0, 2], [0, 0]])
    assert NEAR_TIES.summarise(outputs, labels).tolist() == [[3]]
    assert NEAR_TIES.finish(np.array([[3], [5]])).tolist() == [3, 5]


def test_they_are_explained_where_they_are_many() -> None:
    assert explain_ties(0, 500) == explain_ties(4, 5000) == ""
    assert explain_ties(5, 5000).startswith("5 of 5000 answers are within rounding of a tie")


COUNTS = np.array([400.0, 500.0, 100.0])


@pytest.mark.parametrize(
    "measure",
    [ACCURACY, BalancedAccuracy(COUNTS), MacroF1(COUNTS), NextTokenAccuracy(np.array([1000.0]))],
)
def test_each_near_tie_is_worth_an_answer_up_to_a_hundredth(measure: Measure) -> None:
    plain = measure.tolerance(1000, 2)
    accepted = accept_ties(measure, np.array([0, 1, 4, 1000]), 1000, 2)
    most = measure.tolerance(1000, MAX_TIES_PER_TEN_THOUSAND)
    assert accepted.tolist() == [plain, plain + measure.step, accepted[2], most]
    assert plain + measure.step < accepted[2] <= most
    # A network that tolerates more keeps doing so.
    wide = measure.tolerance(1000, 300)
    assert accept_ties(measure, np.array([5]), 1000, 300).tolist() == [wide]


def test_smooth_measures_have_no_border() -> None:
    measure = LogLoss(np.array([1000.0, 1.0]))
    assert accept_ties(measure, np.array([500]), 1000, 2).tolist() == [measure.tolerance(1000, 2)]
