"""What each client's weights were worth, from files and without a chain.

A model's architecture, its base weights, a folder of clients' weights and an evaluation set become
a ``UtilityJob`` for a worker process; Shapley values of its accuracy are what comes out.
"""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import Refusal
from fedcoin.data.tensors import encode_tensors
from fedcoin.incentive import shapley
from fedcoin.learning import models
from fedcoin.learning.spec import parse_spec, weight_shapes
from fedcoin.learning.utility import Coalitions, UtilityJob
from fedcoin.learning.worker_pool import UtilityWorker
from fedcoin.v1 import task_pb2

Array = npt.NDArray[np.generic]
Shapes = dict[str, tuple[int, ...]]
SAMPLES = "num_samples"


@dataclass(frozen=True, slots=True)
class Valuation:
    """The clients, by the names of their files, and their values as parts of the accuracy."""

    clients: tuple[str, ...]
    num_samples: tuple[int, ...]
    estimate: shapley.Estimate
    base_accuracy: float
    accuracy: float
    examples: int


async def value_files(
    model: Path,
    base: Path,
    updates: Path,
    data: Path,
    *,
    method: str,
    budget: int | None,
    seed: int,
    advance: Callable[[int], None],
) -> Valuation:
    """Shapley values of the clients whose weights are the ``.npz`` files in ``updates``.

    ``model`` is what Keras' ``model.to_json()`` says, or a serialised ModelSpec. Weights are
    arrays named as the model's, or in its order (``np.savez(path, *model.get_weights())``); a
    client's file may say its number of examples in ``num_samples``. ``data`` holds ``x`` and
    ``y``, or ``x_test`` and ``y_test``.
    ``advance`` is told how many coalitions were evaluated. Raises the Refusals of ``spec``,
    ``checks`` and ``shapley``; BAD_ARGUMENT for files that cannot be read or an empty folder.
    """
    files = sorted(updates.glob("*.npz"))  # noqa: ASYNC240 - nothing else is going on yet
    if not files:
        raise _bad("updates", f"{updates} has no .npz files; it must hold one for each client")
    evaluation, examples = _evaluation(data)
    worker = UtilityWorker()
    try:
        await worker.start()
        spec = await asyncio.to_thread(model.read_bytes)
        if spec.lstrip().startswith(b"{"):
            text = spec.decode("utf-8", "replace")
            spec = await worker.run("while reading the model", build_spec, text)
        shapes = weight_shapes(parse_spec(spec))
        with tempfile.TemporaryDirectory(prefix="fedcoin-shapley-") as folder:
            place = Path(folder)
            (place / "model").write_bytes(spec)
            (place / "base").write_bytes(_weights(base, shapes)[0])
            samples = []
            for number, file in enumerate(files):
                raw, count = _weights(file, shapes)
                (place / f"update-{number}").write_bytes(raw)
                samples.append(count)
            (place / "evaluation").write_bytes(evaluation)
            job = UtilityJob(
                job_id=b"valuation".ljust(32, b"\0"),
                model=place / "model",
                base=place / "base",
                updates=tuple(place / f"update-{number}" for number in range(len(files))),
                num_samples=tuple(samples),
                evaluation=place / "evaluation",
                averaging=task_pb2.AVERAGING_RENORMALISED,
                empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
            )
            await worker.open(job)
            found, ends = await _estimate(worker, job, examples, method, budget, seed, advance)
    finally:
        await worker.stop()
    return Valuation(
        tuple(file.stem for file in files), tuple(samples), found, ends[0], ends[1], examples
    )


async def _estimate(
    worker: UtilityWorker,
    job: UtilityJob,
    examples: int,
    method: str,
    budget: int | None,
    seed: int,
    advance: Callable[[int], None],
) -> tuple[shapley.Estimate, tuple[float, float]]:
    loop = asyncio.get_running_loop()
    n = len(job.updates)

    def utility(coalitions: Coalitions) -> npt.NDArray[np.float64]:
        answers = []
        for start in range(0, len(coalitions), 64):
            part = coalitions[start : start + 64]
            asked = asyncio.run_coroutine_threadsafe(worker.evaluate(job.job_id, part), loop)
            answers.append(asked.result())
            advance(len(part))
        accuracy: npt.NDArray[np.float64] = np.concatenate(answers) / examples
        return accuracy

    found = await asyncio.to_thread(shapley.estimate, utility, n, method, budget, seed)
    ends = await worker.evaluate(job.job_id, np.array([[False] * n, [True] * n]))
    return found, (float(ends[0] / examples), float(ends[1] / examples))


def build_spec(keras_json: str) -> bytes:
    """A ModelSpec of Keras' JSON; in a worker process, which may load TensorFlow."""
    return models.to_spec(models.from_json(keras_json))


def _arrays(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise _bad(path.name, f"{path} cannot be read as .npz without pickles: {error}") from error


def _weights(path: Path, shapes: Shapes) -> tuple[bytes, int]:
    """Encoded weights under the model's names, and the number of examples (1 where not said)."""
    arrays = _arrays(path)
    samples = arrays.pop(SAMPLES, np.array(1))
    if samples.ndim or samples.dtype.kind not in "ui" or int(samples) < 1:
        raise _bad(SAMPLES, f"{path} has a {SAMPLES} that is not a whole number above zero")
    if len(arrays) != len(shapes):
        raise _bad(
            path.name,
            f"{path} has {len(arrays)} arrays, but the model has {len(shapes)} weights: "
            f"{', '.join(list(shapes)[:6])}",
        )
    named = (
        arrays if set(arrays) == set(shapes) else dict(zip(shapes, arrays.values(), strict=True))
    )
    for name, shape in shapes.items():
        if named[name].shape != shape:
            raise _bad(
                path.name,
                f"{path} has shape {named[name].shape} for {name}; the model's is {shape}",
            )
        if named[name].dtype.kind != "f" or not np.isfinite(named[name]).all():
            raise _bad(path.name, f"{path} has NaN, infinity or no floats for {name}")
    floats = {name: named[name].astype(np.float32) for name in shapes}
    return encode_tensors(floats), int(samples)


def _evaluation(path: Path) -> tuple[bytes, int]:
    """Encoded ``x`` (uint8 pixels become 0 to 1) and ``y``, and how many examples."""
    arrays = _arrays(path)
    x = arrays.get("x", arrays.get("x_test"))
    y = arrays.get("y", arrays.get("y_test"))
    if x is None or y is None:
        raise _bad("data", f"{path} must hold x and y, or x_test and y_test")
    if x.ndim < 2 or x.dtype.kind not in "uif" or y.dtype.kind not in "ui":
        raise _bad("data", f"{path} must hold numbers x (m, ...) and whole numbers y (m,)")
    scale = 255 if x.dtype == np.uint8 else 1
    inputs = x.astype(np.float32) / np.float32(scale)
    labels = y.reshape(-1).astype(np.int64) if y.ndim == 2 and y.shape[1] == 1 else y
    if labels.size and int(labels.min()) < 0:
        raise _bad("data", f"{path} has labels below 0")
    return encode_tensors({"x": inputs, "y": labels.astype(np.int64)}), len(labels)


def _bad(field: str, sentence: str) -> Refusal:
    return Refusal(ApplicationCode.BAD_ARGUMENT, sentence, field=field)
