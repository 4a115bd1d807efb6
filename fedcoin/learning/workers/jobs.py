"""What a worker process keeps: the open jobs, each with its evaluator and its memo.

These functions are called inside the child, by name, through ``worker_process``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator
from fedcoin.learning.evaluation.graph_evaluator import GraphEvaluator
from fedcoin.learning.evaluation.job import (
    ALL_EXAMPLES,
    Coalitions,
    Counts,
    Evaluator,
    ExampleShare,
    UtilityJob,
    check_coalitions,
)
from fedcoin.learning.model import artifact_checks, keras_runtime
from fedcoin.learning.model.architecture import read_graph
from fedcoin.learning.model.layers import Activation, Dense, Scale, is_sequential
from fedcoin.learning.model.spec import parse_spec

MEMO_ENTRIES = 1 << 20
"""Coalitions remembered for one job; beyond it the oldest are forgotten."""


@dataclass(slots=True)
class _OpenJob:
    job: UtilityJob
    evaluator: Evaluator
    memo: dict[bytes, int] = field(default_factory=dict)


_open: dict[bytes, _OpenJob] = {}


def warm_up(warm: bool) -> None:
    """Answer, so that the parent knows the child lives; with ``warm`` import TensorFlow."""
    if warm:
        keras_runtime.load_keras()


def open_job(job: UtilityJob, shard: ExampleShare = ALL_EXAMPLES) -> None:
    """Load and check a job's files, to count on a part of its examples.

    Raises the Refusals of ``spec``, ``checks`` and the tensors.
    """
    if job.job_id not in _open:
        _open[job.job_id] = _OpenJob(job, load_evaluator(job, shard))


def close_job(job_id: bytes) -> None:
    """Forget a job."""
    _open.pop(job_id, None)


def evaluate(job_id: bytes, coalitions: Coalitions) -> tuple[Counts, int, float]:
    """Right answers of each coalition; how many had to be computed (each is once), and in what.

    The last is in seconds of this process' processor time, which other programs do not change.
    """
    began = time.process_time()
    found = _open.get(job_id)
    if found is None:
        raise unknown_job_error(job_id)
    rows = check_coalitions(coalitions, len(found.job.updates))
    keys = [row.tobytes() for row in np.packbits(rows, axis=1)]
    missing = {key: place for place, key in enumerate(keys) if key not in found.memo}
    known = {key: found.memo[key] for key in keys if key not in missing}
    if missing:
        computed = found.evaluator.evaluate(rows[list(missing.values())])
        known.update(zip(missing, computed.tolist(), strict=True))
        found.memo.update((key, known[key]) for key in missing)
        for oldest in list(found.memo)[: max(0, len(found.memo) - MEMO_ENTRIES)]:
            del found.memo[oldest]
    counts = np.array([known[key] for key in keys], np.int64)
    return counts, len(missing), time.process_time() - began


def count_correct(job: UtilityJob) -> int:
    """Right answers of the coalition of all, without opening the job."""
    return int(load_evaluator(job).evaluate(np.ones((1, len(job.updates)), np.bool_))[0])


def check_job(job: UtilityJob, aggregate: Path, evaluation_size: int) -> None:
    """Raise a Refusal if the artifacts of a task do not fit together."""
    artifact_checks.check_job_files(
        job.model,
        job.base,
        aggregate,
        job.updates,
        job.evaluation,
        evaluation_size=evaluation_size,
        num_samples=job.num_samples,
    )


def load_evaluator(job: UtilityJob, shard: ExampleShare = ALL_EXAMPLES) -> Evaluator:
    """The fastest evaluator that knows the job's model, its files checked."""
    spec = parse_spec(job.model.read_bytes())
    base = decode_tensors(job.base.read_bytes())
    updates = [decode_tensors(path.read_bytes()) for path in job.updates]
    x, y = artifact_checks.open_evaluation_set(job.evaluation)
    artifact_checks.check_weights(spec, base, "base")
    for client, update in enumerate(updates):
        artifact_checks.check_weights(spec, update, f"updates[{client}]")
    artifact_checks.check_evaluation_set(spec, x, y)
    graph = read_graph(spec)
    if graph is not None:
        layers = [node.layer for node in graph]
        dense = all(isinstance(layer, (Dense, Scale, Activation)) for layer in layers)
        if dense and is_sequential(graph):
            return DenseEvaluator(layers, base, updates, x, y, job, shard)
        return GraphEvaluator(graph, base, updates, x, y, job, shard)
    from fedcoin.learning.evaluation.keras_evaluator import KerasEvaluator

    return KerasEvaluator(spec, base, updates, x, y, job, shard)


def unknown_job_error(job_id: bytes) -> RefusalError:
    """What is wrong with asking about a job that is not open."""
    return RefusalError(
        LearningCode.UNKNOWN_JOB,
        f"job {job_id.hex()[:16]} is not open; open it before asking for its utilities",
        field="job_id",
    )
