"""How utilities read."""

from __future__ import annotations

import pytest

from fedcoin.incentive.proof.audit import compute_tolerance
from fedcoin.learning.measures.terms import NAMES, TERMS, format_utility, largest_utility
from fedcoin.v1 import task_pb2


def test_every_utility_of_the_wire_has_a_measure() -> None:
    assert set(TERMS) == set(task_pb2.Utility.values()) - {task_pb2.UTILITY_UNSPECIFIED}


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 3, "75.0 %"),
        ("balanced-accuracy", 500_000, "50.0 %"),
        ("auc", 912_345, "0.9123"),
        ("log-loss", 980_000, "0.3200 nats"),
        ("perplexity", 50_000, "20.00"),
        ("perplexity", 0, "above 1,000,000"),
        ("r-squared", 812_300, "0.8123"),
        ("mean-squared-error", 990_000, "1.000 % of the range squared"),
    ],
)
def test_a_utility_is_printed_in_the_unit_of_its_measure(name: str, value: int, text: str) -> None:
    assert format_utility(NAMES[name], value, 4) == text


def test_a_hundredth_is_in_the_unit_of_the_measure() -> None:
    """The numbers in the sentences are those that the formats give for 0.01 of the largest."""
    for name, number in (("accuracy", "1.0 %"), ("auc", "0.0100"), ("r-squared", "0.0100")):
        assert TERMS[NAMES[name]].format_fraction(0.01) == number
    assert TERMS[NAMES["accuracy"]].hundredth == "one percentage point of accuracy"
    assert TERMS[NAMES["auc"]].hundredth == "0.01 of the area under the ROC curve"
    assert TERMS[NAMES["log-loss"]].hundredth == "a log-loss lower by 0.16 nats"
    assert TERMS[NAMES["log-loss"]].format_fraction(0.99) == "0.1600 nats"


def test_only_the_accuracy_grows_with_the_evaluation_set() -> None:
    assert largest_utility(task_pb2.UTILITY_ACCURACY, 77) == 77
    assert largest_utility(task_pb2.UTILITY_AUC, 77) == 1_000_000


def test_a_tolerance_is_a_number_of_examples_times_their_step() -> None:
    assert compute_tolerance(10_000, 2, 100) == 200
    assert compute_tolerance(100, 2, 10_000) == 10_000
    assert compute_tolerance(5_001, 2) == 2
