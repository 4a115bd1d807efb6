"""What an audit tolerates is what honest machines differ by, and little to lean a vector with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from fedcoin.learning.measures.choice import bind_measure
from fedcoin.learning.measures.measure import Measure
from fedcoin.learning.measures.terms import NAMES, TARGET_UTILITIES
from fedcoin.learning.measures.tolerances import count_borderline, tolerate_classes
from tests.conftest import ReportAttack

DEFAULT = 2
"""The network parameter `utility_tolerance`, per 10,000."""


def measure_of(name: str, *counts: int) -> Measure:
    """Bind a measure to a set with so many examples of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return bind_measure(NAMES[name], labels, len(counts))


@pytest.mark.parametrize(
    ("name", "effects"), [("balanced-accuracy", 1), ("macro-f1", 3)], ids=["balanced", "F1"]
)
def test_the_borderline_examples_are_not_all_of_the_rarest_class(
    name: str, effects: int, report_attack: ReportAttack
) -> None:
    # 57 of 284,807 examples may differ; no more than one of them is a fraud.
    measure = measure_of(name, 284_315, 492)
    accepted = measure.tolerance(284_807, DEFAULT)
    one, others = 1_000_000 * effects / 492 / 2, 1_000_000 * effects * 56 / 284_315 / 2
    assert one + others <= accepted <= one + others + 1
    assert count_borderline(284_807, DEFAULT) * measure.step > 50_000 * effects
    report_attack(
        "a miner leans its vector by the tolerance of a set with a rare class",
        "there was only the accuracy",
        f"{accepted:,} millionths of the {name}: one of 492 examples, where 57 would be "
        f"{57 * measure.step:,}",
    )


def test_a_class_of_one_example_is_not_the_whole_range() -> None:
    assert measure_of("balanced-accuracy", 9_999, 1).tolerance(10_000, DEFAULT) == 500_051
    assert measure_of("macro-f1", 9_999, 1).tolerance(10_000, DEFAULT) <= 500_200
    assert tolerate_classes(np.array([1, 1, 1]), 10_000, effects=3) == 1_000_000


def test_classes_of_one_size_tolerate_what_the_accuracy_does() -> None:
    measure = measure_of("balanced-accuracy", *[1_000] * 10)
    assert measure.tolerance(10_000, DEFAULT) == 200


@pytest.mark.parametrize("name", ["mean-squared-error", "r-squared"])
def test_a_tolerance_of_losses_is_small_beside_what_outliers_leave_of_them(
    name: str, report_attack: ReportAttack
) -> None:
    rng = np.random.default_rng(1)
    targets = rng.normal(0, 1, 500).astype(np.float32)
    targets[0] = 50  # the range is 53 standard deviations
    measure = bind_measure(NAMES[name], targets, 1)
    estimates = np.stack([targets + rng.normal(0, noise, 500) for noise in (1.0, 0.5)])
    before, after = measure.finish(
        measure.summarise(estimates[:, None].astype(np.float32), targets)
    )
    gain, accepted = int(after - before), measure.tolerance(500, DEFAULT)
    assert gain > 200
    assert accepted <= gain / 4
    report_attack(
        "a miner leans its vector by the tolerance of a loss",
        "there was only the accuracy",
        f"{accepted} millionths of the {name}, where halving all errors is worth {gain:,}",
    )


@pytest.mark.parametrize("name", [name for name in NAMES if NAMES[name] in TARGET_UTILITIES])
def test_losses_in_another_order_of_sums_pass(name: str) -> None:
    rng = np.random.default_rng(2)
    inputs = rng.normal(0, 1, (400, 512)).astype(np.float32)
    weights = rng.normal(0, 1, 512).astype(np.float32)
    # The targets lie a thousand standard deviations from 0.
    targets = (inputs @ weights + 20_000 + rng.normal(0, 10, 400)).astype(np.float32)
    measure = bind_measure(NAMES[name], targets, 1)
    found = {find(measure, inputs, weights, order, targets) for order in (1, -1)}
    assert max(found) - min(found) <= measure.tolerance(400, DEFAULT)


def find(
    measure: Measure,
    inputs: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    order: int,
    targets: npt.NDArray[np.float32],
) -> int:
    """Measure a linear model whose products are added one by one, from the front or the back."""
    outputs = np.full(len(inputs), 20_000, np.float32)
    for feature in range(len(weights))[::order]:
        outputs += inputs[:, feature] * weights[feature]
    return int(measure.finish(measure.summarise(outputs[None, None], targets))[0])


@pytest.mark.parametrize("name", ["log-loss", "perplexity"])
def test_losses_of_probabilities_tolerate_the_same_for_any_number_of_examples(name: str) -> None:
    few, many = measure_of(name, 5, 5), measure_of(name, 50_000, 50_000)
    assert few.tolerance(10, DEFAULT) == many.tolerance(100_000, DEFAULT) == 50


def test_tokens_count_not_the_examples_that_they_stand_in() -> None:
    labels = np.zeros((100, 1_000), np.int64)
    many = bind_measure(NAMES["next-token-accuracy"], labels, 2)
    assert many.tolerance(100, DEFAULT) == 200
    labels[:, 1:] = -1
    few = bind_measure(NAMES["next-token-accuracy"], labels, 2)
    assert few.tolerance(100, DEFAULT) == 10_000


def test_the_accuracy_and_the_area_under_the_curve_count_examples() -> None:
    assert measure_of("accuracy", 9_000, 1_001).tolerance(10_001, DEFAULT) == 3
    assert measure_of("auc", 9_000, 1_001).tolerance(10_001, DEFAULT) == 300
