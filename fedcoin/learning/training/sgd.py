"""Train a model on one client's data: epochs of stochastic gradient descent (SGD)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.measures.target_checks import check_positions
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model import keras_models, keras_runtime
from fedcoin.learning.model.aggregation import NO_WEIGHTS, Weights
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import check_training_set
from fedcoin.learning.model.artifact_checks.weight_checks import check_weights
from fedcoin.learning.model.keras_format.output_kind import OutputKind, find_output_kind
from fedcoin.learning.model.layers import Layer
from fedcoin.learning.model.spec import is_onnx, parse_spec, weight_shapes
from fedcoin.learning.training.dense_sgd import fit_dense, read_dense_layers
from fedcoin.learning.training.loss_gradients import choose_loss
from fedcoin.learning.training.private_sgd import PrivacySettings, fit_privately
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.v1 import artifact_pb2


def train(
    spec_raw: bytes,
    base: Weights,
    x: npt.NDArray[np.generic],
    y: Targets,
    plan: TrainingPlan,
    seed: int,
    *,
    kind: TargetKind = TargetKind.CLASSES,
    allow_numpy: bool = True,
    frozen: Weights = NO_WEIGHTS,
    privacy: PrivacySettings | None = None,
) -> dict[str, npt.NDArray[np.float32]]:
    """Train from the base weights by plain SGD on the loss that fits the targets.

    Args:
        spec_raw: A serialised ModelSpec.
        base: float32 weights by name to start from; of a model with frozen weights, the others.
        x: Inputs (m, *input_shape), float32 or int32.
        y: Targets (m, ...): labels uint8, int32 or int64, or float32 numbers.
        plan: How to train.
        seed: The client's own seed. With the plan's it determines the order of the examples and
            what dropout drops, so that the same call gives the same weights on the same machine.
        kind: What the targets are, which decides the loss (`TargetKind`).
        allow_numpy: Train a model of dense layers by `dense_sgd`, without TensorFlow, and others by
            Keras; False trains all but ONNX graphs by Keras.
        frozen: float32 weights by name that stay as they are.
        privacy: Train by DP-SGD (`private_sgd`), whose numbers differ in each call; None for plain
            SGD.

    Returns:
        The trained weights by name, without the frozen ones.

    Raises:
        RefusalError: NOT_FINITE when the training diverged; NOT_TRAINABLE for an ONNX graph, or
            any model with `privacy`, of other layers than `read_dense_layers` reads;
            MODEL_TOO_LARGE, BAD_MODEL or FORBIDDEN_LAYER when the model is not accepted;
            WRONG_NAMES, WRONG_SHAPE, WRONG_DTYPE, OUT_OF_RANGE or LABEL_OUT_OF_RANGE when weights
            or examples do not fit it.
    """
    spec = parse_spec(spec_raw)
    check_weights(spec, base, "base")
    check_training_set(spec, x, y, kind)
    if kind is TargetKind.TOKENS and y.ndim == 1:
        x, y = x[y.astype(np.int64) >= 0], y[y.astype(np.int64) >= 0]
    may_be_dense = allow_numpy or privacy is not None or is_onnx(spec)
    layers = _read_trained_layers(spec, kind, y) if may_be_dense else None
    if privacy is not None:
        check_private(spec, kind, y)
        assert layers is not None
        weights = fit_privately(layers, base, x, y, plan, privacy, frozen, loss=choose_loss(kind))
    elif layers is not None:
        weights = fit_dense(layers, base, x, y, plan, seed, frozen, choose_loss(kind))
    elif is_onnx(spec):
        raise RefusalError(
            LearningCode.NOT_TRAINABLE,
            "of ONNX models only sequences of dense layers are trained here; train this one with "
            "the framework that it comes from, and hand in the weights",
            field="model",
        )
    else:
        weights = _fit_keras(spec_raw, base, x, y, plan, seed, frozen, kind)
    try:
        check_weights(spec, weights, "trained")
    except RefusalError as refusal:
        raise RefusalError(
            LearningCode.NOT_FINITE,
            f"the training diverged with a learning rate of {plan.learning_rate:g}; lower it"
            f"{_ADVICE.get(kind, '')} ({refusal.message})",
            field="learning_rate",
        ) from refusal
    return weights


def needs_keras(spec: artifact_pb2.ModelSpec, kind: TargetKind, y: Targets) -> bool:
    """Tell whether `train` imports TensorFlow for a model.

    Args:
        spec: The model, checked by `parse_spec`.
        kind: What the targets are.
        y: The targets (m, ...).

    Returns:
        False for sequences of dense layers and for ONNX graphs.

    Raises:
        RefusalError: A code of `read_dense_layers` when the architecture is not valid.
    """
    return not is_onnx(spec) and _read_trained_layers(spec, kind, y) is None


def _read_trained_layers(
    spec: artifact_pb2.ModelSpec, kind: TargetKind, y: Targets
) -> tuple[Layer, ...] | None:
    # The layers that `dense_sgd` can train; None where it cannot, as with targets by position.
    is_plain = y.ndim == 1 or kind is TargetKind.NUMBERS
    return read_dense_layers(spec, kind) if is_plain else None


_ADVICE = {
    TargetKind.NUMBERS: ", or bring the targets near -1 to 1 in the same way for all clients and "
    "the evaluation set"
}
"""What else helps against divergence."""


def check_private(
    spec: artifact_pb2.ModelSpec, kind: TargetKind = TargetKind.CLASSES, y: Targets | None = None
) -> None:
    """Check that a model can be trained by DP-SGD here.

    Args:
        spec: The model, checked by `parse_spec`.
        kind: What the targets are.
        y: The targets, if they are known: those for each position are not trained so.

    Raises:
        RefusalError: NOT_TRAINABLE when it has other layers than `read_dense_layers` reads.
    """
    has_positions = kind is TargetKind.TOKENS and y is not None and y.ndim > 1
    if has_positions or read_dense_layers(spec, kind) is None:
        raise RefusalError(
            LearningCode.NOT_TRAINABLE,
            "with --clip and --noise-multiplier only sequences of dense layers are trained here; "
            "train this model by a program of your own that has differential privacy, such as "
            "Opacus",
            field="model",
        )


def _fit_keras(
    spec_raw: bytes,
    base: Weights,
    x: npt.NDArray[np.generic],
    y: Targets,
    plan: TrainingPlan,
    seed: int,
    frozen: Weights,
    kind: TargetKind,
) -> dict[str, npt.NDArray[np.float32]]:
    keras = keras_runtime.load_keras()
    keras.backend.clear_session()
    keras.utils.set_random_seed((plan.seed + seed) % (1 << 32))
    model = keras_models.model_from_spec(spec_raw)
    check_positions(model.output_shape, y)
    spec = parse_spec(spec_raw)
    known = {**frozen, **base}
    keras_models.set_weights(model, {name: known[name] for name in weight_shapes(spec)})
    keras_models.freeze_variables(model, spec, frozen)
    targets: npt.NDArray[np.generic]
    if kind is TargetKind.NUMBERS:
        loss, targets = keras.losses.MeanSquaredError(), y.reshape(len(y), -1)
    else:
        has_logits = find_output_kind(model) is OutputKind.LOGITS
        ignored = -1 if kind is TargetKind.TOKENS else None
        loss = keras.losses.SparseCategoricalCrossentropy(has_logits, ignored)
        targets = y.astype(np.int64)
    model.compile(optimizer=keras.optimizers.SGD(float(plan.learning_rate)), loss=loss)
    model.fit(x, targets, batch_size=plan.batch_size, epochs=plan.epochs, verbose=0, shuffle=True)
    weights = keras_models.named_weights(model, spec)
    return {name: weights[name] for name in base}
