"""Layers with weights of several models: each coalition's weights, and what they compute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedcoin.learning.evaluation.example_batches import Floats
from fedcoin.learning.model.aggregation import Weights
from fedcoin.learning.model.layers import Activation, BatchNorm, Conv, Dense, Layer, Scale


@dataclass(frozen=True, slots=True)
class StackedLayer:
    """One layer of several models: kernels (models, out, in), biases (models, out)."""

    kernels: Floats
    biases: Floats | None


@dataclass(frozen=True, slots=True)
class StackedBatchNorm:
    """One batch normalisation of several models, each array (models, channels)."""

    gammas: Floats | None
    betas: Floats | None
    means: Floats
    variances: Floats
    epsilon: float


def stack_layer(layer: Dense | Conv, models: Sequence[Weights]) -> StackedLayer:
    """A layer of all models.

    A convolution's inputs are (kernel columns, kernel rows, channels).
    """
    order = (1, 0) if isinstance(layer, Dense) else (3, 1, 0, 2)
    kernels = np.stack([model[layer.kernel].transpose(order) for model in models])
    flat = kernels.reshape(*kernels.shape[:2], -1).astype(np.float32)
    return StackedLayer(flat, _vectors(layer.bias, models))


def stack_batch_norm(layer: BatchNorm, models: Sequence[Weights]) -> StackedBatchNorm:
    """A batch normalisation of all models."""
    means, variances = _vectors(layer.mean, models), _vectors(layer.variance, models)
    assert means is not None
    assert variances is not None
    gammas, betas = _vectors(layer.gamma, models), _vectors(layer.beta, models)
    return StackedBatchNorm(gammas, betas, means, variances, layer.epsilon)


def _vectors(name: str, models: Sequence[Weights]) -> Floats | None:
    return np.stack([model[name] for model in models]).astype(np.float32) if name else None


def average_layer(stack: StackedLayer, coefficients: Floats) -> StackedLayer:
    """Each coalition's weights of one layer."""
    models, width, features = stack.kernels.shape
    kernels = (coefficients @ stack.kernels.reshape(models, -1)).reshape(-1, width, features)
    return StackedLayer(kernels, None if stack.biases is None else coefficients @ stack.biases)


def average_batch_norm(stack: StackedBatchNorm, coefficients: Floats) -> StackedLayer:
    """Each coalition's batch normalisation as x * kernels (models, channels, 1) + biases.

    The averages of gamma, beta, mean and variance come first: they are the averaged model's.
    """
    factors = 1 / np.sqrt(coefficients @ stack.variances + np.float32(stack.epsilon))
    if stack.gammas is not None:
        factors *= coefficients @ stack.gammas
    offsets = -(coefficients @ stack.means) * factors
    if stack.betas is not None:
        offsets += coefficients @ stack.betas
    return StackedLayer(factors[:, :, None], offsets)


def fold_batch_norm(stack: StackedLayer, normal: StackedLayer) -> StackedLayer:
    """A layer and the normalisation of its outputs as one."""
    biases = normal.biases
    if stack.biases is not None and biases is not None:
        biases = stack.biases * normal.kernels[:, :, 0] + biases
    return StackedLayer(stack.kernels * normal.kernels, biases)


def apply_layers(
    layers: Sequence[Layer], values: Floats, stacks: Sequence[StackedLayer], part: slice
) -> Floats:
    """Outputs (models, out, examples) of some models' layers for their inputs, or inputs' place.

    ``stacks`` are the Dense layers' in order, ``part`` which of their models these are.
    """
    left = iter(stacks)
    for layer in layers:
        if isinstance(layer, Dense):
            stack = next(left)
            values = np.matmul(stack.kernels[part], values)
            if stack.biases is not None:
                values += stack.biases[part, :, None]
        else:
            apply_in_place(layer, values)
    return values


def apply_in_place(layer: Layer, values: Floats) -> None:
    """Apply a layer without weights in place; values are (coalitions, features, examples)."""
    if isinstance(layer, Scale):
        values *= np.float32(layer.factor)
        values += np.float32(layer.offset)
        return
    assert isinstance(layer, Activation)
    if layer.name == "relu":
        # Several times as fast as with the number 0.
        np.maximum(values, np.zeros_like(values[:1]), out=values)
    elif layer.name == "tanh":
        np.tanh(values, out=values)
    elif layer.name == "sigmoid":
        # 1 / (1 + exp(-v)) by way of tanh, which cannot overflow.
        values *= np.float32(0.5)
        np.tanh(values, out=values)
        values += 1
        values *= np.float32(0.5)
    else:
        values -= values.max(axis=1, keepdims=True)
        np.exp(values, out=values)
        values /= values.sum(axis=1, keepdims=True)
