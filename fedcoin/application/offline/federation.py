"""Train and value a federation from arrays in this process: no chain, no files, no TensorFlow.

Every client trains a dense network by NumPy on its own examples. The average of the trained weights
is the next round's base (FedAvg). The utility of a coalition is the accuracy of the average of its
members' weights, and that of no client the accuracy of the round's base. Other measures of labels
can take the accuracy's place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedcoin import shapley
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator
from fedcoin.learning.evaluation.job import Coalitions, UtilityJob
from fedcoin.learning.measures.choice import bind_measure
from fedcoin.learning.measures.target_checks import check_targets
from fedcoin.learning.measures.terms import largest_utility
from fedcoin.learning.model.aggregation import federated_average
from fedcoin.learning.model.layers import Activation, Dense, Layer
from fedcoin.learning.training.dense_sgd import fit_dense
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.v1 import task_pb2

Array = npt.NDArray[np.generic]
Weights = dict[str, npt.NDArray[np.float32]]

_DEFAULT_PLAN = TrainingPlan()
_MAX_CLASSES = 100_000


@dataclass(frozen=True, slots=True)
class FederationValuation:
    """The Shapley values of a federation's clients."""

    rounds: tuple[shapley.Estimate, ...]
    """The values of each round, in units of accuracy (0 to 1)."""
    total: shapley.RoundSum
    """Their sum over the rounds; all clients together have the gain of the last model over the
    initial one."""
    accuracies: tuple[float, ...]
    """Accuracy of the initial model and of each round's average, 0 to 1."""
    utilities: tuple[shapley.RecordedUtility, ...]
    """Each round's utility with its evaluations, for other values; holds the round's weights."""


@dataclass(frozen=True, slots=True)
class _Examples:
    x: npt.NDArray[np.float32]
    """(m, features)."""
    y: npt.NDArray[np.int64]
    """(m,)."""


def value_federation(
    x_parts: Sequence[Array],
    y_parts: Sequence[Array],
    x_test: Array,
    y_test: Array,
    *,
    hidden_units: Sequence[int] = (128,),
    rounds: int = 1,
    method: str = "auto",
    budget: int | None = None,
    seed: int = 0,
    plan: TrainingPlan = _DEFAULT_PLAN,
    utility: int = task_pb2.UTILITY_ACCURACY,
) -> FederationValuation:
    """Train a federation and compute the Shapley values of its clients.

    Args:
        x_parts: Each client's inputs, (m_k, ...) numbers, which become float32 as they are; scale
            pixels to about 0 to 1.
        y_parts: Each client's labels, (m_k,) integers from 0.
        x_test: The inputs of the evaluation set, (m, ...).
        y_test: The labels of the evaluation set, (m,) integers from 0.
        hidden_units: Units of each hidden layer, with ReLU; the default is the model `mlp`.
        rounds: Number of rounds, at least 1.
        method: A key of `shapley.METHODS`, or `auto`.
        budget: The limit on distinct coalitions to evaluate in each round; None for the method's
            default.
        seed: Seeds initial weights, the order of examples and the choice of coalitions.
        plan: How each client trains in a round.
        utility: What models are measured by: a value of the enum `Utility` that is about labels.

    Returns:
        The values of the rounds and their sum. Equal arguments give equal values on one machine.

    Raises:
        RefusalError: NO_CLIENTS, WRONG_SHAPE, WRONG_DTYPE, NOT_FINITE or LABEL_OUT_OF_RANGE when
            the arrays are none as above; NOT_FINITE when the training diverged; BAD_ARGUMENT when
            `rounds` or `hidden_units` is below 1; BAD_METHOD or BAD_BUDGET when the method is
            unknown or needs a larger budget; BAD_GAME when there are too many clients for it.
    """
    if rounds < 1 or min(hidden_units, default=1) < 1:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"rounds is {rounds} and hidden_units {tuple(hidden_units)}; all must be at least 1",
            field="rounds",
            limit="1",
        )
    clients, test = _read_parts(x_parts, y_parts, x_test, y_test)
    check_targets(utility, test.y, max(2, 1 + int(test.y.max())))
    shapley.plan(len(clients), method, budget)  # refuses before anything is trained
    num_classes = 1 + max(int(part.y.max()) for part in [*clients, test])
    widths = [test.x.shape[1], *hidden_units, max(num_classes, 2)]
    layers, base = _build_network(widths, seed)
    num_samples = tuple(len(part.y) for part in clients)
    estimates, utilities = [], []
    for number in range(rounds):
        updates = [
            _train(layers, base, part, plan, _mix_seeds(seed, number, client), client)
            for client, part in enumerate(clients)
        ]
        game = _UtilityGame(layers, base, updates, num_samples, test, utility)
        recorded = shapley.RecordedUtility(game)
        # A seed of its own makes the rounds' errors independent.
        estimates.append(
            shapley.estimate(
                recorded, len(clients), method, budget, _mix_seeds(seed, number, len(clients))
            )
        )
        utilities.append(recorded)
        base = federated_average(updates, num_samples)
    nobody, everybody = np.zeros((1, len(clients)), np.bool_), np.ones((1, len(clients)), np.bool_)
    accuracies = [utilities[0](nobody), *(recorded(everybody) for recorded in utilities)]
    return FederationValuation(
        tuple(estimates),
        shapley.add_rounds(estimates),
        tuple(float(accuracy[0]) for accuracy in accuracies),
        tuple(utilities),
    )


class _UtilityGame:
    """The utility of coalitions' averaged weights, 0 to 1."""

    def __init__(
        self,
        layers: Sequence[Layer],
        base: Weights,
        updates: Sequence[Weights],
        num_samples: tuple[int, ...],
        test: _Examples,
        utility: int,
    ) -> None:
        # The evaluator reads no files: the paths are not used.
        job = UtilityJob(
            job_id=b"federation",
            model=Path(),
            base=Path(),
            updates=(Path(),) * len(updates),
            num_samples=num_samples,
            evaluation=Path(),
            averaging=task_pb2.AVERAGING_RENORMALISED,
            empty=task_pb2.EMPTY_COALITION_BASE_MODEL,
            utility=utility,
        )
        last = layers[-1]
        assert isinstance(last, Dense)
        # The network has no softmax: its outputs are logits.
        measure = bind_measure(utility, test.y, base[last.kernel].shape[1], are_probabilities=False)
        self._evaluator = DenseEvaluator(
            layers, base, updates, test.x, test.y, job, measure=measure
        )
        self._largest = largest_utility(utility, len(test.y))

    def __call__(self, coalitions: Coalitions) -> npt.NDArray[np.float64]:
        step = self._evaluator.max_coalitions
        counts = [
            self._evaluator.evaluate(coalitions[start : start + step])
            for start in range(0, len(coalitions), step)
        ]
        utilities: npt.NDArray[np.float64] = np.concatenate(counts) / self._largest
        return utilities


def _build_network(widths: Sequence[int], seed: int) -> tuple[list[Layer], Weights]:
    """Build dense layers with ReLU between them, and initial weights as Keras draws them.

    Source of the weights: Glorot, Bengio, "Understanding the difficulty of training deep
    feedforward neural networks", AISTATS 2010 (uniform); biases are 0.
    """
    rng = np.random.default_rng(_mix_seeds(seed))
    layers: list[Layer] = []
    weights: Weights = {}
    for number, (inputs, units) in enumerate(pairwise(widths)):
        kernel, bias = f"dense_{number}/kernel", f"dense_{number}/bias"
        limit = float(np.sqrt(6 / (inputs + units)))
        weights[kernel] = rng.uniform(-limit, limit, (inputs, units)).astype(np.float32)
        weights[bias] = np.zeros(units, np.float32)
        layers += [Activation("relu")] if number else []
        layers.append(Dense(kernel, bias))
    return layers, weights


def _train(
    layers: Sequence[Layer],
    base: Weights,
    part: _Examples,
    plan: TrainingPlan,
    seed: int,
    client: int,
) -> Weights:
    weights = fit_dense(layers, base, part.x, part.y, plan, seed)
    if not all(np.isfinite(array).all() for array in weights.values()):
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"the training of client {client} diverged with a learning rate of "
            f"{plan.learning_rate:g}; lower it",
            field="learning_rate",
        )
    return weights


def _mix_seeds(*seeds: int) -> int:
    """Make one seed of several, so that no two clients and rounds share a random sequence."""
    return int(np.random.SeedSequence([abs(seed) for seed in seeds]).generate_state(1)[0])


def _read_parts(
    x_parts: Sequence[Array], y_parts: Sequence[Array], x_test: Array, y_test: Array
) -> tuple[list[_Examples], _Examples]:
    if not x_parts or len(x_parts) != len(y_parts):
        raise RefusalError(
            LearningCode.NO_CLIENTS,
            f"there are inputs of {len(x_parts)} clients and labels of {len(y_parts)}; give both "
            "for at least one client",
            field="x_parts",
        )
    shape = np.shape(x_test)[1:]
    test = _read_examples(x_test, y_test, shape, "the evaluation set")
    clients = [
        _read_examples(x, y, shape, f"client {client}")
        for client, (x, y) in enumerate(zip(x_parts, y_parts, strict=True))
    ]
    return clients, test


def _read_examples(x: Array, y: Array, shape: tuple[int, ...], owner: str) -> _Examples:
    inputs, labels = np.asarray(x), np.asarray(y)
    if labels.ndim != 1 or not len(labels) or inputs.shape != (len(labels), *shape) or not shape:
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            f"{owner} has inputs of shape {inputs.shape} and labels of shape {labels.shape}; they "
            f"must be (m, {', '.join(map(str, shape)) or 'features'}) and (m,), m at least 1",
            field=owner,
        )
    if inputs.dtype.kind not in "fiub" or labels.dtype.kind not in "iu":
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"{owner} has inputs of {inputs.dtype} and labels of {labels.dtype}; inputs must be "
            "real numbers and labels integers",
            field=owner,
        )
    with np.errstate(over="ignore"):
        numbers = inputs.reshape(len(labels), -1).astype(np.float32)
    if not np.isfinite(numbers).all():
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"{owner} has an input that is not a finite float32; remove or scale it",
            field=owner,
        )
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= _MAX_CLASSES:
        raise RefusalError(
            LearningCode.LABEL_OUT_OF_RANGE,
            f"{owner} has the label {low if low < 0 else high}; labels are 0 to {_MAX_CLASSES - 1}",
            field=owner,
            limit=str(_MAX_CLASSES - 1),
        )
    return _Examples(numbers, labels.astype(np.int64))
