"""A client's share of a round: some epochs of stochastic gradient descent on its own data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.aggregation import Weights
from fedcoin.learning.model.artifact_checks import check_evaluation_set, check_weights
from fedcoin.learning.model.spec import parse_spec

MAX_EPOCHS = 10_000
MAX_BATCH_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """How to train: passes over the data, examples a step, step size, seed of the order."""

    epochs: int = 5
    batch_size: int = 32
    learning_rate: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.epochs <= MAX_EPOCHS:
            raise _bad("epochs", self.epochs, f"1 to {MAX_EPOCHS}")
        if not 1 <= self.batch_size <= MAX_BATCH_SIZE:
            raise _bad("batch_size", self.batch_size, f"1 to {MAX_BATCH_SIZE}")
        if not 1e-6 <= self.learning_rate <= 1000:
            raise _bad("learning_rate", self.learning_rate, "0.000001 to 1000")


def train(
    spec_raw: bytes,
    base: Weights,
    x: npt.NDArray[np.generic],
    y: npt.NDArray[np.generic],
    plan: TrainingPlan,
    seed: int,
) -> dict[str, npt.NDArray[np.float32]]:
    """The weights after ``plan.epochs`` passes over ``x`` (m, *input_shape) and ``y`` (m,).

    Plain SGD on the cross-entropy, from ``base``. ``seed`` is the client's own and is added to the
    plan's: it fixes the order of examples and what dropout drops, so that the same call gives the
    same weights on the same machine. Raises the Refusals of ``spec``, ``check_weights`` and
    ``check_evaluation``, and NOT_FINITE when the training diverged.
    """
    spec = parse_spec(spec_raw)
    check_weights(spec, base, "base")
    check_evaluation_set(spec, x, y)
    keras = keras_runtime.load_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed((plan.seed + seed) % (1 << 32))
    model = keras_models.model_from_spec(spec_raw)
    keras_models.set_weights(model, base)
    model.compile(
        optimizer=keras.optimizers.SGD(float(plan.learning_rate)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=not _gives_chances(model)),
    )
    labels = y.astype(np.int64)
    model.fit(x, labels, batch_size=plan.batch_size, epochs=plan.epochs, verbose=0, shuffle=True)
    weights = keras_models.named_weights(model, spec)
    try:
        check_weights(spec, weights, "trained")
    except RefusalError as refusal:
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"the training diverged with a learning rate of {plan.learning_rate:g}; lower it "
            f"({refusal.message})",
            field="learning_rate",
        ) from refusal
    return weights


def _gives_chances(model: Any) -> bool:
    """True when the model ends in a softmax, False when it gives logits."""
    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    return getattr(activation, "__name__", type(last).__name__).lower() == "softmax"


def _bad(field: str, value: object, limit: str) -> RefusalError:
    return RefusalError(
        LearningCode.BAD_PLAN, f"{field} is {value}; it must be {limit}", field=field, limit=limit
    )
