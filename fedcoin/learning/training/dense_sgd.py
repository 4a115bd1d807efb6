"""Stochastic gradient descent in NumPy, for models that are a sequence of dense layers.

It needs no TensorFlow, and for small models little time beside the arithmetic. The steps are those
of `sgd.train`, but the order of the examples is another one, so that weights differ from Keras' as
those of another seed do. From the same batch both compute the same step, up to rounding.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fedcoin.learning.measures.measure import Targets
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model.aggregation import NO_WEIGHTS, Weights
from fedcoin.learning.model.architecture import read_graph
from fedcoin.learning.model.layers import (
    Activation,
    Dense,
    Layer,
    Scale,
    is_softmax,
    sequential_layers,
)
from fedcoin.learning.training.loss_gradients import Floats, LossGradient, cross_entropy
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.v1 import artifact_pb2

_INNER_ACTIVATIONS = ("linear", "relu", "tanh", "sigmoid")


def read_dense_layers(
    spec: artifact_pb2.ModelSpec, kind: TargetKind = TargetKind.CLASSES
) -> tuple[Layer, ...] | None:
    """Read a model that this module can train.

    Args:
        spec: The model, checked by `spec.check_spec`.
        kind: What the targets are.

    Returns:
        Its layers up to the logits, or None when it has layers other than dense ones, scales and
        activations, a softmax before its end, or outputs that are neither logits nor a softmax.
        For targets that are numbers all its layers, or None when it has others or a softmax.

    Raises:
        RefusalError: WRONG_SHAPE when the architecture's weights are not those that the spec lists;
            BAD_MODEL when its width is not `num_classes` or an ONNX graph's operators do not fit
            together; WRONG_DTYPE when one of its values has a type that is not allowed.
    """
    graph = read_graph(spec)
    layers = sequential_layers(graph) if graph is not None else None
    if not layers:
        return None
    if kind is TargetKind.NUMBERS:
        pass
    elif is_softmax(layers[-1]):
        layers = layers[:-1]
    else:
        # Whether other outputs are logits is found out by evaluating, which Keras does.
        last = layers[-1] if layers else None
        if not isinstance(last, Dense) and last not in (Activation("relu"), Activation("tanh")):
            return None
    for layer in layers:
        is_inner = isinstance(layer, Activation) and layer.name in _INNER_ACTIVATIONS
        if not (is_inner or isinstance(layer, (Dense, Scale))):
            return None
    return tuple(layers)


def fit_dense(
    layers: Sequence[Layer],
    base: Weights,
    x: npt.NDArray[np.generic],
    y: Targets,
    plan: TrainingPlan,
    seed: int,
    frozen: Weights = NO_WEIGHTS,
    loss: LossGradient = cross_entropy,
) -> dict[str, Floats]:
    """Train by plain SGD.

    Args:
        layers: The layers up to the logits or numbers, from `read_dense_layers`.
        base: float32 weights by name to start from.
        x: Inputs (m, ...), float32 or int32, which are flattened.
        y: Targets (m, ...) that the loss takes, such as labels int64 (m,).
        plan: How to train.
        seed: The client's own seed, which is added to the plan's.
        frozen: float32 weights by name that stay as they are.
        loss: The gradient of the loss that is minimised.

    Returns:
        The trained weights by name, in the order of `base`; not finite when the training diverged.
    """
    weights = {name: np.array(array, np.float32) for name, array in {**frozen, **base}.items()}
    layers, inputs = prepare_inputs(layers, weights, x)
    rng = np.random.Generator(np.random.PCG64((plan.seed + seed) % (1 << 32)))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(plan.epochs):
            order = rng.permutation(len(y))
            for start in range(0, len(y), plan.batch_size):
                rows = order[start : start + plan.batch_size]
                found = backpropagate(layers, weights, inputs[rows], y[rows], len(rows), loss)
                _step(found, weights, frozen, plan.learning_rate)
    return {name: weights[name] for name in base}


def _step(
    found: Sequence[tuple[Dense, Floats, Floats]],
    weights: dict[str, Floats],
    frozen: Collection[str],
    learning_rate: float,
) -> None:
    """Change the weights by one step against the gradient of the batch's mean loss."""
    rate = np.float32(learning_rate)
    for layer, inputs, gradient in found:
        if layer.kernel not in frozen:
            kernel = view_kernel(layer, weights)
            kernel -= rate * (inputs.T @ gradient)  # changes the weight, being its view
        if layer.bias and layer.bias not in frozen:
            weights[layer.bias] -= rate * gradient.sum(axis=0)


def prepare_inputs(
    layers: Sequence[Layer], weights: dict[str, Floats], x: npt.NDArray[np.generic]
) -> tuple[Sequence[Layer], Floats]:
    """Apply the scales before the first layer with weights, which are the same in every step.

    Args:
        layers: The layers up to the logits, from `read_dense_layers`.
        weights: float32 weights by name.
        x: Inputs (m, ...), which are flattened.

    Returns:
        The other layers, and what the first of them gets, (m, features).
    """
    inputs = np.ascontiguousarray(x.reshape(len(x), -1), np.float32)
    first = next(index for index, layer in enumerate(layers) if not isinstance(layer, Scale))
    for layer in layers[:first]:
        inputs = _forward(layer, weights, inputs)
    return layers[first:], inputs


def backpropagate(
    layers: Sequence[Layer],
    weights: dict[str, Floats],
    x: Floats,
    y: Targets,
    divisor: int,
    loss: LossGradient = cross_entropy,
) -> list[tuple[Dense, Floats, Floats]]:
    """Compute the gradient of the batch's summed loss at each dense layer's outputs.

    An example's gradient for a kernel is the outer product of its row of inputs and its row of the
    gradient; that for a bias is the latter.

    Args:
        layers: The layers up to the logits or numbers, the first of which has weights.
        weights: float32 weights by name.
        x: What the first layer gets, (m, features).
        y: Targets (m, ...) that the loss takes.
        divisor: What the loss is divided by, such as m for the mean.
        loss: Its gradient at the outputs.

    Returns:
        Each dense layer, the last one first, with its inputs (m, in) and the gradient at its
        outputs (m, units).
    """
    values = [x]
    for layer in layers:
        values.append(_forward(layer, weights, values[-1]))
    gradient = loss(values[-1], y) / np.float32(divisor)
    found = []
    for index in range(len(layers) - 1, -1, -1):
        layer = layers[index]
        if isinstance(layer, Dense):
            found.append((layer, values[index], gradient))
            # The gradient of the first layer's inputs is not needed.
            gradient = gradient @ view_kernel(layer, weights).T if index else gradient
        elif isinstance(layer, Scale):
            gradient = gradient * np.float32(layer.factor)
        elif isinstance(layer, Activation):
            gradient = gradient * _slope(layer.name, values[index + 1])
    return found


def view_kernel(layer: Dense, weights: Mapping[str, Floats]) -> Floats:
    """View a layer's kernel with its inputs first, whatever order the weight has.

    Args:
        layer: Names the weight, and says which of its axes comes first.
        weights: float32 weights by name.

    Returns:
        The kernel as (in, units); a change of it changes the weight.
    """
    kernel = weights[layer.kernel]
    return kernel.T if layer.has_units_first else kernel


def _forward(layer: Layer, weights: dict[str, Floats], x: Floats) -> Floats:
    if isinstance(layer, Dense):
        outputs: Floats = x @ view_kernel(layer, weights)
        if layer.bias:
            outputs += weights[layer.bias]
        return outputs
    if isinstance(layer, Scale):
        return x * np.float32(layer.factor) + np.float32(layer.offset)
    assert isinstance(layer, Activation)
    if layer.name == "relu":
        return np.maximum(x, np.float32(0))
    if layer.name == "tanh":
        return np.tanh(x)
    if layer.name == "sigmoid":
        return np.float32(1) / (np.float32(1) + np.exp(-x))
    return x


def _slope(name: str, outputs: Floats) -> Floats:
    """Return an activation's derivative, from its outputs."""
    if name == "relu":
        return (outputs > 0).astype(np.float32)
    if name == "tanh":
        return np.float32(1) - outputs * outputs
    if name == "sigmoid":
        return outputs * (np.float32(1) - outputs)
    return np.ones_like(outputs)
