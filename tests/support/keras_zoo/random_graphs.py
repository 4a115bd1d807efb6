"""Random graphs of Keras layers, the same for the same seed."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

from tests.support.keras_zoo.entries import CLASSES, Entry

COUNT = 100
"""How many of them are tested."""

_INPUTS = ((12,), (8, 8, 3), (9, 5))
_ACTIVATIONS = (
    "relu", "tanh", "sigmoid", "elu", "selu", "gelu", "silu", "softplus", "softsign",
    "hard_sigmoid", "leaky_relu", "softmax", "exponential", "mish",
)  # fmt: skip
_MAX_SIDE = 64

Draw = random.Random
Make = Callable[[Any, Draw], Any]

_ANY: tuple[Make, ...] = (
    lambda k, r: k.Activation(r.choice(_ACTIVATIONS)),
    lambda k, r: k.BatchNormalization(scale=r.random() < 0.7, center=r.random() < 0.7),
    lambda k, r: k.LayerNormalization(),
    lambda k, r: k.Rescaling(round(r.uniform(-2, 2), 3), round(r.uniform(-1, 1), 3)),
    lambda k, r: k.Dense(r.randint(2, 9), activation=r.choice(_ACTIVATIONS)),
    lambda k, r: k.Dense(r.randint(2, 9), use_bias=False),
    lambda k, r: k.Dropout(0.3),
    lambda k, r: k.PReLU(),
    lambda k, r: k.UnitNormalization(),
)
"""Layers for values of any rank."""

_IMAGES: tuple[Make, ...] = (
    lambda k, r: k.Conv2D(
        r.randint(2, 6), r.choice([1, 2, 3, (3, 2)]), strides=r.choice([1, 1, 2]), padding="same"
    ),
    lambda k, r: k.Conv2D(r.randint(2, 6), 2, activation=r.choice(_ACTIVATIONS)),
    lambda k, r: k.Conv2D(r.randint(2, 6), 3, dilation_rate=2, padding="same"),
    lambda k, r: k.DepthwiseConv2D(3, depth_multiplier=r.choice([1, 2]), padding="same"),
    lambda k, r: k.SeparableConv2D(r.randint(2, 6), 3, padding="same"),
    lambda k, r: k.Conv2DTranspose(r.randint(2, 4), 2, strides=r.choice([1, 2]), padding="same"),
    lambda k, r: k.MaxPooling2D(2, strides=r.choice([1, 2]), padding="same"),
    lambda k, r: k.AveragePooling2D(2, padding=r.choice(["same", "valid"])),
    lambda k, r: k.UpSampling2D(2),
    lambda k, r: k.ZeroPadding2D(1),
    lambda k, r: k.SpatialDropout2D(0.2),
    lambda k, r: k.GlobalAveragePooling2D(keepdims=True),
)
_SEQUENCES: tuple[Make, ...] = (
    lambda k, r: k.Conv1D(
        r.randint(2, 6), r.choice([1, 2, 3]), padding=r.choice(["same", "causal"])
    ),
    lambda k, r: k.LSTM(r.randint(2, 5), return_sequences=True),
    lambda k, r: k.GRU(r.randint(2, 5), return_sequences=True),
    lambda k, r: k.Bidirectional(k.SimpleRNN(r.randint(2, 4), return_sequences=True)),
    lambda k, r: k.MaxPooling1D(2, padding="same"),
    lambda k, r: k.AveragePooling1D(2, padding="same"),
    lambda k, r: k.TimeDistributed(k.Dense(r.randint(2, 6))),
    lambda k, r: k.Permute((2, 1)),
)
_LAYERS = {1: _ANY, 2: (*_ANY, *_SEQUENCES), 3: (*_ANY, *_IMAGES)}
_PLAIN_ANY: tuple[Make, ...] = (
    lambda k, r: k.Activation(r.choice(["relu", "tanh", "sigmoid", "linear"])),
    lambda k, r: k.BatchNormalization(scale=r.random() < 0.7, center=r.random() < 0.7),
    lambda k, r: k.Rescaling(round(r.uniform(-2, 2), 3), round(r.uniform(-1, 1), 3)),
    lambda k, r: k.Dropout(0.3),
)
_PLAIN_FLAT: tuple[Make, ...] = (
    *_PLAIN_ANY,
    lambda k, r: k.Dense(r.randint(2, 9), activation=r.choice(["relu", "tanh", "softmax", None])),
    lambda k, r: k.Dense(r.randint(2, 9), use_bias=r.random() < 0.5),
    lambda k, r: k.Dense(r.randint(2, 9), activation="sigmoid"),
)
_PLAIN_IMAGES: tuple[Make, ...] = (
    *_PLAIN_ANY,
    lambda k, r: k.Conv2D(
        r.randint(2, 6), r.choice([1, 2, 3, (3, 2)]), strides=r.choice([1, 1, 2]),
        padding=r.choice(["same", "valid"]), activation=r.choice(["relu", None, "tanh"]),
        use_bias=r.random() < 0.7,
    ),
    lambda k, r: k.MaxPooling2D(r.choice([2, (2, 1)])),
    lambda k, r: k.AveragePooling2D(2),
    lambda k, r: k.Flatten(),
)  # fmt: skip
_PLAIN_LAYERS = {1: _PLAIN_FLAT, 3: _PLAIN_IMAGES}
"""Layers that NumPy computes."""

_MERGES = ("Add", "Average", "Maximum", "Minimum", "Multiply", "Subtract", "Concatenate")
_PLAIN_MERGES = ("Add", "Concatenate")


def build_random_graph(keras: Any, seed: int) -> Any:
    """Build a Functional model of 4 to 14 layers, with branches, joins and shared layers.

    Args:
        keras: The module.
        seed: Determines the model. Odd seeds give models of layers that NumPy computes.

    Returns:
        The model, which has `CLASSES` outputs.
    """
    keras.backend.clear_session()
    draw, k = Draw(seed), keras.layers
    is_plain = seed % 2 == 1
    inputs = keras.Input(draw.choice(_INPUTS[:2] if is_plain else _INPUTS))
    layers, merges = (_PLAIN_LAYERS, _PLAIN_MERGES) if is_plain else (_LAYERS, _MERGES)
    values: list[Any] = [inputs]
    shared: list[tuple[Any, tuple[int | None, ...]]] = []
    for _ in range(draw.randint(4, 14)):
        value = draw.choice(values[-3:])
        made = _merge(k, draw, values, value, merges) if draw.random() < 0.3 else None
        if made is None and shared and draw.random() < (0 if is_plain else 0.15):
            layer, shape = draw.choice(shared)
            made = layer(value) if value.shape == shape else None
        if made is None:
            layer = draw.choice(layers[len(value.shape) - 1])(k, draw)
            shared.append((layer, value.shape))
            try:
                made = layer(value)
            except ValueError:  # the maps are smaller than a kernel
                continue
        if max(made.shape[1:]) <= _MAX_SIDE and math.prod(made.shape[1:]) <= 2048:
            values.append(made)
    # All ends are joined, so that no part of the graph is without effect.
    flat = [k.Flatten()(value) for value in values[-2:]]
    joined = k.Concatenate()(flat) if len(flat) > 1 else flat[0]
    end = draw.choice([None, "softmax", "softmax", "sigmoid"])
    return keras.Model(inputs, k.Dense(CLASSES, activation=end)(joined))


def _merge(k: Any, draw: Draw, values: list[Any], value: Any, merges: Sequence[str]) -> Any:
    """Join a value with another one of its shape; None without one."""
    others = [other for other in values if other.shape == value.shape and other is not value]
    if not others:
        return None
    return getattr(k, draw.choice(merges))()([value, draw.choice(others)])


def list_random_graphs(count: int) -> list[Entry]:
    """List random graphs with the seeds from 0.

    Args:
        count: How many.

    Returns:
        The entries.
    """

    def entry(seed: int) -> Entry:
        return Entry(
            f"random graph {seed}",
            "random",
            lambda keras: build_random_graph(keras, seed),
            "table",
        )

    return [entry(seed) for seed in range(count)]
