"""Functions that build models of the list, given the module keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.keras_zoo.entries import CLASSES


def make_sequence(shape: tuple[int | None, ...], make: Any, **given: Any) -> Any:
    """Return a function that builds a Sequential of the layers that `make` lists."""
    return lambda keras: keras.Sequential([keras.Input(shape, **given), *make(keras.layers)])


def make_graph(shape: tuple[int, ...], body: Any, **given: Any) -> Any:
    """Return a function that builds a Functional model whose output `body` computes."""

    def build(keras: Any) -> Any:
        inputs = keras.Input(shape, **given)
        return keras.Model(inputs, body(keras, inputs))

    return build


def make_head(k: Any) -> Any:
    """Make the last layer of a classifier."""
    return k.layers.Dense(CLASSES, activation="softmax")


def compiled(build: Callable[[Any], Any], loss: str) -> Callable[[Any], Any]:
    """Return a function that builds a model and compiles it."""

    def make(keras: Any) -> Any:
        model = build(keras)
        model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
        return model

    return make


def mlp_layers(k: Any) -> list[Any]:
    """List the layers of a small dense network."""
    return [k.Flatten(), k.Dense(8, activation="relu"), k.Dense(CLASSES, activation="softmax")]


def cnn_layers(k: Any) -> list[Any]:
    """List the layers of a small convolutional network."""
    return [
        k.Conv2D(4, 3, activation="relu"),
        k.MaxPooling2D(),
        k.Flatten(),
        k.Dense(CLASSES, activation="softmax"),
    ]


def residual_network(keras: Any, x: Any) -> Any:
    """Apply a small residual network."""
    k = keras.layers
    maps = k.ReLU()(k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(x)))
    inner = k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(maps))
    return make_head(keras)(k.GlobalAveragePooling2D()(k.ReLU()(k.Add()([maps, inner]))))
