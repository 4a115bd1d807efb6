"""Measure how far every measure differs between engines, and how often audits find forged values.

Eight clients train, as `fedcoin-node train simulate` does, and a network of regression gets
different last layers. All 256 coalitions are then measured in the ways of `count_differences`,
each in a process of its own, which this module's `__main__` part is.

A forger that saves the evaluations claims either a straight line between the empty and the grand
coalition, by the number of members, or the values of other coalitions of as many members. The
second is the best guess of one that knows how values depend on the number of members.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fedcoin.testing.measurements.count_differences import CLIENTS, REFERENCE, VARIANTS

_ROOT = Path(__file__).resolve().parents[3]
TOLERANCE: Final = 2
"""The default of the parameter `utility_tolerance`."""
UNITS: Final = 8
"""The number of units of the hidden layer of the network of regression."""
REGRESSION: Final = "regression"
"""The folder of the job of regression, within that of the others."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class MeasureDifference:
    """How one measure differs between the ways to compute it."""

    # The measure's name.
    measure: str
    # Examples in the evaluation set.
    size: int
    # What an audit accepts, in units of the utility.
    tolerance: int
    # The largest difference of a coalition's utility from the reference in any way, and that way.
    max_difference: int
    how: str
    # The part of all coalitions whose forged utility an audit refuses, 0 to 1: claims on the
    # straight line, and claims of other coalitions' utilities.
    refused_lines: float
    refused_swaps: float


def measure_differences(dataset: str) -> list[MeasureDifference]:
    """Compare the utilities that each of `VARIANTS` gives with the reference, for all measures.

    Args:
        dataset: "digits", or "mnist" (the file that FEDCOIN_MNIST names).

    Returns:
        One result for each measure.
    """
    from fedcoin.application.offline.simulation import simulate

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "job"
        asyncio.run(simulate(folder, num_clients=CLIENTS, dataset=dataset, roles=("mislabelled",)))
        _write_regression(folder)
        found = {name: _run(folder, name) for name in VARIANTS}
    reference = found.pop(REFERENCE)
    return [
        _compare(name, row, {how: other[name] for how, other in found.items()})
        for name, row in reference.items()
    ]


def _compare(
    name: str, reference: dict[str, Any], others: dict[str, dict[str, Any]]
) -> MeasureDifference:
    truth = np.array(reference["utilities"], np.int64)
    differences = {
        how: int(np.abs(np.array(other["utilities"]) - truth).max())
        for how, other in others.items()
    }
    how = max(differences, key=lambda way: differences[way])
    tolerance = reference["tolerance"]
    return MeasureDifference(
        name,
        reference["size"],
        tolerance,
        differences[how],
        how if differences[how] else "-",
        find_refused_lines(truth, tolerance),
        find_refused_swaps(truth, tolerance),
    )


def find_refused_lines(truth: Ints, tolerance: int) -> float:
    """Find how many claims on a line between the empty and the grand coalition an audit refuses.

    Args:
        truth: The utility of each coalition of `CLIENTS` clients by bit mask, int64 (2^CLIENTS,).
        tolerance: The largest difference that an audit accepts, in units of the utility.

    Returns:
        The part of the coalitions, but the empty and the grand one, that is refused, 0 to 1.
    """
    return _refused(truth, _on_a_line(truth), tolerance)


def find_refused_swaps(truth: Ints, tolerance: int) -> float:
    """Find how many claims of another coalition's utility an audit refuses.

    Args:
        truth: The utility of each coalition of `CLIENTS` clients by bit mask, int64 (2^CLIENTS,).
        tolerance: The largest difference that an audit accepts, in units of the utility.

    Returns:
        The part of the coalitions, but the empty and the grand one, that is refused, 0 to 1.
    """
    return _refused(truth, _of_others(truth), tolerance)


def _refused(truth: Ints, claims: Ints, tolerance: int) -> float:
    """Return the part of the coalitions, but the empty and the grand one, that an audit refuses."""
    return float((np.abs(claims - truth) > tolerance)[1:-1].mean())


def _members(truth: Ints) -> Ints:
    masks = np.arange(len(truth))
    members: Ints = ((masks[:, None] >> np.arange(CLIENTS)) & 1).sum(axis=1)
    return members


def _on_a_line(truth: Ints) -> Ints:
    line: Ints = np.rint(truth[0] + (truth[-1] - truth[0]) * _members(truth) / CLIENTS).astype(
        np.int64
    )
    return line


def _of_others(truth: Ints) -> Ints:
    claims, members = truth.copy(), _members(truth)
    for number in range(CLIENTS + 1):
        rows = np.flatnonzero(members == number)
        claims[rows] = truth[np.roll(rows, 1)]
    return claims


def _run(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """Measure all coalitions in another process; the results by measure."""
    variables, how = VARIANTS[name]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "fedcoin.testing.measure_audits.measure_differences",
            str(folder),
            how,
        ],
        env={**os.environ, **quiet, **threads, **variables},
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


def _measure_all(folder: Path, how: str) -> dict[str, dict[str, Any]]:
    from fedcoin.learning.evaluation import dense_evaluator
    from fedcoin.learning.measures.terms import TARGET_UTILITIES, TERMS

    if how.startswith("batches-"):
        dense_evaluator.BATCH_SIZE = int(how.removeprefix("batches-"))
    found = {}
    for utility, terms in TERMS.items():
        job_folder = folder / REGRESSION if utility in TARGET_UTILITIES else folder
        found[terms.name] = _measure_one(job_folder, how, utility)
    return found


def _measure_one(folder: Path, how: str, utility: int) -> dict[str, Any]:
    """Measure all coalitions, in the order of their bit masks, by one measure."""
    from fedcoin.data.artifacts.tensors import decode_tensors
    from fedcoin.learning.evaluation.job import Evaluator, UtilityJob
    from fedcoin.learning.evaluation.keras_evaluator import KerasEvaluator
    from fedcoin.learning.model.artifact_checks.evaluation_set_checks import evaluation_arrays
    from fedcoin.learning.model.spec import parse_spec
    from fedcoin.learning.workers.jobs import load_evaluator
    from fedcoin.v1 import task_pb2

    job = UtilityJob(
        job_id=b"measures",
        model=folder / "model",
        base=folder / "base",
        updates=tuple(folder / f"client-{number}.weights" for number in range(1, CLIENTS + 1)),
        num_samples=(1,) * CLIENTS,
        evaluation=folder / "evaluation",
        averaging=task_pb2.AVERAGING_EQUAL,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        utility=utility,
    )
    x, y = evaluation_arrays(decode_tensors(job.evaluation.read_bytes()))
    evaluator: Evaluator = load_evaluator(job)
    if how == "keras":
        base, *updates = (decode_tensors(path.read_bytes()) for path in (job.base, *job.updates))
        spec = parse_spec(job.model.read_bytes())
        evaluator = KerasEvaluator(spec, base, updates, x, y, job, measure=evaluator.measure)
    masks = np.arange(1 << CLIENTS)
    order = np.random.default_rng(1).permutation(masks) if how == "shuffled" else masks
    coalitions = (order[:, None] >> np.arange(CLIENTS)) & 1 == 1
    step = 1 if how == "single" else 64
    in_order = [
        evaluator.evaluate(coalitions[start : start + step])
        for start in range(0, len(coalitions), step)
    ]
    utilities = np.empty(len(masks), np.int64)
    utilities[order] = np.concatenate(in_order)
    return {
        "utilities": utilities.tolist(),
        "tolerance": evaluator.measure.tolerance(len(y), TOLERANCE),
        "size": len(y),
    }


def _write_regression(folder: Path) -> None:
    """Write a job of regression beside the others: the mean of an image's left half.

    The hidden layer is that of the base model; each client's last layer is the least-squares fit on
    its part of half of the evaluation set, and the rest of the set evaluates it.
    """
    from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors

    x = decode_tensors((folder / "evaluation").read_bytes())["x"].astype(np.float64)
    pixels = x.reshape(len(x), -1)
    features, half = pixels.shape[1], pixels.shape[1] // 2
    target = pixels[:, :half].mean(axis=1).astype(np.float32)
    inputs = np.concatenate([pixels[:, :half], np.zeros((len(x), features - half))], axis=1)
    rng = np.random.default_rng(1)
    hidden = (rng.random((features, UNITS)) / half).astype(np.float32)
    bias = rng.normal(0, 1, UNITS).astype(np.float32)
    values = np.maximum(inputs @ hidden + bias, 0)
    values = np.concatenate([values, np.ones((len(x), 1))], axis=1)
    made = folder / REGRESSION
    made.mkdir()
    split = len(x) // 2
    fits = []
    for number in range(1, CLIENTS + 1):
        rows = np.arange(split)[number - 1 :: CLIENTS]
        fit = np.linalg.lstsq(values[rows], target[rows], rcond=None)[0].astype(np.float32)
        fits.append(fit)
        _write_weights(made / f"client-{number}.weights", hidden, bias, fit)
    # A base model that knows a little, so that no coalition is below R squared's smallest value.
    base = (0.9 * np.stack(fits).mean(axis=0)).astype(np.float32)
    _write_weights(made / "base", hidden, bias, base)
    tensors = {"x": inputs[split:].astype(np.float32), "y": target[split:]}
    (made / "evaluation").write_bytes(encode_tensors(tensors))
    (made / "model").write_bytes(_regression_spec(features))


def _write_weights(
    path: Path, hidden: NDArray[np.float32], bias: NDArray[np.float32], fit: NDArray[np.float32]
) -> None:
    from fedcoin.data.artifacts.tensors import encode_tensors

    last = {"b/kernel": fit[:-1, None], "b/bias": fit[-1:]}
    path.write_bytes(encode_tensors({"a/kernel": hidden, "a/bias": bias, **last}))


def _regression_spec(features: int) -> bytes:
    """Describe the network of regression: a hidden layer of `UNITS`, and one output."""
    from fedcoin.v1 import artifact_pb2

    def layer(class_name: str, **config: Any) -> dict[str, Any]:
        return {"module": "keras.layers", "class_name": class_name, "config": config}

    layers = [
        layer("InputLayer", batch_shape=[None, features], dtype="float32", name="x"),
        layer("Dense", units=UNITS, activation="relu", use_bias=True, name="a", dtype="float32"),
        layer("Dense", units=1, activation="linear", use_bias=True, name="b", dtype="float32"),
    ]
    model = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"name": "r", "layers": layers},
    }
    spec = artifact_pb2.ModelSpec(
        keras_json=json.dumps(model), input_shape=[features], num_classes=1
    )
    shapes = {
        "a/kernel": [features, UNITS],
        "a/bias": [UNITS],
        "b/kernel": [UNITS, 1],
        "b/bias": [1],
    }
    for name, shape in shapes.items():
        spec.weights.add(name=name, shape=shape, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32)
    return spec.SerializeToString(deterministic=True)


if __name__ == "__main__":
    print(json.dumps(_measure_all(Path(sys.argv[1]), sys.argv[2])))  # noqa: T201
