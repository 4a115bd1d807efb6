"""The layers after the first: each coalition's weights, and their outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedcoin.learning.aggregation import Weights
from fedcoin.learning.architecture import Activation, Dense, PlainLayer, Scale
from fedcoin.learning.blocks import Floats


@dataclass(frozen=True, slots=True)
class Stack:
    """One Dense layer of several models: kernels (models, out, in), biases (models, out)."""

    kernels: Floats
    biases: Floats | None


def stack_of(layer: Dense, models: Sequence[Weights]) -> Stack:
    """A layer of all models."""
    kernels = np.stack([model[layer.kernel].T for model in models]).astype(np.float32)
    if not layer.bias:
        return Stack(kernels, None)
    return Stack(kernels, np.stack([model[layer.bias] for model in models]).astype(np.float32))


def average(stack: Stack, coefficients: Floats) -> Stack:
    """Each coalition's weights of one layer."""
    models, width, features = stack.kernels.shape
    kernels = (coefficients @ stack.kernels.reshape(models, -1)).reshape(-1, width, features)
    return Stack(kernels, None if stack.biases is None else coefficients @ stack.biases)


def forward(
    layers: Sequence[PlainLayer], values: Floats, stacks: Sequence[Stack], part: slice
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
            apply(layer, values)
    return values


def without_last_softmax(layers: Sequence[PlainLayer]) -> Sequence[PlainLayer]:
    """The same order of outputs without the last softmax: it rises with each of them."""
    return layers[:-1] if layers and layers[-1] == Activation("softmax") else layers


def apply(layer: PlainLayer, values: Floats) -> None:
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
