"""What each client's weights were worth, from files and without a chain.

A model's architecture, its base weights, a folder of clients' weights and an evaluation set become
a ``UtilityJob`` for worker processes; Shapley values of its accuracy are what comes out.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin import shapley
from fedcoin.application.offline.npz_files import (
    client_files,
    read_evaluation,
    read_model,
    read_weights,
)
from fedcoin.data.errors import RefusalError
from fedcoin.learning.evaluation.job import Coalitions, UtilityJob
from fedcoin.learning.model import keras_models
from fedcoin.learning.model.spec import parse_spec, weight_shapes
from fedcoin.learning.workers.executors import count_cores
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.shapley.game import Game
from fedcoin.v1 import task_pb2

Floats = npt.NDArray[np.float64]

FIRST_ROWS, MOST_ROWS = 16, 4096
REQUEST_SECONDS = 0.5
"""How often progress is told, about: as many coalitions are asked for at a time."""

LOOK_SECONDS = 2.0
"""How often the standard error is looked at."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """The clients, by the names of their files, and their values as parts of the accuracy."""

    clients: tuple[str, ...]
    num_samples: tuple[int, ...]
    estimate: shapley.Estimate
    base_accuracy: float
    accuracy: float
    examples: int


@dataclass(frozen=True, slots=True)
class ValuationProgress:
    """How far the evaluation of coalitions is."""

    done: int
    """Coalitions evaluated, the empty and the grand one included."""
    most: int
    """How many there may be in the end; some methods need fewer."""
    seconds_left: float
    """About how long the rest takes."""
    std_error: float | None
    """The largest one, had the estimator stopped here; None where it cannot tell."""


Report = Callable[[ValuationProgress], None]


async def value_files(
    model: Path,
    base: Path,
    updates: Path,
    data: Path,
    *,
    method: str,
    budget: int | None,
    seed: int,
    report: Report,
) -> Valuation:
    """Shapley values of the clients whose weights are the ``.npz`` files in ``updates``.

    ``model`` is what Keras' ``model.to_json()`` says, or a serialised ModelSpec. Weights are
    arrays named as the model's, or in its order (``np.savez(path, *model.get_weights())``); a
    client's file may say its number of examples in ``num_samples``. ``data`` holds ``x`` and
    ``y``, or ``x_test`` and ``y_test``. ``report`` is told about every ``REQUEST_SECONDS`` how far
    it is. Raises the Refusals of ``valuation_files``, ``spec``, ``checks`` and ``shapley``.
    """
    files = client_files(updates)
    spec = read_model(model)
    chosen = shapley.plan(len(files), method, budget)
    worker = WorkerPool(processes=count_cores())
    try:
        await worker.start()
        if spec.lstrip().startswith(b"{"):
            text = spec.decode("utf-8", "replace")
            spec = await worker.run("while reading the model", build_spec, text)
        with tempfile.TemporaryDirectory(prefix="fedcoin-shapley-") as folder:
            job, examples = write_job(Path(folder), spec, base, files, data)
            await worker.open_job(job)
            game = _Accuracy(worker, job, examples, chosen, seed, report)
            found = await asyncio.to_thread(
                shapley.estimate, game.utility, len(files), chosen[0], chosen[1], seed
            )
    finally:
        await worker.stop()
    names = tuple(file.stem for file in files)
    return Valuation(names, job.num_samples, found, *game.ends(), examples)


def write_job(
    folder: Path, spec: bytes, base: Path, files: list[Path], data: Path
) -> tuple[UtilityJob, int]:
    """The job of these files, rewritten into ``folder`` as artifacts; how many examples."""
    shapes = weight_shapes(parse_spec(spec))
    evaluation, examples = read_evaluation(data)
    (folder / "model").write_bytes(spec)
    (folder / "evaluation").write_bytes(evaluation)
    (folder / "base").write_bytes(read_weights(base, shapes)[0])
    samples = []
    for number, file in enumerate(files):
        raw, count = read_weights(file, shapes)
        (folder / f"update-{number}").write_bytes(raw)
        samples.append(count)
    job = UtilityJob(
        job_id=b"valuation".ljust(32, b"\0"),
        model=folder / "model",
        base=folder / "base",
        updates=tuple(folder / f"update-{number}" for number in range(len(files))),
        num_samples=tuple(samples),
        evaluation=folder / "evaluation",
        averaging=task_pb2.AVERAGING_RENORMALISED,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
    )
    return job, examples


def build_spec(keras_json: str) -> bytes:
    """A ModelSpec of Keras' JSON; in a worker process, which may load TensorFlow."""
    return keras_models.spec_from_model(keras_models.model_from_json(keras_json))


class _Accuracy:
    """The utility of an estimator, which asks for it in a thread; the worker lives in a loop."""

    def __init__(
        self,
        worker: WorkerPool,
        job: UtilityJob,
        examples: int,
        chosen: tuple[str, int],
        seed: int,
        report: Report,
    ) -> None:
        self._worker = worker
        self._job = job
        self._examples = examples
        self._error = StandardErrorTracker(*chosen, seed, len(job.updates))
        self._most = chosen[1] + 2
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._rows = FIRST_ROWS
        self._began = time.monotonic()

    def utility(self, coalitions: Coalitions) -> Floats:
        """The accuracy of each coalition's model, (m,)."""
        answers, start = [], 0
        while start < len(coalitions):
            part = coalitions[start : start + self._rows]
            asked_at = time.monotonic()
            asked = self._worker.evaluate(self._job.job_id, part)
            counts = asyncio.run_coroutine_threadsafe(asked, self._loop).result()
            answers.append(counts / self._examples)
            self._error.learn(part, answers[-1])
            if time.monotonic() - asked_at < REQUEST_SECONDS / 2:
                self._rows = min(2 * self._rows, MOST_ROWS)
            start += len(part)
            self._tell()
        return np.concatenate(answers)

    def ends(self) -> tuple[float, float]:
        """The accuracy with nobody and with all."""
        n = len(self._job.updates)
        nobody, everybody = self._error.known(np.array([[False] * n, [True] * n]))
        return float(nobody), float(everybody)

    def _tell(self) -> None:
        done = self._error.evaluations
        each = (time.monotonic() - self._began) / done
        left = max(0, self._most - done) * each
        self._report(ValuationProgress(done, self._most, left, self._error.latest()))


class StandardErrorTracker:
    """What an estimator's standard error would be, had it stopped here.

    Walks ask for the same coalitions whatever their budget, only for more of them: an estimate from
    those that are known is one with a smaller budget. Other methods plan ahead.
    """

    def __init__(
        self,
        method: str,
        budget: int,
        seed: int,
        clients: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._method = method
        self._budget = budget
        self._seed = seed
        self._clients = clients
        self._clock = clock
        self._known: dict[bytes, float] = {}
        self._latest: float | None = None
        self._due = clock() + LOOK_SECONDS

    @property
    def evaluations(self) -> int:
        """Coalitions that are known."""
        return len(self._known)

    def learn(self, coalitions: Coalitions, worth: Floats) -> None:
        """These coalitions' worth."""
        self._known.update(zip(_keys(coalitions), worth.tolist(), strict=True))

    def known(self, coalitions: Coalitions) -> Floats:
        """The worth of coalitions; KeyError for one that is not known."""
        return np.array([self._known[key] for key in _keys(coalitions)])

    def latest(self) -> float | None:
        """The largest standard error as last looked at, every ``LOOK_SECONDS``."""
        if self._clock() >= self._due:
            self._latest = self.look()
            self._due = self._clock() + LOOK_SECONDS
        return self._latest

    def look(self) -> float | None:
        """The largest standard error now; None where the method cannot tell."""
        if self._method not in ("permutation", "antithetic", "truncated"):
            return None
        budget = min(self._budget, len(self._known) - 2)
        try:
            game = Game(self.known, self._clients)
            rng = np.random.default_rng(self._seed)
            errors = shapley.METHODS[self._method](game, budget, rng).std_errors
        except (KeyError, RefusalError):  # in the middle of a walk, or of the first one
            return None
        largest = float(errors.max())
        return largest if largest < float("inf") else None


def _keys(coalitions: Coalitions) -> list[bytes]:
    return [row.tobytes() for row in np.packbits(coalitions, axis=1)]
