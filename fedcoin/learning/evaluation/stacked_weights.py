"""One layer of many models at once: stacked weights, their averages, and what the layer computes.

Notation: `q` models (the clients' and, last, the base), `m` coalitions; `A`, float32 (m, q), the
coefficients of the models in each coalition's average (`coefficients`).

A layer's weights are stacked over models as kernels (q, out, in) and biases (q, out). The weights
of all coalitions' averaged models are then one matrix product, `A` by the flattened stack. A stack
of frozen weights, which all models share, has one entry; every coalition sees that one.

Batch normalisation outside training maps x to (x - mean) / sqrt(variance + epsilon) * gamma + beta
(Ioffe and Szegedy, arXiv:1502.03167, Algorithm 2, with the moving averages). It is not linear in
the variance, so the four vectors are averaged first and the factor is computed from the averages:
the normalisation of the averaged model is not the average of the models' normalisations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedcoin.learning.evaluation.example_batches import Floats
from fedcoin.learning.model.aggregation import NO_WEIGHTS, Weights
from fedcoin.learning.model.layers import Activation, BatchNorm, Conv, Dense, Layer, Scale


@dataclass(frozen=True, slots=True)
class StackedLayer:
    """The weights of one layer in several models; in one where they are frozen."""

    kernels: Floats
    """float32 (models, out, in)."""
    biases: Floats | None
    """float32 (models, out); None for a layer without biases."""


@dataclass(frozen=True, slots=True)
class StackedBatchNorm:
    """One batch normalisation of several models; each array float32 (models, channels)."""

    gammas: Floats | None
    """None for a normalisation without factors."""
    betas: Floats | None
    """None for a normalisation without offsets."""
    means: Floats
    variances: Floats
    epsilon: float
    """Added to the variances (`layers.BatchNorm`)."""


def stack_layer(
    layer: Dense | Conv, models: Sequence[Weights], frozen: Weights = NO_WEIGHTS
) -> StackedLayer:
    """Stack the weights of a dense layer or a convolution.

    Args:
        layer: Names the weights.
        models: float32 weights by name, one mapping for each model.
        frozen: float32 weights by name that all models share.

    Returns:
        The stack. The inputs of a convolution's kernel are flattened from (kernel columns, kernel
        rows, channels), the order in which `convolution` lays out the covered inputs.
    """
    order: tuple[int, ...]
    if isinstance(layer, Dense):
        order = (0, 1) if layer.has_units_first else (1, 0)
    else:
        order = (0, 3, 2, 1) if layer.has_filters_first else (3, 1, 0, 2)
    arrays = _find(layer.kernel, models, frozen)
    kernels = np.stack([array.transpose(order) for array in arrays])
    flat = kernels.reshape(*kernels.shape[:2], -1).astype(np.float32)
    return StackedLayer(flat, _stack_vectors(layer.bias, models, frozen))


def stack_batch_norm(
    layer: BatchNorm, models: Sequence[Weights], frozen: Weights = NO_WEIGHTS
) -> StackedBatchNorm:
    """Stack the vectors of a batch normalisation.

    Args:
        layer: Names the vectors.
        models: float32 weights by name, one mapping for each model.
        frozen: float32 weights by name that all models share.

    Returns:
        Arrays float32 (models, channels); None for factors or offsets that the layer does not have.
    """
    means = _stack_vectors(layer.mean, models, frozen)
    variances = _stack_vectors(layer.variance, models, frozen)
    assert means is not None
    assert variances is not None
    gammas = _stack_vectors(layer.gamma, models, frozen)
    betas = _stack_vectors(layer.beta, models, frozen)
    return StackedBatchNorm(gammas, betas, means, variances, layer.epsilon)


def _stack_vectors(name: str, models: Sequence[Weights], frozen: Weights) -> Floats | None:
    if not name:
        return None
    arrays = _find(name, models, frozen)
    return np.stack([array.reshape(-1) for array in arrays]).astype(np.float32)


def _find(name: str, models: Sequence[Weights], frozen: Weights) -> list[npt.NDArray[np.generic]]:
    """List a weight of each model, or once where it is frozen."""
    return [frozen[name]] if name in frozen else [model[name] for model in models]


def _average(stack: Floats, coefficients: Floats) -> Floats:
    """Average a stack (q, ...) for each coalition; a frozen one is repeated without a copy."""
    if len(stack) == 1:
        return np.broadcast_to(stack, (len(coefficients), *stack.shape[1:]))
    averages: Floats = coefficients @ stack.reshape(len(stack), -1)
    return averages.reshape(-1, *stack.shape[1:])


def average_layer(stack: StackedLayer, coefficients: Floats) -> StackedLayer:
    """Average a layer's weights for each coalition.

    Args:
        stack: The layer in q models.
        coefficients: What each of q models counts in each of m averages, float32 (m, q).

    Returns:
        The layer in the averaged models of m coalitions.
    """
    biases = None if stack.biases is None else _average(stack.biases, coefficients)
    return StackedLayer(_average(stack.kernels, coefficients), biases)


def average_batch_norm(stack: StackedBatchNorm, coefficients: Floats) -> StackedLayer:
    """Average a batch normalisation for each coalition, as a factor and an offset by channel.

    Args:
        stack: The batch normalisation in q models.
        coefficients: What each of q models counts in each of m averages, float32 (m, q).

    Returns:
        Kernels float32 (m, channels, 1) and biases float32 (m, channels): x * kernels + biases is
        the normalisation of each averaged model.
    """
    deviations: Floats = np.sqrt(
        _average(stack.variances, coefficients) + np.float32(stack.epsilon)
    )
    factors: Floats = np.float32(1) / deviations
    if stack.gammas is not None:
        factors *= _average(stack.gammas, coefficients)
    offsets: Floats = -_average(stack.means, coefficients) * factors
    if stack.betas is not None:
        offsets += _average(stack.betas, coefficients)
    return StackedLayer(factors[:, :, None], offsets)


def fold_batch_norm(layer: StackedLayer, norm: StackedLayer) -> StackedLayer:
    """Merge a layer and the batch normalisation of its outputs into one layer.

    Args:
        layer: Kernels (m, out, in) and biases (m, out), float32.
        norm: What `average_batch_norm` returned for the same coalitions, with channels = out.

    Returns:
        A layer that computes both.
    """
    biases = norm.biases
    if layer.biases is not None and biases is not None:
        biases = layer.biases * norm.kernels[:, :, 0] + biases
    return StackedLayer(layer.kernels * norm.kernels, biases)


def apply_layers(
    layers: Sequence[Layer], values: Floats, stacks: Sequence[StackedLayer], rows: slice
) -> Floats:
    """Compute a sequence of dense and elementwise layers for several coalitions.

    Args:
        layers: `Dense`, `Scale` and `Activation` layers.
        values: float32 (coalitions, features, examples), the inputs; overwritten.
        stacks: The averaged weights of the dense layers, in their order.
        rows: The indices, within `stacks`, of the models of these coalitions.

    Returns:
        The outputs of the last layer, float32 (coalitions, out, examples).
    """
    remaining_stacks = iter(stacks)
    for layer in layers:
        if isinstance(layer, Dense):
            stack = next(remaining_stacks)
            values = np.matmul(stack.kernels[rows], values)
            if stack.biases is not None:
                values += stack.biases[rows, :, None]
        else:
            apply_in_place(layer, values)
    return values


def apply_in_place(layer: Layer, values: Floats) -> None:
    """Apply a `Scale` or an `Activation` to values and store the result in them.

    Args:
        layer: The layer. Softmax runs over the features.
        values: float32 (coalitions, features, examples).
    """
    if isinstance(layer, Scale):
        values *= np.float32(layer.factor)
        values += np.float32(layer.offset)
        return
    assert isinstance(layer, Activation)
    if layer.name == "relu":
        # Zeros of the batch's shape: a quarter less time than the number 0 takes (NumPy 2.4).
        np.maximum(values, np.zeros_like(values[:1]), out=values)
    elif layer.name == "tanh":
        np.tanh(values, out=values)
    elif layer.name == "sigmoid":
        # 1 / (1 + exp(-v)) = (1 + tanh(v / 2)) / 2, which cannot overflow.
        values *= np.float32(0.5)
        np.tanh(values, out=values)
        values += 1
        values *= np.float32(0.5)
    elif layer.name == "log_softmax":
        values -= values.max(axis=1, keepdims=True)
        values -= np.log(np.exp(values).sum(axis=1, keepdims=True))
    elif layer.name == "softmax":
        values -= values.max(axis=1, keepdims=True)
        np.exp(values, out=values)
        values /= values.sum(axis=1, keepdims=True)
