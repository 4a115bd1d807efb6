"""Find out by evaluating whether a Keras model's outputs are probabilities or logits.

The last layer does not tell it: two softmax heads may be averaged, or probabilities reshaped. So
the model is evaluated with random weights on random inputs. Logits then leave the range from 0 to
1, and probabilities never do.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np

from fedcoin.learning.model import keras_models

_SEEDS = range(4)
_EXAMPLES = 32
_TOLERANCE = 1e-5


class OutputKind(Enum):
    """What the outputs of a classifier are."""

    PROBABILITIES = "probabilities"
    """From 0 to 1; those of an example need not sum to 1."""
    LOGITS = "logits"
    """Any numbers."""


def find_output_kind(model: Any) -> OutputKind:
    """Find out what a model's outputs are.

    Args:
        model: A Keras model with one input and one output (None, classes). Its weights are changed
            for the time of the call.

    Returns:
        Probabilities when no output with random weights leaves the range from 0 to 1.
    """
    before = model.get_weights()
    # Token ids must stay within a vocabulary whose size is unknown; other inputs take any number.
    shape = (_EXAMPLES, *(int(side) for side in model.input_shape[1:]))
    try:
        return (
            OutputKind.PROBABILITIES
            if all(_stays_in_unit_range(model, shape, before, seed) for seed in _SEEDS)
            else OutputKind.LOGITS
        )
    finally:
        model.set_weights(before)
        keras_models.refresh_state(model)


def _stays_in_unit_range(model: Any, shape: tuple[int, ...], weights: list[Any], seed: int) -> bool:
    rng = np.random.default_rng(seed)
    drawn = []
    for variable, array in zip(model.weights, weights, strict=True):
        if array.dtype.kind != "f":
            drawn.append(array)
            continue
        # A variance of 4 for each sum of products, so that activations do not vanish.
        fan_in = array.size / array.shape[-1] if array.ndim > 1 else 1
        noise = 2 / max(1, fan_in) ** 0.5 * rng.standard_normal(array.shape)
        noise = abs(noise) + 0.1 if "variance" in variable.path else noise
        drawn.append(noise.astype(array.dtype))
    model.set_weights(drawn)
    keras_models.refresh_state(model)
    inputs = rng.integers(0, 2, shape).astype(np.float32)
    outputs = np.asarray(model(inputs, training=False), np.float64)
    finite = outputs[np.isfinite(outputs)]
    return bool(((finite >= -_TOLERANCE) & (finite <= 1 + _TOLERANCE)).all())
