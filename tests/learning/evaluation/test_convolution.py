"""Convolutions in NumPy against sums written out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcoin.learning.evaluation import graph_evaluator as graph_module
from fedcoin.learning.evaluation.graph_evaluator import GraphEvaluator
from fedcoin.learning.evaluation.job import ExampleShare
from fedcoin.learning.model.architecture import read_graph
from fedcoin.learning.model.layers import Activation, Conv, Dense, Pooling, Scale
from fedcoin.v1 import artifact_pb2
from tests.learning.evaluation import test_dense_evaluator
from tests.learning.evaluation.test_dense_evaluator import (
    BASE,
    EQUAL,
    FIXED,
    RENORMALISED,
    ZERO,
    activate,
    job_of,
)
from tests.support.small_models import (
    all_coalitions,
    conv,
    dense,
    evaluation,
    flatten,
    layer,
    pool,
    random_weights,
    read_layers,
    sequential,
    spec_of,
)


def two_convolutions() -> artifact_pb2.ModelSpec:
    """As in the package's cnn, with an even kernel, an odd one, and sizes that do not divide."""
    model = sequential(
        (9, 7),
        layer("Rescaling", scale=0.5, offset=0.1),
        layer("Reshape", target_shape=[9, 7, 1]),
        conv(4, (3, 2), "same", "relu"),
        pool(2, 3),
        conv(5, (2, 2), "valid", "linear", use_bias=False),
        layer("Activation", activation="tanh"),
        layer("Dropout", rate=0.5),
        flatten(),
        dense(6, "relu"),
        dense(3, "softmax"),
    )
    shapes = [(3, 2, 1, 4), (4,), (2, 2, 4, 5), (15, 6), (6,), (6, 3), (3,)]
    return spec_of(model, (9, 7), 3, shapes)


def plain_conv(step: Conv, maps: NDArray[Any], weights: dict[str, NDArray[Any]]) -> NDArray[Any]:
    """Convolve maps (m, height, width, channels), one sum for each position."""
    kernel = weights[step.kernel].astype(np.float64)
    tall, wide = step.kernel_size
    if step.is_padded:
        needed = (
            max((math.ceil(side / by) - 1) * by + wanted - side, 0)
            for side, by, wanted in zip(
                maps.shape[1:3], step.strides, step.kernel_size, strict=True
            )
        )
        sides = [(padding // 2, padding - padding // 2) for padding in needed]
        maps = np.pad(maps, ((0, 0), *sides, (0, 0)))
    rows = range(0, maps.shape[1] - tall + 1, step.strides[0])
    columns = range(0, maps.shape[2] - wide + 1, step.strides[1])
    found = np.zeros((len(maps), len(rows), len(columns), kernel.shape[3]))
    for place, row in enumerate(rows):
        for other, column in enumerate(columns):
            field = maps[:, row : row + tall, column : column + wide]
            found[:, place, other] = np.tensordot(field, kernel, 3)
    return found + (weights[step.bias] if step.bias else 0)


def plain_count(
    spec: artifact_pb2.ModelSpec, weights: dict[str, NDArray[Any]], x: NDArray[Any], y: NDArray[Any]
) -> int:
    values = x.astype(np.float64)
    for step in read_layers(spec) or ():
        if isinstance(step, Conv):
            values = plain_conv(step, values.reshape(len(x), *step.input_shape), weights)
        elif isinstance(step, Pooling):
            tall, wide = step.pool_size
            _, height, width, channels = values.shape
            cut = values[:, : height // tall * tall, : width // wide * wide]
            fields = cut.reshape(-1, height // tall, tall, width // wide, wide, channels)
            values = fields.max(axis=(2, 4))
        elif isinstance(step, Dense):
            flat = values.reshape(len(x), -1)
            values = flat @ weights[step.kernel] + (weights[step.bias] if step.bias else 0)
        elif isinstance(step, Scale):
            values = values * step.factor + step.offset
        else:
            assert isinstance(step, Activation)
            values = activate(step.name, values)
    return int((values.argmax(axis=1) == y).sum())


def conv_evaluator(spec: artifact_pb2.ModelSpec, *rest: Any) -> GraphEvaluator:
    graph = read_graph(spec)
    assert graph is not None
    return GraphEvaluator(graph, *rest)


def compare(*given: Any, **named: Any) -> None:
    named |= {"evaluator": conv_evaluator, "plain": plain_count}
    test_dense_evaluator.compare(*given, **named)


@pytest.mark.parametrize("averaging", [RENORMALISED, FIXED, EQUAL])
@pytest.mark.parametrize("empty", [BASE, ZERO])
def test_it_counts_as_the_plain_way(averaging: int, empty: int) -> None:
    compare(two_convolutions(), 3, 300, averaging, empty, seed=4)


@settings(max_examples=40, deadline=None)
@given(
    image=st.tuples(st.integers(4, 9), st.integers(4, 9), st.integers(1, 3)),
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    fields=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["same", "valid"]),
    steps=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    examples=st.integers(1, 70),
    seed=st.integers(0, 1000),
)
def test_any_size(
    image: tuple[int, int, int],
    size: tuple[int, int],
    fields: tuple[int, int],
    padding: str,
    steps: tuple[int, int],
    examples: int,
    seed: int,
) -> None:
    height, width = (
        math.ceil((side if padding == "same" else side - k + 1) / by)
        for side, k, by in zip(image, size, steps, strict=False)
    )
    height, width = height // fields[0], width // fields[1]
    if min(height, width) < 1:
        return
    model = sequential(
        image, conv(5, size, padding, "relu", steps=steps), pool(*fields), flatten(), dense(4)
    )
    shapes = [(*size, image[2], 5), (5,), (height * width * 5, 4), (4,)]
    compare(spec_of(model, image, 4, shapes), 2, examples, RENORMALISED, BASE, seed)


@pytest.mark.parametrize(
    ("limit", "value"), [("MAX_VALUE_BYTES", 1), ("MAX_WEIGHT_BYTES", 1), ("MAX_CACHE_BYTES", 0)]
)
def test_the_result_does_not_depend_on_the_cuts(
    monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    spec = two_convolutions()
    base, *updates = (random_weights(spec, k) for k in range(4))
    x, y = evaluation(spec, 500)
    arguments: list[Any] = [read_graph(spec), base, updates, x, y, job_of(3)]
    before = GraphEvaluator(*arguments).evaluate(all_coalitions(3))
    parts = [
        GraphEvaluator(*[*arguments, ExampleShare(k, 3)]).evaluate(all_coalitions(3))
        for k in range(3)
    ]
    np.testing.assert_array_equal(sum(parts), before)
    monkeypatch.setattr(graph_module, limit, value)
    after = GraphEvaluator(*arguments).evaluate(all_coalitions(3))
    assert abs(before - after).max() <= 1


def changed(item: dict[str, Any], **settings: Any) -> dict[str, Any]:
    return {**item, "config": {**item["config"], **settings}}


@pytest.mark.parametrize(
    "layers",
    [
        [changed(conv(2, (3, 3)), dilation_rate=[2, 2])],
        [changed(conv(2, (3, 3)), padding="causal")],
        [conv(2, (3, 3), activation="softmax")],
        [conv(2, (3, 3)), changed(pool(2, 2), strides=[1, 1])],
        [conv(2, (3, 3)), changed(pool(2, 2), padding="same")],
    ],
)
def test_what_is_not_plain_is_left_to_keras(layers: list[dict[str, Any]]) -> None:
    model = sequential((8, 8, 1), *layers, flatten(), dense(3))
    spec = spec_of(model, (8, 8, 1), 3, [(3, 3, 1, 2), (2,), (72, 3), (3,)])
    assert read_layers(spec) is None


def test_no_coalitions_and_empty_ones_are_evaluated() -> None:
    spec = two_convolutions()
    graph = read_graph(spec)
    assert graph is not None
    weights = random_weights(spec, 1)
    x, y = evaluation(spec, 5)
    evaluator = GraphEvaluator(graph, weights, [weights] * 2, x, y, job_of(2, empty=ZERO))
    assert evaluator.evaluate(np.zeros((0, 2), np.bool_)).tolist() == []
    assert evaluator.evaluate(np.zeros((2, 2), np.bool_)).tolist() == [0, 0]
