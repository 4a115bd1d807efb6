"""Two engines differ about a model made of near ties by no more than each of them counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.application.mining.claim_audit import audit_claims
from fedcoin.application.mining.task_evaluator import TaskUtility
from fedcoin.data.errors import RefusalError
from fedcoin.incentive.proof.audit import EvidenceClaims
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator
from fedcoin.learning.evaluation.onnx_evaluator import OnnxEvaluator
from fedcoin.learning.workers.jobs import load_evaluator
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import artifact_pb2
from tests.support.onnx_graphs import graph_spec, node
from tests.support.small_models import all_coalitions, evaluation, write_job

CLIENTS, EXAMPLES, CLASSES = 4, 800, 4


def spec_of(end: str, *, by_numpy: bool) -> artifact_pb2.ModelSpec:
    """Two layers; behind an operator that NumPy leaves to onnxruntime, or not."""
    start = [] if by_numpy else [node("LeakyRelu", "x", "same", alpha=1.0)]
    nodes = [
        *start,
        node("Gemm", f"{'x' if by_numpy else 'same'} w1 b1", "h"),
        node("Tanh", "h", "t"),
        node("Gemm", "t w2 b2", "z" if end else "y"),
        *([node(end, "z", "y")] if end else []),
    ]
    shapes = {"w1": (30, 50), "b1": (50,), "w2": (50, CLASSES), "b2": (CLASSES,)}
    return graph_spec(nodes, (30,), shapes, CLASSES)


def owners(kind: str) -> list[dict[str, NDArray[Any]]]:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(CLIENTS + 1):
        weights = {
            name: rng.standard_normal(shape).astype(np.float32)
            for name, shape in {"w1": (30, 50), "b1": (50,), "w2": (50, CLASSES)}.items()
        }
        weights["b2"] = np.full(CLASSES, 12.0 if kind == "saturated" else 0.0, np.float32)
        if kind == "equal":
            weights["w2"][:, 1] = weights["w2"][:, 0]
        elif kind == "float16":
            weights = {
                n: (w * 4).round().astype(np.float16).astype(np.float32) / np.float32(4)
                for n, w in weights.items()
            }
        found.append(weights)
    return found


@pytest.mark.parametrize(
    ("kind", "end", "share"),
    [("saturated", "Sigmoid", 0.05), ("equal", "", 0.2), ("float16", "", 0)],
)
def test_engines_differ_by_near_ties_only(
    kind: str, end: str, share: float, tmp_path: Path
) -> None:
    models, rows = owners(kind), all_coalitions(CLIENTS)
    specs = [spec_of(end, by_numpy=by_numpy) for by_numpy in (True, False)]
    x, y = evaluation(specs[0], EXAMPLES)
    evaluators = [
        load_evaluator(write_job(tmp_path / str(n), spec, models[-1], models[:-1], x, y))
        for n, spec in enumerate(specs)
    ]
    assert [type(item) for item in evaluators] == [DenseEvaluator, OnnxEvaluator]
    one, other = (evaluator.evaluate(rows) for evaluator in evaluators)
    ties, others = (evaluator.count_near_ties(rows)[:, 0] for evaluator in evaluators)
    assert (np.abs(one - other) <= np.maximum(ties, others)).all()
    assert ties.max() >= share * EXAMPLES
    # Counting near ties leaves the measure as it was.
    assert np.array_equal(evaluators[0].evaluate(rows), one)


@pytest.mark.parametrize("auditor_is_numpy", [True, False])
async def test_an_audit_by_another_engine_believes_saturated_models(
    auditor_is_numpy: bool, tmp_path: Path
) -> None:
    """NumPy and onnxruntime compute other sigmoids: up to 5 answers of 800 were seen to differ."""
    models, rows = owners("saturated"), all_coalitions(CLIENTS)
    x, y = evaluation(spec_of("Sigmoid", by_numpy=True), EXAMPLES)
    own, other = (
        write_job(
            tmp_path / str(by_numpy),
            spec_of("Sigmoid", by_numpy=by_numpy),
            models[-1],
            models[:-1],
            x,
            y,
            job_id=b"audited",
        )
        for by_numpy in (auditor_is_numpy, not auditor_is_numpy)
    )
    numbers = np.arange(len(rows))
    claims = EvidenceClaims(rows, load_evaluator(other).evaluate(rows), numbers, numbers)
    pool = WorkerPool()
    try:
        await pool.open_job(own)
        await audit_claims(claims, TaskUtility(pool, own), EXAMPLES, 2)
        wrong = replace(claims, counts=claims.counts + EXAMPLES // 10)
        with pytest.raises(RefusalError):
            await audit_claims(wrong, TaskUtility(pool, own), EXAMPLES, 2)
    finally:
        await pool.stop()
