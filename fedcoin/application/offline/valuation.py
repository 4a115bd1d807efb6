"""Value the clients of a federation from files: the Shapley values of their weights.

A model's architecture, its base weights, a folder of clients' weights and an evaluation set become
an evaluation job for worker processes. The utility of a coalition is what a measure, such as the
accuracy, finds of its averaged model.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin import shapley
from fedcoin.application.configuration.cpu_count import count_usable_cpus
from fedcoin.application.offline.client_weights import (
    complete_samples,
    load_weights,
    write_model,
)
from fedcoin.application.offline.evaluation_pace import EvaluationPace
from fedcoin.application.offline.model_files import load_spec
from fedcoin.application.offline.standard_errors import StandardErrorTracker
from fedcoin.application.offline.valuation_files import (
    client_name,
    list_client_files,
    read_evaluation,
    read_model,
)
from fedcoin.learning.evaluation.job import Coalitions, UtilityJob
from fedcoin.learning.evaluation.rounded_weights import explain_spread
from fedcoin.learning.measures.near_ties import explain_ties
from fedcoin.learning.measures.right_answers import explain_by_commonest
from fedcoin.learning.measures.terms import TARGET_UTILITIES, TERMS, largest_utility
from fedcoin.learning.training.input_range import InputRange
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.shapley.tolerance import require_tolerance
from fedcoin.v1 import task_pb2

Floats = npt.NDArray[np.float64]

_MAX_ALONE = 8
"""How many clients' models are evaluated with other last digits of their weights."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """The Shapley values of clients."""

    clients: tuple[str, ...]
    """The clients' names: their files' names without the ending."""
    num_samples: tuple[int, ...]
    """Training examples of each client."""
    estimate: shapley.Estimate
    """Values and standard errors in units of the utility (0 to 1)."""
    measure: str
    """The name of the utility, one of `learning.measures.terms.NAMES`."""
    base_utility: float
    """Utility of the base model, 0 to 1."""
    utility: float
    """Utility of the average of all clients' weights, 0 to 1."""
    examples: int
    """How many examples the evaluation set has."""
    inputs: InputRange
    """The range of the evaluation set's inputs, and what they were divided by."""
    note: str
    """What to know about the accuracy of the base model (`explain_by_commonest`); else empty."""
    near_ties: int
    """How many answers are within rounding of a tie (`near_ties`), in the model without clients or
    in that of all, whichever has more; 0 with measures that have no border."""
    rounding: str
    """What to know about what rounding decides (`explain_ties`, `explain_spread`); else empty."""
    model_changes: tuple[str, ...]
    """What was changed in the architecture's file, each in a few words."""


@dataclass(frozen=True, slots=True)
class ValuationProgress:
    """The progress of the evaluation of coalitions."""

    num_evaluated: int
    """Coalitions evaluated, the empty and the grand one included."""
    max_evaluations: int
    """The largest number of coalitions to evaluate; some methods need fewer."""
    seconds_left: float | None
    """The time that the evaluation of the others will take, in seconds, from the latest batches;
    None before enough was measured. What the estimator computes itself is not counted."""
    std_error: float | None
    """The largest standard error if the estimator stopped now, in units of the utility; with a
    tolerance that of the latest attempt, where the method gives no later one. None when it cannot
    be computed yet."""
    method: str
    """Name of the estimator."""
    num_examples: int
    """How many examples the evaluation set has."""
    tolerance: float | None = None
    """Half the width of the widest 95 % interval to accept, in units of the utility, or None."""


ReportProgress = Callable[[ValuationProgress], None]
"""Called after each batch of coalitions."""


async def value_files(
    model: Path,
    base: Path,
    updates: Path,
    data: Path,
    *,
    method: str,
    budget: int | None,
    seed: int,
    tolerance: float | None = None,
    scale: float = 0.0,
    utility: int = task_pb2.UTILITY_ACCURACY,
    trained: Sequence[str] = (),
    report: ReportProgress,
) -> Valuation:
    """Compute the Shapley values of clients from their files.

    Args:
        model: A file with Keras' `model.to_json()`, an exporter's `*.onnx`, or a file with a
            serialised ModelSpec.
        base: A file of all weights from which the clients started, in a format of
            `array_files.open_arrays`: arrays named as the model's weights or, without names, in
            their order (`np.savez(path, *model.get_weights())`).
        updates: A folder of such files, one for each client. All of them, or none, hold
            `num_samples`, the client's number of training examples.
        data: An `.npz` file with `x` and `y`, or `x_test` and `y_test`.
        method: A name in `shapley.METHODS`, or "auto".
        budget: How many coalitions to evaluate at most; None for the method's default.
        seed: Seeds the choice of coalitions.
        tolerance: Half the width, in units of the utility, of the widest 95 % interval to accept;
            None to spend the budget. See `shapley.estimate`.
        scale: What to divide the evaluation set's inputs by; 0 for what its file says, or nothing.
        utility: What models are measured by, a value of the enum `Utility`.
        trained: Patterns of the names of the weights that were trained (`freeze_weights`), which
            alone are in the clients' files; none for all.
        report: Called once before the first coalition is evaluated, then after each batch of the
            worker processes from another thread.

    Returns:
        Each client's value with its standard error, and what they were computed from.

    Raises:
        RefusalError: NO_UPDATES, DUPLICATE_CLIENT, NO_FILE or UNREADABLE_FILE when a file is
            missing, double or cannot be read; BAD_MODEL, WRONG_NAMES, WRONG_SHAPE, NOT_FINITE,
            BAD_SAMPLES or another code of `LearningCode` when model, weights and evaluation set do
            not fit together; BAD_METHOD, BAD_BUDGET, BAD_TOLERANCE or BAD_GAME when the estimator
            cannot be used so.
        WorkerError: A worker process died twice on the same work.
    """
    if tolerance is not None:
        require_tolerance(tolerance)
    files = list_client_files(updates)
    spec = read_model(model)
    chosen_method, chosen_budget = shapley.plan(len(files), method, budget)
    # Besides the budget, the empty and the grand coalition are evaluated.
    max_evaluations = chosen_budget + 2
    evaluation = read_evaluation(data, scale, utility)
    num_examples = evaluation.num_examples
    changes: list[str] = []
    workers = WorkerPool(processes=count_usable_cpus(), max_counts=max_evaluations)
    try:
        await workers.start()
        spec = await load_spec(
            workers, model, spec, changes.append, has_classes=utility not in TARGET_UTILITIES
        )
        with tempfile.TemporaryDirectory(prefix="fedcoin-shapley-") as folder:
            largest = largest_utility(utility, num_examples)
            job = await _write_job(
                workers, Path(folder), spec, base, files, evaluation.tensors, utility, trained
            )
            await workers.open_job(job)

            def recall(coalitions: Coalitions) -> Floats:
                return workers.recall(job.job_id, coalitions) / largest

            errors = StandardErrorTracker(chosen_method, chosen_budget, seed, len(files), recall)
            # With a tolerance `auto` tries cheaper methods than `plan` chose for the whole budget.
            planned = chosen_method if tolerance is None else method
            progress = ValuationProgress(
                0, max_evaluations, None, None, planned, num_examples, tolerance
            )
            report(progress)
            game = _UtilityGame(workers, job, largest, errors, progress, report)
            estimate = await asyncio.to_thread(
                shapley.estimate,
                game.utility, len(files), planned, chosen_budget, seed, tolerance=tolerance,
                on_attempt=game.report_attempt,
            )  # fmt: skip
            empty_and_grand = np.array([[False] * len(files), [True] * len(files)])
            counts = await workers.evaluate(job.job_id, empty_and_grand)
            base_utility, whole_utility = (counts / largest).tolist()
            ties = 0
            if not workers.measure(job.job_id).needs_values:
                ties = int((await workers.count_near_ties(job.job_id, empty_and_grand)).max())
            rounding = await _explain_rounding(workers, job, ties, num_examples)
            note = ""
            if utility == task_pb2.UTILITY_ACCURACY:
                note = explain_by_commonest(evaluation.labels, int(counts[0]))
    finally:
        await workers.stop()
    names = tuple(map(client_name, files))
    return Valuation(
        names,
        job.num_samples,
        estimate,
        TERMS[utility].name,
        base_utility,
        whole_utility,
        num_examples,
        evaluation.inputs,
        note,
        ties,
        explain_ties(ties, num_examples) or rounding,
        tuple(changes),
    )


async def _explain_rounding(
    workers: WorkerPool, job: UtilityJob, ties: int, num_examples: int
) -> str:
    """Compare the utilities of some coalitions with those for other last digits of the weights.

    Closes the job.
    """
    measure, clients = workers.measure(job.job_id), len(job.updates)
    alone = np.eye(clients, dtype=np.bool_)[:_MAX_ALONE]
    rows = np.concatenate([alone, np.ones((1, clients), np.bool_)])
    utilities = await workers.evaluate(job.job_id, rows)
    await workers.close_job(job.job_id)
    varied = replace(job, job_id=b"varied valuation".ljust(32, b"\0"), rounding=1)
    await workers.open_job(varied)
    spread = int(np.abs(utilities - await workers.evaluate(varied.job_id, rows)).max())
    largest = largest_utility(job.utility, num_examples)
    return explain_spread(measure, spread, ties, num_examples, largest)


async def _write_job(
    workers: WorkerPool,
    folder: Path,
    spec: bytes,
    base: Path,
    files: list[Path],
    evaluation: bytes,
    utility: int,
    trained: Sequence[str],
) -> UtilityJob:
    """Write the files as artifacts into a folder."""
    written = await write_model(workers, folder, spec, base, trained)
    (folder / "evaluation").write_bytes(evaluation)
    num_samples: list[int | None] = []
    for number, file in enumerate(files):
        weights = await load_weights(workers, file, written.spec)
        (folder / f"update-{number}").write_bytes(weights.tensors)
        num_samples.append(weights.num_samples)
    return UtilityJob(
        job_id=b"valuation".ljust(32, b"\0"),
        model=written.model,
        base=written.base,
        updates=tuple(folder / f"update-{number}" for number in range(len(files))),
        num_samples=complete_samples(files, num_samples),
        evaluation=folder / "evaluation",
        averaging=task_pb2.AVERAGING_RENORMALISED,
        empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
        utility=utility,
        frozen=written.frozen,
    )


class _UtilityGame:
    """The utility of an estimator that runs in a thread; the workers live in the event loop."""

    def __init__(
        self,
        workers: WorkerPool,
        job: UtilityJob,
        largest: int,
        errors: StandardErrorTracker,
        progress: ValuationProgress,
        report: ReportProgress,
    ) -> None:
        self._workers = workers
        self._job = job
        self._largest = largest
        self._errors = errors
        self._progress = progress
        self._report = report
        self._pace = EvaluationPace()
        self._attempted: float | None = None
        self._loop = asyncio.get_running_loop()

    def utility(self, coalitions: Coalitions) -> Floats:
        """Evaluate coalitions (m, n) to utilities (m,), 0 to 1, and report progress."""
        utilities, start = [], 0
        while start < len(coalitions):
            request = coalitions[start : start + self._workers.batch_size(self._job.job_id)]
            started = time.monotonic()
            evaluation = self._workers.evaluate(self._job.job_id, request)
            counts = asyncio.run_coroutine_threadsafe(evaluation, self._loop).result()
            self._pace.add(len(request), time.monotonic() - started)
            utilities.append(counts / self._largest)
            self._errors.add(len(request))
            start += len(request)
            self._report_progress()
        return np.concatenate(utilities)

    def report_attempt(self, attempt: shapley.Estimate) -> None:
        """Report the largest standard error of an attempt with a tolerance."""
        largest = float(attempt.std_errors.max())
        self._attempted = largest if largest < float("inf") else None
        self._report_progress()

    def _report_progress(self) -> None:
        done = self._errors.num_evaluated
        latest = self._errors.latest()
        self._report(
            replace(
                self._progress,
                num_evaluated=done,
                seconds_left=self._pace.predict(max(0, self._progress.max_evaluations - done)),
                std_error=self._attempted if latest is None else latest,
            )
        )
