"""Models as graphs: nested, shared, with attention or keras.ops, and sequences of layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.support.keras_zoo.builders import (
    cnn_layers,
    make_graph,
    make_head,
    make_sequence,
    residual_network,
)
from tests.support.keras_zoo.entries import CLASSES, TOKENS, Entry


def _shared(keras: Any, x: Any) -> Any:
    both = keras.layers.Dense(6, activation="relu")
    return make_head(keras)(both(both(x)))


def _nested(keras: Any, x: Any) -> Any:
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, activation="relu")])
    y = keras.Input((5,))
    outer = keras.Model(y, keras.layers.Dense(5)(keras.layers.BatchNormalization()(y)))
    return make_head(keras)(outer(inner(x)))


def _siamese(keras: Any, x: Any) -> Any:
    z = keras.Input((3,))
    tower = keras.Model(z, keras.layers.Dense(4, activation="tanh")(z))
    one, two = tower(x[:, :3]), tower(x[:, 3:])
    return make_head(keras)(keras.layers.Concatenate()([keras.ops.abs(one - two), one * two]))


def _transformer(keras: Any, x: Any) -> Any:
    k = keras.layers
    words = k.Embedding(TOKENS, 8)(x) + k.Embedding(9, 8)(keras.ops.cumsum(0 * x + 1, 1) - 1)
    mixed = k.LayerNormalization()(words + k.MultiHeadAttention(2, 4)(words, words))
    wide = k.Dense(8)(k.Dense(16, activation="gelu")(mixed))
    return make_head(keras)(k.GlobalAveragePooling1D()(k.LayerNormalization()(mixed + wide)))


def _squeeze_excite(keras: Any, x: Any) -> Any:
    k = keras.layers
    maps = k.Conv2D(4, 3, activation="swish")(x)
    scale = k.Dense(4, activation="sigmoid")(k.GlobalAveragePooling2D()(maps))
    return make_head(keras)(k.Flatten()(k.Multiply()([maps, k.Reshape((1, 1, 4))(scale)])))


def _two_heads(keras: Any, x: Any) -> Any:
    return keras.layers.Average()([make_head(keras)(x), make_head(keras)(x)])


def _patches(keras: Any, x: Any) -> Any:
    ops = keras.ops
    cut = ops.reshape(x, (-1, 2, 4, 2, 4, 1))
    cut = ops.reshape(ops.transpose(cut, (0, 1, 3, 2, 4, 5)), (-1, 4, 16))
    hidden = keras.layers.Dense(6, activation="gelu")(cut)
    return make_head(keras)(ops.max(hidden, axis=1))


def _arithmetic(keras: Any, x: Any) -> Any:
    ops = keras.ops
    centred = (x - ops.mean(x, axis=-1, keepdims=True)) / (
        ops.std(x, axis=-1, keepdims=True) + 1e-6
    )
    masked = ops.where(centred > 0, centred, 0.1 * centred)
    powers = ops.concatenate([masked, ops.square(x), ops.sqrt(ops.abs(x)), ops.exp(-x)], axis=-1)
    return make_head(keras)(ops.clip(powers, -3.0, 3.0))


def _einsum(keras: Any, x: Any) -> Any:
    a, b = keras.layers.Dense(4)(x), keras.layers.Dense(4)(x)
    outer = keras.ops.einsum("bi,bj->bij", a, b)
    return make_head(keras)(keras.layers.Flatten()(keras.ops.softmax(outer, axis=-1)))


def _of_graphs() -> Iterator[Entry]:
    yield Entry("residual network", "graphs", make_graph((8, 8, 1), residual_network))
    yield Entry("shared layer", "graphs", make_graph((6,), _shared), "table")
    yield Entry("nested models", "graphs", make_graph((6,), _nested), "table")
    yield Entry("siamese towers on slices", "graphs", make_graph((6,), _siamese), "table")
    yield Entry(
        "transformer encoder", "graphs", make_graph((9,), _transformer, dtype="int32"), "tokens"
    )
    yield Entry("squeeze and excite", "graphs", make_graph((8, 8, 1), _squeeze_excite))
    yield Entry("average of two softmax heads", "graphs", make_graph((6,), _two_heads), "table")
    yield Entry("patches by keras.ops", "graphs", make_graph((8, 8, 1), _patches))
    yield Entry("arithmetic by keras.ops", "graphs", make_graph((6,), _arithmetic), "table")
    yield Entry("einsum and softmax by keras.ops", "graphs", make_graph((6,), _einsum), "table")


def _of_activations() -> Iterator[Entry]:
    for name in ("relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "elu", "selu", "leaky_relu",
                 "log_softmax", "hard_sigmoid", "relu6", "softsign", "mish"):  # fmt: skip
        yield Entry(
            f"activation {name}",
            "graphs",
            make_sequence(
                (6,), lambda k, name=name: [k.Dense(6, activation=name), k.Dense(CLASSES)]
            ),
            "table",
        )


def _of_sequences() -> Iterator[Entry]:
    yield Entry(
        "softmax reshaped",
        "graphs",
        make_sequence(
            (6,), lambda k: [k.Dense(CLASSES, activation="softmax"), k.Reshape((CLASSES,))]
        ),
        "table",
    )
    yield Entry(
        "regularised, constrained",
        "graphs",
        make_sequence(
            (6,),
            lambda k: [
                k.Dense(
                    6,
                    kernel_regularizer="l2",
                    kernel_constraint="non_neg",
                    kernel_initializer="he_normal",
                ),
                k.Dense(CLASSES),
            ],
        ),
        "table",
    )
    yield Entry(
        "augmented CNN",
        "graphs",
        make_sequence(
            (8, 8, 3),
            lambda k: [k.RandomFlip(), k.RandomRotation(0.1), k.Rescaling(1 / 255), *cnn_layers(k)],
        ),
        "pixels",
    )
    yield Entry(
        "tabular with adapted normalisation",
        "graphs",
        make_sequence(
            (6,),
            lambda k: [
                k.Normalization(),
                k.Dense(8, activation="relu"),
                k.Dropout(0.2),
                k.Dense(CLASSES),
            ],
        ),
        "table",
    )


def list_graphs() -> list[Entry]:
    """List the models of several layers."""
    return [*_of_graphs(), *_of_activations(), *_of_sequences()]
