"""Every measure in every engine: NumPy's two, Keras and the worker pool agree with a plain loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.learning.evaluation.coefficients import coalition_coefficients
from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob, finish_utilities
from fedcoin.learning.evaluation.keras_evaluator import KerasEvaluator
from fedcoin.learning.measures.choice import bind_measure
from fedcoin.learning.measures.terms import NAMES, TARGET_UTILITIES
from fedcoin.learning.model.spec import parse_spec
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import artifact_pb2, task_pb2
from tests.support.small_models import (
    all_coalitions,
    conv,
    dense,
    evaluation,
    flatten,
    random_weights,
    sequential,
    spec_of,
    write_job,
)

CLIENTS, EXAMPLES, CLASSES = 3, 300, 4
LABEL_MEASURES = [name for name in NAMES if NAMES[name] not in TARGET_UTILITIES]


def mlp(activation: str, outputs: int = CLASSES) -> artifact_pb2.ModelSpec:
    model = sequential((3, 3), flatten(), dense(5, "relu"), dense(outputs, activation))
    return spec_of(model, (3, 3), outputs, [(9, 5), (5,), (5, outputs), (outputs,)])


def cnn() -> artifact_pb2.ModelSpec:
    layers = conv(2, (3, 3), activation="relu"), flatten(), dense(CLASSES, "softmax")
    shapes = [(3, 3, 1, 2), (2,), (50, CLASSES), (CLASSES,)]
    return spec_of(sequential((5, 5, 1), *layers), (5, 5, 1), CLASSES, shapes)


def make_job(
    folder: Path, spec: artifact_pb2.ModelSpec, name: str, labels: Any = np.int64
) -> UtilityJob:
    base, *updates = (random_weights(spec, seed) for seed in range(CLIENTS + 1))
    x, y = evaluation(spec, EXAMPLES)
    y = y.astype(labels)
    if NAMES[name] in TARGET_UTILITIES:
        y = np.random.default_rng(3).normal(0, 1, (EXAMPLES, spec.num_classes)).astype(np.float32)
    job = write_job(folder, spec, base, updates, x, y)
    return replace(job, utility=NAMES[name])


def keras_utilities(job: UtilityJob, rows: Any, share: ExampleShare | None = None) -> Any:
    spec = parse_spec(job.model.read_bytes())
    tensors = decode_tensors(job.evaluation.read_bytes())
    evaluator = KerasEvaluator(
        spec,
        decode_tensors(job.base.read_bytes()),
        [decode_tensors(path.read_bytes()) for path in job.updates],
        tensors["x"],
        tensors["y"],
        job,
        measure=jobs.load_evaluator(job).measure,
    )
    return evaluator.evaluate(rows)


def plain_utilities(job: UtilityJob, rows: Any) -> Any:
    """Average the weights of a network of two dense layers, and compute its outputs in float64."""
    owners = [decode_tensors(path.read_bytes()) for path in (*job.updates, job.base)]
    tensors = decode_tensors(job.evaluation.read_bytes())
    softmax = '"softmax"' in parse_spec(job.model.read_bytes()).keras_json
    outputs = []
    for row in coalition_coefficients(rows, job.num_samples, job.averaging):
        w1, b1, w2, b2 = (
            sum(c * owner[name].astype(np.float64) for c, owner in zip(row, owners, strict=True))
            for name in owners[0]
        )
        logits = np.maximum(tensors["x"].reshape(EXAMPLES, -1) @ w1 + b1, 0) @ w2 + b2
        if softmax:
            logits = np.exp(logits - logits.max(axis=1, keepdims=True))
            logits /= logits.sum(axis=1, keepdims=True)
        outputs.append(logits.T)
    measure = bind_measure(
        job.utility, tensors["y"], outputs[0].shape[0], are_probabilities=softmax
    )
    return measure.finish(measure.summarise(np.array(outputs, np.float32), tensors["y"]))


@pytest.mark.parametrize("averaging", [task_pb2.AVERAGING_RENORMALISED, task_pb2.AVERAGING_EQUAL])
@pytest.mark.parametrize("activation", ["softmax", "linear"])
@pytest.mark.parametrize("name", LABEL_MEASURES)
def test_dense_layers(tmp_path: Path, name: str, activation: str, averaging: Any) -> None:
    job = replace(make_job(tmp_path, mlp(activation), name), averaging=averaging)
    rows = all_coalitions(CLIENTS)
    evaluator = jobs.load_evaluator(job)
    found = evaluator.evaluate(rows)
    limit = max(2, evaluator.measure.step // 10) if NAMES[name] != 1 else 0
    assert np.abs(found - plain_utilities(job, rows)).max() <= limit
    assert len(set(found.tolist())) > 3
    shares = [jobs.load_evaluator(job, ExampleShare(k, 2)) for k in range(2)]
    statistics = np.sum([share.sum_statistics(rows) for share in shares], axis=0)
    np.testing.assert_array_equal(finish_utilities(job, evaluator.measure, rows, statistics), found)


@pytest.mark.parametrize("name", ["mean-squared-error", "r-squared"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_by_dense_layers(tmp_path: Path, name: str, outputs: int) -> None:
    job = make_job(tmp_path, mlp("linear", outputs), name)
    rows = all_coalitions(CLIENTS)
    found = jobs.load_evaluator(job).evaluate(rows)
    assert np.abs(found - plain_utilities(job, rows)).max() <= 2
    assert np.abs(keras_utilities(job, rows) - found).max() <= 2


@pytest.mark.parametrize("name", LABEL_MEASURES)
def test_graphs_as_keras(tmp_path: Path, name: str) -> None:
    # As built-in data sets have them.
    job = make_job(tmp_path, cnn(), name, labels=np.uint8)
    rows = all_coalitions(CLIENTS)
    evaluator = jobs.load_evaluator(job)
    limit = max(2, evaluator.measure.step // 10) if NAMES[name] != 1 else 0
    assert np.abs(keras_utilities(job, rows) - evaluator.evaluate(rows)).max() <= limit


@pytest.mark.parametrize("name", ["macro-f1", "auc", "log-loss"])
async def test_workers_share_the_examples(tmp_path: Path, name: str) -> None:
    job = replace(make_job(tmp_path, mlp("softmax"), name), empty=task_pb2.EMPTY_COALITION_ZERO)
    rows = all_coalitions(CLIENTS)
    pool = WorkerPool(processes=2)
    try:
        await pool.open_job(job)
        found = await pool.evaluate(job.job_id, rows)
        evaluator = jobs.load_evaluator(job)
        np.testing.assert_array_equal(found, evaluator.evaluate(rows))
        assert pool.measure(job.job_id).step == evaluator.measure.step
        assert found[0] == 0
        assert found[1:].min() > 0
    finally:
        await pool.stop()
