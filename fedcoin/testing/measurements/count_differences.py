"""Measure how far counts of right answers differ between ways to compute the same coalitions.

The differences are the reason for the parameter `utility_tolerance`. Eight clients train, as
`fedcoin-node train simulate` does; then all 256 coalitions are counted with different numbers of
threads, batch sizes, BLAS kernels and orders of the coalitions, and by TensorFlow instead of NumPy.
Each way runs in a process of its own, which this module's `__main__` part is.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CLIENTS = 8
"""The number of clients, so that there are 2^8 coalitions."""

REFERENCE = "one thread, batches of 256"
"""The variant with which the others are compared."""

_ROOT = Path(__file__).resolve().parents[3]

VARIANTS: dict[str, tuple[dict[str, str], str]] = {
    REFERENCE: ({}, "all"),
    "two threads": ({"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}, "all"),
    "batches of 1,000": ({}, "batches-1000"),
    "batches of 37": ({}, "batches-37"),
    "coalitions one by one": ({}, "single"),
    "coalitions in another order": ({}, "shuffled"),
    "BLAS kernels for Haswell": ({"OPENBLAS_CORETYPE": "Haswell"}, "all"),
    "BLAS kernels for Sandy Bridge": ({"OPENBLAS_CORETYPE": "Sandybridge"}, "all"),
    "BLAS kernels for Nehalem": ({"OPENBLAS_CORETYPE": "Nehalem"}, "all"),
    "TensorFlow, one thread": ({"TF_NUM_INTRAOP_THREADS": "1"}, "keras"),
    "TensorFlow, two threads": ({"TF_NUM_INTRAOP_THREADS": "2"}, "keras"),
    "TensorFlow without oneDNN": ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "keras"),
}
"""By name: environment variables of the process, and how it evaluates."""


@dataclass(frozen=True)
class CountDifference:
    """One way to compute all coalitions, compared with the reference."""

    # The data set's name.
    dataset: str
    # Examples in the evaluation set.
    size: int
    # The way's name in `VARIANTS`.
    how: str
    # The number of coalitions that were compared.
    coalitions: int
    # How many coalitions have another count than the reference, and by how many right answers at
    # most.
    num_different: int
    max_difference: int


def measure_count_differences(dataset: str) -> list[CountDifference]:
    """Compare all ways with the reference.

    Args:
        dataset: "digits", or "mnist" (the file that FEDCOIN_MNIST names).

    Returns:
        One result for each of `VARIANTS` but the reference.
    """
    from fedcoin.application.offline.simulation import simulate

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "job"
        manifest = asyncio.run(
            simulate(folder, num_clients=CLIENTS, dataset=dataset, roles=("mislabelled",))
        )
        counts = {name: _count_in_process(folder, name) for name in VARIANTS}
    reference = counts.pop(REFERENCE)
    return [
        CountDifference(
            dataset,
            manifest.evaluation_size,
            name,
            len(variant),
            int((variant != reference).sum()),
            int(np.abs(variant - reference).max()),
        )
        for name, variant in counts.items()
    ]


def _count_in_process(folder: Path, name: str) -> NDArray[np.int64]:
    """Count all coalitions, int64 (2^CLIENTS,), in another process."""
    variables, how = VARIANTS[name]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(_ROOT)}
    module = "fedcoin.testing.measurements.count_differences"
    done = subprocess.run(
        [sys.executable, "-m", module, str(folder), how],
        env={**os.environ, **quiet, **threads, **variables},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return np.array([int(word) for word in done.stdout.split()], dtype=np.int64)


def _count(folder: Path, how: str) -> NDArray[np.int64]:
    """Count all coalitions, int64 (2^CLIENTS,), by bit mask."""
    from fedcoin.application.offline.simulation_folder import read_manifest
    from fedcoin.data.artifacts.tensors import decode_tensors
    from fedcoin.learning.evaluation import dense_evaluator
    from fedcoin.learning.evaluation.job import UtilityJob
    from fedcoin.learning.evaluation.keras_evaluator import KerasEvaluator
    from fedcoin.learning.model.artifact_checks.evaluation_set_checks import evaluation_arrays
    from fedcoin.learning.model.spec import parse_spec
    from fedcoin.learning.workers.jobs import load_evaluator
    from fedcoin.v1 import task_pb2

    if how.startswith("batches-"):
        dense_evaluator.BATCH_SIZE = int(how.removeprefix("batches-"))
    manifest = read_manifest(folder)
    job = UtilityJob(
        job_id=b"count differences",
        model=folder / "model",
        base=folder / "base",
        updates=tuple(folder / client.weights for client in manifest.clients),
        num_samples=tuple(client.num_samples for client in manifest.clients),
        evaluation=folder / "evaluation",
        averaging=task_pb2.AVERAGING_FIXED_DENOMINATOR,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
    )
    if how == "keras":
        spec = parse_spec(job.model.read_bytes())
        base = decode_tensors(job.base.read_bytes())
        updates = [decode_tensors(path.read_bytes()) for path in job.updates]
        x, y = evaluation_arrays(decode_tensors(job.evaluation.read_bytes()))
        evaluator = KerasEvaluator(spec, base, updates, x, y, job)
    else:
        evaluator = load_evaluator(job)  # type: ignore[assignment]
    masks = np.arange(1 << CLIENTS)
    order = np.random.default_rng(1).permutation(masks) if how == "shuffled" else masks
    coalitions = (order[:, None] >> np.arange(CLIENTS)) & 1 == 1
    if how == "single":
        in_order = np.concatenate([evaluator.evaluate(row[None]) for row in coalitions])
    else:
        in_order = evaluator.evaluate(coalitions)
    counts: NDArray[np.int64] = np.empty_like(in_order)
    counts[order] = in_order
    return counts


if __name__ == "__main__":
    print(*_count(Path(sys.argv[1]), sys.argv[2]).tolist())  # noqa: T201
