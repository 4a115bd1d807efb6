"""How far counts of right answers differ between ways to compute the same: the tolerance's reason.

Eight clients train for real (``application.simulate``); then all 256 coalitions are counted under
different numbers of threads, block sizes, BLAS kernels, orders of the questions, and by TensorFlow
instead of NumPy, each in a process of its own.
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
REFERENCE = "one thread, blocks of 256"
ROOT = Path(__file__).resolve().parents[3]

VARIANTS: dict[str, tuple[dict[str, str], str]] = {
    REFERENCE: ({}, "all"),
    "two threads": ({"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}, "all"),
    "blocks of 1,000": ({}, "blocks-1000"),
    "blocks of 37": ({}, "blocks-37"),
    "coalitions one by one": ({}, "single"),
    "coalitions in another order": ({}, "shuffled"),
    "BLAS kernels for Haswell": ({"OPENBLAS_CORETYPE": "Haswell"}, "all"),
    "BLAS kernels for Sandy Bridge": ({"OPENBLAS_CORETYPE": "Sandybridge"}, "all"),
    "BLAS kernels for Nehalem": ({"OPENBLAS_CORETYPE": "Nehalem"}, "all"),
    "TensorFlow, one thread": ({"TF_NUM_INTRAOP_THREADS": "1"}, "generic"),
    "TensorFlow, two threads": ({"TF_NUM_INTRAOP_THREADS": "2"}, "generic"),
    "TensorFlow without oneDNN": ({"TF_ENABLE_ONEDNN_OPTS": "0"}, "generic"),
}


@dataclass(frozen=True)
class CountDifference:
    """One way against the reference."""

    dataset: str
    size: int
    how: str
    coalitions: int
    differing: int
    most: int
    """Right answers by which a count differs, at most."""


def measure(dataset: str) -> list[CountDifference]:
    """``digits`` or ``mnist`` (the file that FEDCOIN_MNIST names)."""
    from fedcoin.application.offline.simulation import simulate

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "job"
        manifest = asyncio.run(
            simulate(folder, num_clients=CLIENTS, dataset=dataset, roles=("mislabelled",))
        )
        counts = {name: counted(folder, name) for name in VARIANTS}
    reference = counts[REFERENCE]
    return [
        CountDifference(
            dataset,
            manifest.evaluation_size,
            name,
            len(found),
            int((found != reference).sum()),
            int(np.abs(found - reference).max()),
        )
        for name, found in counts.items()
        if name != REFERENCE
    ]


def counted(folder: Path, name: str) -> NDArray[np.int64]:
    """All coalitions' counts, from a process of its own."""
    given, how = VARIANTS[name]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "fedcoin.testing.measurements.count_differences",
        str(folder),
        how,
    ]
    done = subprocess.run(
        command,
        env={**os.environ, **quiet, **threads, **given},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return np.array([int(word) for word in done.stdout.split()])


def _child(folder: Path, how: str) -> NDArray[np.int64]:
    from fedcoin.application.offline.simulation_folder import read_manifest
    from fedcoin.data.artifacts.tensors import decode_tensors
    from fedcoin.learning.evaluation import dense_evaluator
    from fedcoin.learning.evaluation.job import UtilityJob
    from fedcoin.learning.evaluation.keras_evaluator import KerasEvaluator
    from fedcoin.learning.model import artifact_checks
    from fedcoin.learning.model.spec import parse_spec
    from fedcoin.learning.workers.jobs import load_evaluator
    from fedcoin.v1 import task_pb2

    if how.startswith("blocks-"):
        dense_evaluator.BATCH_SIZE = int(how.removeprefix("blocks-"))
    manifest = read_manifest(folder)
    job = UtilityJob(
        job_id=b"flips",
        model=folder / "model",
        base=folder / "base",
        updates=tuple(folder / client.weights for client in manifest.clients),
        num_samples=tuple(client.num_samples for client in manifest.clients),
        evaluation=folder / "evaluation",
        averaging=task_pb2.AVERAGING_FIXED_DENOMINATOR,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
    )
    if how == "generic":
        spec = parse_spec(job.model.read_bytes())
        base = decode_tensors(job.base.read_bytes())
        updates = [decode_tensors(path.read_bytes()) for path in job.updates]
        x, y = artifact_checks.evaluation_arrays(decode_tensors(job.evaluation.read_bytes()))
        evaluator = KerasEvaluator(spec, base, updates, x, y, job)
    else:
        evaluator = load_evaluator(job)  # type: ignore[assignment]
    masks = np.arange(1 << CLIENTS)
    order = np.random.default_rng(1).permutation(masks) if how == "shuffled" else masks
    coalitions = (order[:, None] >> np.arange(CLIENTS)) & 1 == 1
    if how == "single":
        found = np.concatenate([evaluator.evaluate(row[None]) for row in coalitions])
    else:
        found = evaluator.evaluate(coalitions)
    counts = np.empty_like(found)
    counts[order] = found
    return counts


if __name__ == "__main__":
    print(*_child(Path(sys.argv[1]), sys.argv[2]).tolist())  # noqa: T201
