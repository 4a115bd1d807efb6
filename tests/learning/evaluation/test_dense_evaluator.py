"""The fast evaluator of dense networks agrees with a plain one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcoin.learning.evaluation import dense_evaluator as dense_module
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator, find_subtractable
from fedcoin.learning.evaluation.job import Evaluator, UtilityJob
from fedcoin.learning.evaluation.stacked_weights import StackedLayer
from fedcoin.learning.model.layers import Activation, Dense, Scale
from fedcoin.v1 import artifact_pb2, task_pb2
from tests.conftest import ReportAttack
from tests.support.small_models import (
    all_coalitions,
    dense,
    evaluation,
    flatten,
    layer,
    mlp_spec,
    random_weights,
    read_layers,
    sequential,
    spec_of,
)

RENORMALISED = task_pb2.AVERAGING_RENORMALISED
FIXED = task_pb2.AVERAGING_FIXED_DENOMINATOR
EQUAL = task_pb2.AVERAGING_EQUAL
BASE = task_pb2.EMPTY_COALITION_BASE_MODEL
ZERO = task_pb2.EMPTY_COALITION_ZERO


def job_of(clients: int, averaging: int = RENORMALISED, empty: int = BASE) -> UtilityJob:
    samples = tuple(range(10, 10 + clients))
    nowhere = Path()
    return UtilityJob(
        b"", nowhere, nowhere, (nowhere,) * clients, samples, nowhere, averaging, empty
    )


def activate(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if name == "relu":
        return np.maximum(values, 0)
    if name == "tanh":
        return np.tanh(values)
    if name == "sigmoid":
        return 1 / (1 + np.exp(-values))
    shifted = np.exp(values - values.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def dense_evaluator(spec: artifact_pb2.ModelSpec, *rest: Any) -> DenseEvaluator:
    layers = read_layers(spec)
    assert layers is not None
    return DenseEvaluator(layers, *rest)


def plain_count(
    spec: artifact_pb2.ModelSpec, weights: dict[str, NDArray[Any]], x: NDArray[Any], y: NDArray[Any]
) -> int:
    values: NDArray[Any] = x.reshape(len(x), -1).astype(np.float64)
    for step in read_layers(spec) or ():
        if isinstance(step, Scale):
            values = values * step.factor + step.offset
        elif isinstance(step, Dense):
            values = values @ weights[step.kernel] + (weights[step.bias] if step.bias else 0)
        elif isinstance(step, Activation):
            values = activate(step.name, values)
    return int((values.argmax(axis=1) == y).sum())


def compare(
    spec: artifact_pb2.ModelSpec,
    clients: int,
    examples: int,
    averaging: int,
    empty: int,
    seed: int,
    evaluator: Callable[..., Evaluator] = dense_evaluator,
    plain: Callable[..., int] = plain_count,
) -> None:
    """Check that all coalitions' counts equal those of `plain` on the averaged weights."""
    base, *updates = (random_weights(spec, seed * 100 + k) for k in range(clients + 1))
    x, y = evaluation(spec, examples, seed)
    job = job_of(clients, averaging, empty)
    coalitions = all_coalitions(clients)
    counts = evaluator(spec, base, updates, x, y, job).evaluate(coalitions)
    assert counts.dtype == np.int64
    rows = coalition_coefficients(coalitions, job.num_samples, averaging)
    for coalition, row, count in zip(coalitions, rows, counts, strict=True):
        mixed = {
            name: sum(
                c * w[name].astype(np.float64) for c, w in zip(row, [*updates, base], strict=True)
            )
            for name in base
        }
        expected = plain(spec, mixed, x, y)
        if empty == ZERO and not coalition.any():
            expected = 0
        assert abs(int(count) - expected) <= 1 + examples // 10_000


@pytest.mark.parametrize("averaging", [RENORMALISED, FIXED, EQUAL])
@pytest.mark.parametrize("empty", [BASE, ZERO])
@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "linear"])
def test_it_counts_as_the_plain_way(averaging: int, empty: int, activation: str) -> None:
    spec = mlp_spec(hidden=(8, 6), activation=activation)
    compare(spec, 4, 700, averaging, empty, seed=5)


def test_every_plain_layer() -> None:
    model = sequential(
        (4, 4),
        layer("Rescaling", scale=2.0, offset=-0.5),
        flatten(),
        layer("Activation", activation="tanh"),
        dense(5, "softmax"),
        layer("Dropout", rate=0.5),
        dense(4, "sigmoid", use_bias=False),
        layer("Rescaling", scale=3.0, offset=1.0),
        dense(3),
    )
    spec = spec_of(model, (4, 4), 3, [(16, 5), (5,), (5, 4), (4, 3), (3,)])
    compare(spec, 3, 300, RENORMALISED, BASE, seed=1)


def test_a_single_layer() -> None:
    compare(mlp_spec(hidden=()), 3, 300, RENORMALISED, BASE, seed=2)


@settings(max_examples=25, deadline=None)
@given(
    clients=st.integers(1, 5),
    examples=st.integers(1, 60),
    classes=st.integers(2, 7),
    hidden=st.lists(st.integers(1, 9), max_size=2),
    averaging=st.sampled_from([RENORMALISED, FIXED, EQUAL]),
    seed=st.integers(0, 1000),
)
def test_any_size(
    clients: int, examples: int, classes: int, hidden: list[int], averaging: int, seed: int
) -> None:
    compare(mlp_spec((3, 2), hidden, classes), clients, examples, averaging, BASE, seed)


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("BATCH_SIZE", 7),
        ("MAX_TILE_BYTES", 64),
        ("MAX_WEIGHT_BYTES", 200),
        ("MAX_CACHE_BYTES", 0),
    ],
)
def test_the_result_does_not_depend_on_the_cuts(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    spec = mlp_spec()
    layers = read_layers(spec)
    assert layers is not None
    base, *updates = (random_weights(spec, k) for k in range(5))
    x, y = evaluation(spec, 500)
    arguments: Any = (layers, base, updates, x, y, job_of(4))
    before = DenseEvaluator(*arguments).evaluate(all_coalitions(4))
    monkeypatch.setattr(dense_module, limit, value)
    after = DenseEvaluator(*arguments).evaluate(all_coalitions(4))
    assert abs(before - after).max() <= 1


def constant_model(bias: list[float]) -> tuple[Any, dict[str, NDArray[Any]]]:
    spec = mlp_spec(hidden=())
    weights = {"w0": np.zeros((16, 3), np.float32), "w1": np.array(bias, np.float32)}
    return read_layers(spec), weights


def test_the_lowest_class_wins_a_tie() -> None:
    layers, weights = constant_model([1.0, 1.0, 0.0])
    x, y = np.zeros((6, 4, 4), np.float32), np.array([0, 1, 2, 1, 0, 0])
    evaluator = DenseEvaluator(layers, weights, [weights], x, y, job_of(1))
    assert evaluator.evaluate(np.array([[True]])).tolist() == [3]


def test_an_overflow_to_nan_is_a_wrong_answer() -> None:
    spec = mlp_spec(hidden=(2,))
    huge = {
        "w0": np.full((16, 2), 1e9, np.float32),
        "w1": np.zeros(2, np.float32),
        "w2": np.array([[1e9, -1e9, 0], [1e9, 1e9, 0]], np.float32),
        "w3": np.zeros(3, np.float32),
    }
    layers = read_layers(spec)
    assert layers is not None
    x, y = np.full((3, 4, 4), 1e9, np.float32), np.array([0, 1, 2])
    # 1.6e28 x 1e9 is finite in float32; squares of weights as large as the inputs are not.
    x[:] = 3e38
    counts = DenseEvaluator(layers, huge, [huge], x, y, job_of(1)).evaluate(np.array([[True]]))
    assert counts.tolist() == [0]


def test_no_coalitions_and_empty_ones_are_evaluated() -> None:
    layers, weights = constant_model([1.0, 0.0, 0.0])
    x, y = np.zeros((2, 4, 4), np.float32), np.array([0, 0])
    evaluator = DenseEvaluator(layers, weights, [weights] * 2, x, y, job_of(2, empty=ZERO))
    assert evaluator.evaluate(np.zeros((0, 2), np.bool_)).tolist() == []
    assert evaluator.evaluate(np.zeros((2, 2), np.bool_)).tolist() == [0, 0]


@pytest.mark.attack
@pytest.mark.parametrize("averaging", [RENORMALISED, EQUAL])
def test_huge_weights_spoil_no_coalition_without_them(
    averaging: int, report_attack: ReportAttack
) -> None:
    spec = mlp_spec(hidden=(16,))
    base, *updates = (random_weights(spec, seed) for seed in range(5))
    x, y = evaluation(spec, 1_000)
    job = job_of(4, averaging)
    without_it = all_coalitions(4)
    without_it = without_it[~without_it[:, 0]]
    expected = dense_evaluator(spec, base, updates, x, y, job).evaluate(without_it)
    first = next(iter(base))
    updates[0] = {**updates[0], first: updates[0][first] * np.float32(1e8)}
    evaluator = dense_evaluator(spec, base, updates, x, y, job)
    # Each coalition follows one that differs by the client alone.
    with_it = without_it.copy()
    with_it[:, 0] = True
    rows = np.stack([with_it, without_it], axis=1).reshape(-1, 4)
    for request in (rows, rows[::-1], rows[2:-3]):
        found = evaluator.evaluate(request)[~request[:, 0]]
        wanted = dict(zip(map(bytes, without_it), expected, strict=True))
        differences = [
            abs(int(count) - wanted[bytes(row)])
            for row, count in zip(request[~request[:, 0]], found, strict=True)
        ]
        assert max(differences) <= 1
    report_attack(
        "a client's huge weights are rounded into the sums of coalitions without it",
        "on 1,437 digits, 112 right answers of the others instead of 161, and more pay",
        "the others are worth what they are",
    )


def test_only_players_of_similar_size_are_subtracted() -> None:
    def find(kernels: list[float], averaging: int) -> list[bool]:
        stack = StackedLayer(np.array(kernels, np.float32)[:, None, None], None)
        return find_subtractable(stack, job_of(len(kernels) - 1, averaging)).tolist()

    assert find([1, 4, 5, 9], RENORMALISED) == [True, True, False, False]
    assert find([1, 4, 5, 2], EQUAL) == [True, True, True, True]
    assert find([1, 4, 5, 0], EQUAL) == [True, True, False, True]
