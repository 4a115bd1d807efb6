"""Models with frozen weights are valued as the same models with all weights in each update."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.learning.evaluation import convolution, graph_evaluator, onnx_evaluator
from fedcoin.learning.evaluation.graph_evaluator import GraphEvaluator
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.evaluation.onnx_evaluator import OnnxEvaluator
from fedcoin.learning.workers.jobs import load_evaluator
from fedcoin.v1 import artifact_pb2
from tests.support.frozen_jobs import freeze_job
from tests.support.onnx_graphs import graph_spec, node
from tests.support.small_models import (
    all_coalitions,
    conv,
    dense,
    evaluation,
    flatten,
    mlp_spec,
    pool,
    random_weights,
    sequential,
    spec_of,
    write_job,
)

CLIENTS, EXAMPLES = 3, 300


def job_of(folder: Path, spec: artifact_pb2.ModelSpec) -> UtilityJob:
    owners = [random_weights(spec, seed) for seed in range(CLIENTS + 1)]
    return write_job(folder, spec, owners[0], owners[1:], *evaluation(spec, EXAMPLES))


def images() -> artifact_pb2.ModelSpec:
    layers = [conv(4, (3, 3), activation="relu"), pool(2, 2), conv(3, (3, 3)), flatten(), dense(4)]
    shapes = [(3, 3, 2, 4), (4,), (3, 3, 4, 3), (3,), (27, 4), (4,)]
    return spec_of(sequential((6, 6, 2), *layers), (6, 6, 2), 4, shapes)


def adapted_blocks() -> artifact_pb2.ModelSpec:
    """Two blocks of a frozen product with a low-rank one beside it, and what NumPy leaves alone."""
    nodes = [
        node("Constant", "", "shape", value_ints=[-1, 8]),
        node("LeakyRelu", "x", "start", alpha=0.1),
        node("Reshape", "start shape", "h0"),
    ]
    weights: dict[str, tuple[int, ...]] = {}
    for block in ("1", "2"):
        before, after = f"h{int(block) - 1}", f"h{block}"
        nodes += [
            node("Transpose", f"w{block}", f"t{block}", perm=[1, 0]),
            node("MatMul", f"{before} t{block}", f"m{block}"),
            node("MatMul", f"{before} a{block}", f"d{block}"),
            node("MatMul", f"d{block} b{block}", f"u{block}"),
            node("Add", f"m{block} u{block}", f"s{block}"),
            node("Elu", f"s{block}", after),
        ]
        weights |= {f"w{block}": (8, 8), f"a{block}": (8, 2), f"b{block}": (2, 8)}
    nodes.append(node("MatMul", "h2 head", "y"))
    return graph_spec(nodes, (2, 4), {**weights, "head": (8, 3)}, 3)


def counts(job: UtilityJob) -> NDArray[Any]:
    found: NDArray[Any] = load_evaluator(job).evaluate(all_coalitions(CLIENTS))
    return found


@pytest.mark.parametrize(
    ("make", "patterns"),
    [
        (lambda: mlp_spec(hidden=(8, 7)), ["w2", "w3"]),
        (lambda: mlp_spec(hidden=(8, 7)), ["w5"]),
        (lambda: mlp_spec(hidden=(8, 7)), ["w1"]),
        (images, ["w4", "w5"]),
        (images, ["w2"]),
        (images, ["w1", "w4"]),
    ],
)
def test_numpy_values_a_partly_trained_model_as_the_whole(
    make: Any, patterns: list[str], tmp_path: Path
) -> None:
    frozen, whole = freeze_job(job_of(tmp_path, make()), patterns)
    assert isinstance(load_evaluator(frozen), GraphEvaluator)
    expected = counts(whole)
    assert len(set(expected.tolist())) > 2
    assert np.array_equal(counts(frozen), expected)


@pytest.mark.parametrize("patterns", [["a*", "b*"], ["*2", "head"], ["w*"], ["head"]])
@pytest.mark.parametrize("cache", [0, 1 << 20])
def test_onnxruntime_values_a_partly_trained_graph_as_the_whole(
    patterns: list[str], cache: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_evaluator, "MAX_CACHE_BYTES", cache)
    frozen, whole = freeze_job(job_of(tmp_path, adapted_blocks()), patterns)
    evaluator = load_evaluator(frozen)
    assert isinstance(evaluator, OnnxEvaluator)
    assert np.array_equal(counts(frozen), counts(whole))


def test_layers_before_the_first_trained_one_are_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, _ = freeze_job(job_of(tmp_path, images()), ["w4", "w5"])
    runs: list[int] = []
    run = convolution.run_stage

    def count(*given: Any) -> Any:
        runs.append(1)
        return run(*given)

    monkeypatch.setattr(convolution, "run_stage", count)
    evaluator = load_evaluator(frozen)
    computed = len(runs)
    assert computed > 0
    evaluator.evaluate(all_coalitions(CLIENTS))
    assert len(runs) == computed


def test_a_cache_that_is_too_small_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, whole = freeze_job(job_of(tmp_path, images()), ["w4", "w5"])
    expected = counts(whole)
    monkeypatch.setattr(graph_evaluator, "MAX_CACHE_BYTES", 0)
    assert np.array_equal(counts(frozen), expected)


def test_frozen_weights_do_not_limit_a_batch_of_coalitions(tmp_path: Path) -> None:
    shapes = [(64, 4096), (4096,), (4096, 3), (3,)]
    spec = spec_of(sequential((64,), dense(4096), dense(3)), (64,), 3, shapes)
    frozen, whole = freeze_job(job_of(tmp_path, spec), ["w3"])
    assert load_evaluator(frozen).max_coalitions > 1000 > load_evaluator(whole).max_coalitions
