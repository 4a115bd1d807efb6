"""The functions that a worker process runs, and its open jobs, each with an evaluator.

They are called in the worker, by name (see `process`). A job that is open stays in memory until it
is closed or the process ends.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator
from fedcoin.learning.evaluation.devices import PROCESSOR, Device, find_gpu, wants_gpu
from fedcoin.learning.evaluation.example_batches import Inputs
from fedcoin.learning.evaluation.graph_evaluator import GraphEvaluator
from fedcoin.learning.evaluation.job import (
    ALL_EXAMPLES,
    Coalitions,
    Evaluator,
    ExampleShare,
    UtilityJob,
    check_coalitions,
)
from fedcoin.learning.evaluation.lone_updates import LONE_COALITIONS
from fedcoin.learning.evaluation.rounded_weights import (
    VARIANTS,
    change_weights,
    explain_spread,
    vary_digits,
)
from fedcoin.learning.measures.choice import PROBABILITY_UTILITIES, bind_measure
from fedcoin.learning.measures.class_scores import ProbabilityProbe
from fedcoin.learning.measures.measure import Facts, Measure, Statistics
from fedcoin.learning.measures.near_ties import explain_ties
from fedcoin.learning.measures.right_answers import explain_by_commonest
from fedcoin.learning.measures.terms import largest_utility
from fedcoin.learning.model.aggregation import Weights, client_weights
from fedcoin.learning.model.architecture import read_graph
from fedcoin.learning.model.artifact_checks import job_checks
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import (
    check_evaluation_set,
    open_evaluation_set,
)
from fedcoin.learning.model.artifact_checks.weight_checks import check_weights
from fedcoin.learning.model.frozen_weights import load_frozen
from fedcoin.learning.model.layers import Activation, Dense, Scale, sequential_layers
from fedcoin.learning.model.spec import is_onnx, parse_spec
from fedcoin.learning.model.work import MAX_COALITION_WORK, check_work
from fedcoin.v1 import artifact_pb2, task_pb2


@dataclass(frozen=True, slots=True)
class _OpenJob:
    job: UtilityJob
    evaluator: Evaluator


PROBED_EXAMPLES = 256
"""How many examples tell whether the base model gives probabilities or logits."""

MAX_STATISTICS_BYTES = 32 << 20
"""How many bytes the statistics of one batch of coalitions should take, in each worker."""

log = logging.getLogger(__name__)

_open_jobs: dict[bytes, _OpenJob] = {}


def ping() -> None:
    """Do nothing: the answer shows that the worker has started and imported this module."""


def open_job(job: UtilityJob, share: ExampleShare = ALL_EXAMPLES) -> int:
    """Load and check a job's files, unless the job is open already.

    Args:
        job: The job to open.
        share: The part of the examples to count on.

    Returns:
        The most coalitions that a call of `evaluate` should have, `Evaluator.max_coalitions`.

    Raises:
        RefusalError: The code of what is wrong with the model, weights or evaluation set, such as
            BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `load_evaluator`.
        OSError: A file cannot be read.
    """
    if job.job_id not in _open_jobs:
        _open_jobs[job.job_id] = _OpenJob(job, load_evaluator(job, share))
    evaluator = _open_jobs[job.job_id].evaluator
    row_bytes = 8 * evaluator.measure.num_statistics
    return min(evaluator.max_coalitions, max(1, MAX_STATISTICS_BYTES // row_bytes))


def close_job(job_id: bytes) -> None:
    """Free the memory of a job. Does nothing when the job is not open.

    Args:
        job_id: The job's id.
    """
    _open_jobs.pop(job_id, None)


def measure_facts(job_id: bytes) -> Facts:
    """Return what the measure of a job must know about the whole evaluation set.

    Args:
        job_id: The id of an open job.

    Returns:
        The measure's `facts`, from which `restore_measure` makes it in another process.

    Raises:
        RefusalError: UNKNOWN_JOB when the job is not open.
    """
    return _find_job(job_id).evaluator.measure.facts


def evaluate(job_id: bytes, coalitions: Coalitions) -> Statistics:
    """Sum up what coalitions' averaged models answer on the worker's share of the examples.

    Args:
        job_id: The id of an open job.
        coalitions: Bool (m, n), n the number of the job's clients.

    Returns:
        The statistics of the job's measure, int64 (m, k).

    Raises:
        RefusalError: UNKNOWN_JOB when the job is not open; BAD_COALITIONS when the coalitions are
            not bool or not (m, n).
    """
    entry = _find_job(job_id)
    rows = check_coalitions(coalitions, len(entry.job.updates))
    return entry.evaluator.sum_statistics(rows)


def count_near_ties(job_id: bytes, coalitions: Coalitions) -> Statistics:
    """Count near ties of coalitions' averaged models on the worker's share of the examples.

    Args:
        job_id: The id of an open job.
        coalitions: Bool (m, n).

    Returns:
        The near ties of each coalition's model, int64 (m, 1).

    Raises:
        RefusalError: UNKNOWN_JOB when the job is not open; BAD_COALITIONS as in `check_coalitions`.
    """
    entry = _find_job(job_id)
    return entry.evaluator.count_near_ties(check_coalitions(coalitions, len(entry.job.updates)))


def explain_rounding(job: UtilityJob) -> str:
    """Say how much of what a model answers rounding decides, without opening the job.

    Args:
        job: A job whose only update is the model, and whose files are loaded and checked.

    Returns:
        A sentence about its near ties or, where these are few, about how far its utility depends on
        the last digits of the weights; nothing where neither is much.

    Raises:
        RefusalError: The code of what is wrong with the model, weights or evaluation set, such as
            BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `load_evaluator`.
        OSError: A file cannot be read.
    """
    evaluator = load_evaluator(vary_digits(job))
    measure, num_examples = evaluator.measure, len(open_evaluation_set(job.evaluation)[1])
    is_answer = not measure.needs_values
    ties = int(evaluator.count_near_ties(VARIANTS[:1])[0, 0]) if is_answer else 0
    spread = int(np.ptp(evaluator.evaluate(VARIANTS)))
    largest = largest_utility(job.utility, num_examples)
    return explain_ties(ties, num_examples) or explain_spread(
        measure, spread, ties, num_examples, largest
    )


def measure_all(job: UtilityJob) -> int:
    """Compute the utility of the coalition of all clients, without opening the job.

    Args:
        job: The job, whose files are loaded and checked.

    Returns:
        The utility on all examples.

    Raises:
        RefusalError: The code of what is wrong with the model, weights or evaluation set, such as
            BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `load_evaluator`.
        OSError: A file cannot be read.
    """
    return int(load_evaluator(job).evaluate(np.ones((1, len(job.updates)), np.bool_))[0])


def measure_lone_update(job: UtilityJob) -> list[int]:
    """Compute the utilities of a base and of the only update of a job (`lone_updates`).

    Args:
        job: A job of `lone_updates.build_lone_job`, whose files are loaded and checked.

    Returns:
        The utilities of `LONE_COALITIONS`.

    Raises:
        RefusalError: The code of what is wrong with the model, weights or evaluation set, such as
            BAD_MODEL, WRONG_SHAPE or NOT_FINITE; all are listed at `load_evaluator`.
        OSError: A file cannot be read.
    """
    counts = load_evaluator(job).evaluate(LONE_COALITIONS)
    return [int(count) for count in counts]


def check_job(
    job: UtilityJob, aggregate: Path, evaluation_size: int, max_work: int = MAX_COALITION_WORK
) -> None:
    """Check that a job's files and its aggregate fit together.

    Args:
        job: The job, whose files are checked; it need not be open.
        aggregate: The tensors of the averaged weights.
        evaluation_size: How many examples the evaluation set must have.
        max_work: The largest number of multiply-adds of one coalition on the whole set.

    Raises:
        RefusalError: TOO_SLOW when the model takes more than `max_work`; MISSING_PACKAGE when an
            ONNX graph needs onnxruntime; a code of `job_checks.check_job_files`, such as BAD_MODEL,
            WRONG_SHAPE or WRONG_AGGREGATE, when a file is invalid or they do not fit together.
        OSError: A file cannot be read.
    """
    # First, so that nothing else is read for a model that would take for ever.
    spec = parse_spec(job.model.read_bytes())
    check_work(spec, evaluation_size, max_work)
    if is_onnx(spec) and read_graph(spec) is None:
        from fedcoin.learning.evaluation.onnx_evaluator import start_session

        # A validator that could not evaluate the task must not let it onto the chain.
        start_session(spec.onnx)
    load_frozen(spec, job.frozen)
    job_checks.check_job_files(
        job.model,
        job.base,
        aggregate,
        job.updates,
        job.evaluation,
        evaluation_size=evaluation_size,
        num_samples=client_weights(job.num_samples, job.averaging),
        groups=job.groups,
        similarity_limit=job.similarity_limit,
        utility=job.utility,
    )


def explain_base(evaluation: Path, base_count: int) -> str:
    """Compare a base model with the answer that is right most often (`explain_by_commonest`).

    Args:
        evaluation: The tensors `x` and `y` of the evaluation set, which was checked.
        base_count: The base model's right answers on it.

    Returns:
        A sentence, or nothing when the base model is better.

    Raises:
        OSError: The file cannot be read.
    """
    return explain_by_commonest(open_evaluation_set(evaluation)[1], base_count)


def load_evaluator(job: UtilityJob, share: ExampleShare = ALL_EXAMPLES) -> Evaluator:
    """Load a job's files, check them, and choose the fastest evaluator for its model.

    Args:
        job: The job, whose files are read.
        share: The part of the examples to count on.

    Returns:
        A `DenseEvaluator` for a sequence of dense layers that are all trained, a `GraphEvaluator`
        for other models that NumPy can compute, otherwise an `OnnxEvaluator`, which imports
        onnxruntime, or a `KerasEvaluator`, which imports TensorFlow. For every Keras model the
        last, where the environment asks for a GPU (`devices`).

    Raises:
        RefusalError: MODEL_TOO_LARGE, BAD_MODEL or FORBIDDEN_LAYER when the model is not accepted;
            BAD_TENSOR, WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or OUT_OF_RANGE when
            weights or examples are invalid; WRONG_SIZE, LABEL_OUT_OF_RANGE or UNFIT_MEASURE when
            the evaluation set does not fit the task; MISSING_PACKAGE when an ONNX graph needs
            onnxruntime.
        OSError: A file cannot be read.
    """
    spec = parse_spec(job.model.read_bytes())
    base: Weights = decode_tensors(job.base.read_bytes())
    updates: list[Weights] = [decode_tensors(path.read_bytes()) for path in job.updates]
    x, y = open_evaluation_set(job.evaluation)
    check_weights(spec, base, "base")
    for client, update in enumerate(updates):
        check_weights(spec, update, f"updates[{client}]")
    check_evaluation_set(spec, x, y, utility=job.utility)
    frozen = load_frozen(spec, job.frozen)

    are_probabilities = False
    if job.utility in PROBABILITY_UTILITIES:
        # All workers ask about the same examples, whatever their share.
        asked = replace(job, empty=task_pb2.EMPTY_COALITION_BASE_MODEL)
        few = slice(PROBED_EXAMPLES)
        probe = _build_evaluator(
            spec, base, updates, x[few], y[few], asked, ALL_EXAMPLES, ProbabilityProbe(), frozen
        )
        are_probabilities = bool(probe.evaluate(np.zeros((1, len(updates)), np.bool_))[0])
    measure = bind_measure(job.utility, y, spec.num_classes, are_probabilities=are_probabilities)
    base = change_weights(base, job.rounding, len(updates))
    updates = [change_weights(update, job.rounding, k) for k, update in enumerate(updates)]
    frozen = change_weights(frozen, job.rounding, len(updates) + 1)
    return _build_evaluator(spec, base, updates, x, y, job, share, measure, frozen)


def _build_evaluator(
    spec: artifact_pb2.ModelSpec,
    base: Weights,
    updates: Sequence[Weights],
    x: Inputs,
    y: npt.NDArray[np.generic],
    job: UtilityJob,
    share: ExampleShare,
    measure: Measure,
    frozen: Weights,
) -> Evaluator:
    is_for_gpu = wants_gpu() and not is_onnx(spec)
    graph = None if is_for_gpu else read_graph(spec)
    if graph is not None:
        layers = None if frozen else sequential_layers(graph)
        if layers and all(isinstance(layer, (Dense, Scale, Activation)) for layer in layers):
            return DenseEvaluator(layers, base, updates, x, y, job, share, measure)
        return GraphEvaluator(graph, base, updates, x, y, job, share, measure, frozen)
    if is_onnx(spec):
        from fedcoin.learning.evaluation.onnx_evaluator import OnnxEvaluator

        return OnnxEvaluator(spec, base, updates, x, y, job, share, measure, frozen)
    from fedcoin.learning.evaluation.keras_evaluator import KerasEvaluator

    device = _choose_device()
    return KerasEvaluator(spec, base, updates, x, y, job, share, measure, frozen, device)


def _choose_device() -> Device:
    """Return the GPU, or the processor where the environment asks for none or there is none.

    Without a GPU, TensorFlow still evaluates what it would evaluate with one: evaluators of other
    classes cut the evaluation set in other places, and would not fit beside workers with a GPU.
    """
    if not wants_gpu():
        return PROCESSOR
    gpu = find_gpu()
    if gpu is None:
        # Not a refusal, for which a validator would hold the task for a bad one.
        log.warning("TensorFlow finds no GPU; it evaluates on the processor, which is slow")
    return gpu or PROCESSOR


def _find_job(job_id: bytes) -> _OpenJob:
    entry = _open_jobs.get(job_id)
    if entry is None:
        raise unknown_job_error(job_id)
    return entry


def unknown_job_error(job_id: bytes) -> RefusalError:
    """Describe a request about a job that is not open.

    Args:
        job_id: The id that was asked about.

    Returns:
        A refusal with code UNKNOWN_JOB.
    """
    return RefusalError(
        LearningCode.UNKNOWN_JOB,
        f"job {job_id.hex()[:16]} is not open; open it before asking for its utilities",
        field="job_id",
    )
