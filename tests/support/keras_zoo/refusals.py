"""Models that are refused, each with the code and what its sentence advises."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

from tests.support.keras_zoo.builders import cnn_layers, make_head, make_sequence, mlp_layers
from tests.support.keras_zoo.entries import CLASSES, Entry


def _entry(name: str, build: Any, code: str, advice: str) -> Entry:
    return Entry(name, "refused", build, refused=code, advice=advice)


def _several_inputs(keras: Any) -> Any:
    inputs = [keras.Input((3,)), keras.Input((2,))]
    return keras.Model(inputs, make_head(keras)(keras.layers.Concatenate()(inputs)))


def _several_outputs(keras: Any) -> Any:
    x = keras.Input((6,))
    return keras.Model(x, [make_head(keras)(x), make_head(keras)(x)])


def _quantised(keras: Any) -> Any:
    model = make_sequence((6,), lambda k: [k.Dense(CLASSES)])(keras)
    with warnings.catch_warnings():
        # Keras warns of each layer that it cannot quantise, and converts arrays in a way that
        # NumPy 2 warns of.
        warnings.simplefilter("ignore")
        model.quantize("int8")
    return model


def _subclass(keras: Any) -> Any:
    class Own(keras.Model):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.head = keras.layers.Dense(CLASSES)

        def call(self, x: Any) -> Any:
            return self.head(x)

        def get_config(self) -> dict[str, Any]:
            return {}

    return Own()


def _custom_layer(keras: Any) -> Any:
    @keras.saving.register_keras_serializable("mine")
    class Doubled(keras.layers.Layer):  # type: ignore[misc, name-defined]
        def call(self, x: Any) -> Any:
            return 2 * x

    return make_sequence((6,), lambda k: [Doubled(), k.Dense(CLASSES)])(keras)


def _words(k: Any) -> list[Any]:
    return [
        k.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3),
        k.Embedding(4, 2),
        *mlp_layers(k),
    ]


def _of_dtypes_and_shapes() -> Iterator[Entry]:
    for policy in ("mixed_float16", "mixed_bfloat16", "bfloat16", "float16"):
        half = make_sequence((6,), lambda k, policy=policy: [k.Dense(CLASSES, dtype=policy)])
        yield _entry(f"policy {policy}", half, "WRONG_DTYPE", "set_dtype_policy('float32')")
    yield _entry(
        "policy float64",
        make_sequence((6,), lambda k: [k.Dense(CLASSES, dtype="float64")]),
        "WRONG_DTYPE",
        "build the model in float32",
    )
    yield _entry("quantised", _quantised, "FORBIDDEN_LAYER", "before quantize()")
    yield _entry("several inputs", _several_inputs, "BAD_MODEL", "begin with one keras.Input")
    yield _entry("several outputs", _several_outputs, "BAD_MODEL", "keep the output")
    yield _entry("subclassed model", _subclass, "BAD_MODEL", "keras.Input")
    yield _entry("own layer class", _custom_layer, "FORBIDDEN_LAYER", "export the model as ONNX")
    yield _entry(
        "open input shape",
        make_sequence((None, 3), lambda k: [k.LSTM(4), k.Dense(CLASSES)]),
        "BAD_MODEL",
        "a fixed shape",
    )
    yield _entry(
        "AugMix",
        make_sequence((8, 8, 3), lambda k: [k.AugMix((0, 1)), *cnn_layers(k)]),
        "FORBIDDEN_LAYER",
        "leave it out",
    )


def _of_layers() -> Iterator[Entry]:
    yield _entry(
        "Lambda",
        make_sequence((6,), lambda k: [k.Lambda(lambda x: 2 * x), k.Dense(CLASSES)]),
        "FORBIDDEN_LAYER",
        "keras.ops",
    )
    yield _entry(
        "StringLookup",
        make_sequence(
            (1,),
            lambda k: [k.StringLookup(vocabulary=["a", "b"]), k.Embedding(4, 2), *mlp_layers(k)],
            dtype="string",
        ),
        "WRONG_DTYPE",
        "takes text",
    )
    yield _entry(
        "TextVectorization",
        make_sequence((1,), _words, dtype="string"),
        "WRONG_DTYPE",
        "takes text",
    )
    yield _entry(
        "IntegerLookup",
        make_sequence(
            (1,),
            lambda k: [k.IntegerLookup(vocabulary=[3, 5]), k.Embedding(4, 2), *mlp_layers(k)],
            dtype="int64",
        ),
        "FORBIDDEN_LAYER",
        "number the values",
    )
    yield _entry(
        "Hashing",
        make_sequence(
            (3,), lambda k: [k.Hashing(8), k.Embedding(8, 2), *mlp_layers(k)], dtype="int64"
        ),
        "FORBIDDEN_LAYER",
        "number",
    )


def list_refusals() -> list[Entry]:
    """List the models that are refused."""
    return [*_of_dtypes_and_shapes(), *_of_layers()]
