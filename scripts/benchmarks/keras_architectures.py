"""The Keras models that `bench_shapley` evaluates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Architecture = Callable[[Any, tuple[int, ...], int, float], Any]
"""Makes a Keras model with softmax outputs, given the module keras, the shape of one input, the
number of classes, and what the first layer divides the inputs by."""


def _sequence(hidden: Callable[[Any, tuple[int, ...]], list[Any]]) -> Architecture:
    """Put the hidden layers, one after the other, between the input and the classes."""

    def make(keras: Any, shape: tuple[int, ...], classes: int, divisor: float) -> Any:
        scale = keras.layers.Rescaling(1 / divisor)
        layers = [
            scale,
            *hidden(keras.layers, shape),
            keras.layers.Dense(classes, activation="softmax"),
        ]
        return keras.Sequential([keras.Input(shape), *layers])

    return make


def _graph(hidden: Callable[[Any, tuple[int, ...], Any], Any]) -> Architecture:
    """Put a graph of hidden layers between the input and the classes."""

    def make(keras: Any, shape: tuple[int, ...], classes: int, divisor: float) -> Any:
        inputs = keras.Input(shape)
        last = hidden(keras.layers, shape, keras.layers.Rescaling(1 / divisor)(inputs))
        return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(last))

    return make


def _mlp(layers: Any, shape: tuple[int, ...]) -> list[Any]:
    return [layers.Flatten(), layers.Dense(128, activation="relu")]


def _cnn(layers: Any, shape: tuple[int, ...]) -> list[Any]:
    return [
        layers.Reshape((*shape, 1)),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
    ]


def _general(layers: Any, shape: tuple[int, ...], inputs: Any) -> Any:
    hidden = layers.Dense(64)(layers.Flatten()(inputs))
    hidden = layers.Dropout(0.3)(layers.ReLU()(layers.BatchNormalization()(hidden)))
    return layers.Concatenate()([hidden, layers.Dense(32, activation="gelu")(hidden)])


def _residual(layers: Any, shape: tuple[int, ...], inputs: Any) -> Any:
    maps = layers.Conv2D(16, 3, padding="same")(layers.Reshape((*shape, 1))(inputs))
    maps = layers.MaxPooling2D()(layers.ReLU()(layers.BatchNormalization()(maps)))
    inner = layers.Conv2D(16, 3, padding="same")(maps)
    maps = layers.ReLU()(layers.Add()([maps, layers.BatchNormalization()(inner)]))
    return layers.GlobalAveragePooling2D()(maps)


def _embedding(layers: Any, shape: tuple[int, ...], inputs: Any) -> Any:
    shades = layers.Rescaling(15.99)(layers.Flatten()(inputs))
    words = layers.BatchNormalization()(layers.Embedding(16, 4)(shades))
    return layers.Dense(64, activation="relu")(layers.Flatten()(words))


mlp = _sequence(_mlp)
"""One hidden layer of 128 units."""

cnn = _sequence(_cnn)
"""Two convolutions and two dense layers."""

general = _graph(_general)
"""A dense network with batch normalisation, dropout and a skip connection."""

residual = _graph(_residual)
"""A convolutional network with batch normalisation and a residual connection."""

embedding = _graph(_embedding)
"""Grey levels embedded as if they were words."""
