"""Every measure against its definition, computed in another way from the same outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from fedcoin.learning.measures.choice import bind_measure, restore_measure
from fedcoin.learning.measures.terms import MILLIONTHS, NAMES, TARGET_UTILITIES, largest_utility

Floats = npt.NDArray[np.float64]
CLASSES, EXAMPLES, MODELS = 4, 240, 5


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def labels() -> npt.NDArray[np.int64]:
    return np.random.default_rng(1).choice(CLASSES, EXAMPLES, p=[0.7, 0.2, 0.07, 0.03])


@pytest.fixture
def probabilities(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """(MODELS, CLASSES, EXAMPLES): model m knows the labels the better the larger m is."""
    rng = np.random.default_rng(2)
    logits = rng.normal(0, 1.5, (MODELS, CLASSES, EXAMPLES))
    logits[:, labels, np.arange(EXAMPLES)] += np.arange(MODELS)[:, None]
    return softmax(logits)


def measure(
    name: str, outputs: npt.NDArray[np.float32], targets: npt.NDArray[Any], **kwargs: bool
) -> Floats:
    """Measure in three shares, finish in "another process", and return fractions."""
    utility = NAMES[name]
    bound = bind_measure(utility, targets, outputs.shape[-2], **kwargs)
    parts = np.array_split(np.arange(len(targets)), 3)
    statistics = sum(bound.summarise(outputs[..., part], targets[part]) for part in parts)
    utilities = restore_measure(utility, bound.facts).finish(np.asarray(statistics))
    whole = bound.finish(bound.summarise(outputs, targets))
    np.testing.assert_array_equal(utilities, whole)
    assert utilities.dtype == np.int64
    largest = largest_utility(utility, len(targets))
    assert (utilities >= 0).all()
    assert (utilities <= largest).all()
    return np.asarray(utilities / largest)


def close(found: Floats, expected: Any, within: float = 2 / MILLIONTHS) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=within)


def test_accuracy(probabilities: Any, labels: Any) -> None:
    expected = (probabilities.argmax(axis=1) == labels).mean(axis=1)
    close(measure("accuracy", probabilities, labels), expected, 0)


def test_balanced_accuracy(probabilities: Any, labels: Any) -> None:
    answers = probabilities.argmax(axis=1)
    rates = [(answers[:, labels == c] == c).mean(axis=1) for c in range(CLASSES)]
    close(measure("balanced-accuracy", probabilities, labels), np.mean(rates, axis=0))


def test_macro_f1(probabilities: Any, labels: Any) -> None:
    answers, scores = probabilities.argmax(axis=1), []
    for c in range(CLASSES):
        right = ((answers == c) & (labels == c)).sum(axis=1)
        precision = right / np.maximum((answers == c).sum(axis=1), 1)
        recall = right / (labels == c).sum()
        with np.errstate(invalid="ignore"):
            scores.append(np.nan_to_num(2 * precision * recall / (precision + recall)))
    close(measure("macro-f1", probabilities, labels), np.mean(scores, axis=0))


def area(scores: Floats, is_class: npt.NDArray[np.bool_]) -> float:
    differences = scores[is_class][:, None] - scores[~is_class][None, :]
    return float((differences > 0).mean() + (differences == 0).mean() / 2)


def binned(p: Any, index: int) -> Floats:
    others = np.delete(p, index, axis=0).astype(np.float64).sum(axis=0)
    odds = np.log(p[index].astype(np.float64)) - np.log(others)
    return np.asarray(np.clip(np.floor(32 * odds), -512, 511))


def test_the_area_under_the_curve_is_the_mean_of_one_against_the_rest(
    probabilities: Any, labels: Any
) -> None:
    found = measure("auc", probabilities, labels)
    exact = [
        [area(binned(model, c), labels == c) for c in range(CLASSES)] for model in probabilities
    ]
    close(found, np.mean(exact, axis=1))
    # Rounding scores to 1/32 of a unit of log-odds hardly moves the area.
    unrounded = [[area(model[c], labels == c) for c in range(CLASSES)] for model in probabilities]
    close(found, np.mean(unrounded, axis=1), 2e-3)


def test_the_area_of_two_classes_is_that_of_the_second_one() -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, 300)
    logits = rng.normal(0, 2, (MODELS, 2, 300)).astype(np.float32)
    logits[:, 1] += labels
    found = measure("auc", logits, labels, are_probabilities=False)
    close(found, [area(model[1] - model[0], labels == 1) for model in logits], 2e-3)
    close(measure("auc", softmax(logits), labels), found, 1e-4)


def test_log_loss(probabilities: Any, labels: Any) -> None:
    own = probabilities[:, labels, np.arange(EXAMPLES)].astype(np.float64)
    expected = 1 - np.minimum(-np.log(own), 16).mean(axis=1) / 16
    close(measure("log-loss", probabilities, labels), expected)
    logits = np.log(probabilities) + 3.0
    close(measure("log-loss", logits, labels, are_probabilities=False), expected)


def test_perplexity_is_the_inverse_of_the_geometric_mean(probabilities: Any, labels: Any) -> None:
    own = probabilities[:, labels, np.arange(EXAMPLES)].astype(np.float64)
    close(measure("perplexity", probabilities, labels), np.exp(np.log(own).mean(axis=1)), 1e-5)


def test_tokens_at_positions_without_a_label_do_not_count() -> None:
    rng = np.random.default_rng(4)
    labels = rng.integers(-1, CLASSES, (30, 7))
    outputs = softmax(rng.normal(0, 1, (MODELS, CLASSES, 7, 30)).transpose(0, 1, 2, 3))
    outputs = outputs.transpose(0, 2, 1, 3)
    counted = labels >= 0
    answers = outputs.argmax(axis=2).transpose(0, 2, 1)
    expected = [(model == labels)[counted].mean() for model in answers]
    close(measure("next-token-accuracy", outputs, labels), expected)
    logs = []
    for model in outputs:
        own = [
            math.log(model[position, labels[example, position], example])
            for example, position in np.argwhere(counted)
        ]
        logs.append(np.exp(np.mean(own)))
    close(measure("perplexity", outputs, labels), logs, 1e-5)


@pytest.mark.parametrize("shape", [(200,), (200, 1), (200, 3)])
def test_measures_of_regression(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(5)
    targets = (10 * rng.normal(0, 1, shape) + 50).astype(np.float32)
    rows = targets.reshape(len(targets), -1).astype(np.float64)
    noise = rng.normal(0, 1, (MODELS, *rows.T.shape)) * np.arange(MODELS)[:, None, None] * 3
    outputs = (rows.T + noise).astype(np.float32)
    errors = np.square(outputs - rows.T).sum(axis=1)
    spread = float(rows.max() - rows.min())
    expected = 1 - np.minimum(errors / (rows.shape[1] * spread**2), 1).mean(axis=1)
    close(measure("mean-squared-error", outputs, targets), expected)
    variation = np.square(rows - rows.mean(axis=0)).sum()
    close(measure("r-squared", outputs, targets), np.maximum(0, 1 - errors.sum(axis=1) / variation))


@pytest.mark.parametrize("name", NAMES)
def test_a_model_of_nan_is_worth_what_a_model_is_that_knows_nothing(name: str) -> None:
    is_regression = NAMES[name] in TARGET_UTILITIES
    rng = np.random.default_rng(6)
    targets: npt.NDArray[Any] = rng.integers(0, 2, 50)
    if is_regression:
        targets = targets.astype(np.float32)
    nan = np.full((1, 1 if is_regression else 2, 50), np.nan, np.float32)
    with np.errstate(all="ignore"):
        (found,) = measure(name, nan, targets)
    # All scores are equal, so that each pair counts half.
    assert found <= (0.5 if name == "auc" else math.exp(-15.99))


@pytest.mark.parametrize("name", [name for name in NAMES if NAMES[name] not in TARGET_UTILITIES])
def test_a_perfect_model_has_the_largest_utility(name: str, labels: Any) -> None:
    outputs = np.full((1, CLASSES, EXAMPLES), 1e-30, np.float32)
    outputs[:, labels, np.arange(EXAMPLES)] = 1
    assert measure(name, outputs, labels) == [1.0]


@pytest.mark.parametrize("name", ["mean-squared-error", "r-squared"])
def test_a_perfect_regression_has_the_largest_utility(name: str) -> None:
    targets = np.random.default_rng(7).normal(0, 1, 99).astype(np.float32)
    assert measure(name, targets[None, None], targets) == [1.0]


@pytest.mark.parametrize("name", ["balanced-accuracy", "macro-f1"])
def test_one_example_moves_a_mean_over_classes_by_no_more_than_a_step(
    name: str, labels: Any, probabilities: Any
) -> None:
    bound = bind_measure(NAMES[name], labels, CLASSES)
    before = bound.finish(bound.summarise(probabilities, labels))
    for example in range(EXAMPLES):
        for answer in range(CLASSES):
            changed = probabilities.copy()
            changed[:, :, example] = 0
            changed[:, answer, example] = 1
            after = bound.finish(bound.summarise(changed, labels))
            assert np.abs(after - before).max() <= bound.step


def test_the_largest_numbers_fit() -> None:
    size = 10_000_000
    labels = np.zeros(size, np.int64)
    labels[: size // 2] = 1
    for name in ("balanced-accuracy", "macro-f1", "auc", "log-loss", "perplexity"):
        bound = bind_measure(NAMES[name], labels, 2)
        statistics = np.zeros((1, bound.num_statistics), np.int64)
        if name == "auc":
            statistics[0, [1023, 1024]] = size // 2
        elif name == "balanced-accuracy" or name == "macro-f1":
            statistics[0] = size // 2
        else:
            statistics[0] = size << 32
        assert bound.finish(statistics).tolist() == [MILLIONTHS]
