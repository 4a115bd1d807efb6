"""Whole models: compiled, nested, with keras.ops, of keras.applications, and refused ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from tests.support.keras_zoo.entries import CLASSES, TOKENS, Entry


def _sequence(shape: tuple[int | None, ...], make: Any, **given: Any) -> Any:
    return lambda keras: keras.Sequential([keras.Input(shape, **given), *make(keras.layers)])


def _graph(shape: tuple[int, ...], body: Any, **given: Any) -> Any:
    def build(keras: Any) -> Any:
        inputs = keras.Input(shape, **given)
        return keras.Model(inputs, body(keras, inputs))

    return build


def _head(k: Any) -> Any:
    return k.layers.Dense(CLASSES, activation="softmax")


def _compiled(build: Callable[[Any], Any], loss: str) -> Callable[[Any], Any]:
    def make(keras: Any) -> Any:
        model = build(keras)
        model.compile(keras.optimizers.Adam(1e-3), loss, metrics=["accuracy"])
        return model

    return make


def _mlp(k: Any) -> list[Any]:
    return [k.Flatten(), k.Dense(8, activation="relu"), k.Dense(CLASSES, activation="softmax")]


def _cnn(k: Any) -> list[Any]:
    return [
        k.Conv2D(4, 3, activation="relu"),
        k.MaxPooling2D(),
        k.Flatten(),
        k.Dense(CLASSES, activation="softmax"),
    ]


def _first_called_by_predict(keras: Any) -> Any:
    import numpy as np

    model = keras.Sequential(_mlp(keras.layers))
    model.predict(np.zeros((5, 8, 8)), verbose=0)
    return model


def _as_keras_2(model: Any) -> str:
    """Write a model's architecture as Keras 2.12 did."""

    def old(value: Any) -> Any:
        if isinstance(value, list):
            return [old(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.get("class_name") == "DTypePolicy":
            return value["config"]["name"]
        kept = {
            key: old(item)
            for key, item in value.items()
            if key not in ("module", "registered_name", "build_config", "optional")
        }
        if kept.get("class_name") == "InputLayer":
            kept["config"]["batch_input_shape"] = kept["config"].pop("batch_shape")
        if "inbound_nodes" in kept:
            kept["inbound_nodes"] = [_old_node(node) for node in kept["inbound_nodes"]]
        return kept

    def _old_node(node: dict[str, Any]) -> list[Any]:
        (argument,) = node["args"]
        tensors = argument if isinstance(argument, list) else [argument]
        return [[*tensor["config"]["keras_history"], {}] for tensor in tensors]

    whole = old(json.loads(model.to_json()))
    whole["config"].pop("dtype", None)
    for ends in ("input_layers", "output_layers"):
        if ends in whole["config"] and not isinstance(whole["config"][ends][0], list):
            whole["config"][ends] = [whole["config"][ends]]
    return json.dumps({**whole, "keras_version": "2.12.0", "backend": "tensorflow"})


def _of_forms() -> Iterator[Entry]:
    mlp, cnn = _sequence((8, 8), _mlp), _sequence((8, 8, 1), _cnn)
    loss, left = "sparse_categorical_crossentropy", "compiled model"
    yield Entry("compiled MLP", "forms", _compiled(mlp, loss), changes=left)
    yield Entry("compiled CNN", "forms", _compiled(cnn, loss), changes=left)
    for dtype in ("uint8", "int32", "int64"):
        scaled = _sequence((8, 8), lambda k: [k.Rescaling(1 / 255), *_mlp(k)], dtype=dtype)
        yield Entry(f"input of {dtype}", "forms", scaled, "pixels")
    words = _sequence((9,), lambda k: [k.Embedding(TOKENS, 4), *_mlp(k)], dtype="int32")
    yield Entry("token ids of int32", "forms", words, "tokens")
    yield Entry(
        "Rescaling of pixels",
        "forms",
        _sequence((8, 8), lambda k: [k.Rescaling(1 / 127.5, -1.0), *_mlp(k)]),
        "pixels",
    )
    yield Entry(
        "input with a batch size",
        "forms",
        _sequence((8, 8), _mlp, batch_size=EXAMPLES_IN_BATCH),
        changes="batch size 40",
    )
    yield Entry(
        "first called by predict", "forms", _first_called_by_predict, changes="batch size 5"
    )
    yield Entry("Keras 2 Sequential", "forms", mlp, changes="Keras 2.12", to_json=_as_keras_2)
    yield Entry("Keras 2 CNN", "forms", cnn, changes="Keras 2.12", to_json=_as_keras_2)
    yield Entry(
        "Keras 2 Functional",
        "forms",
        _graph((8, 8, 1), _residual),
        changes="Keras 2.12",
        to_json=_as_keras_2,
    )
    yield Entry(
        "Keras 2 LSTM",
        "forms",
        _sequence((6, 3), lambda k: [k.LSTM(5), k.Dense(CLASSES)]),
        changes="Keras 2.12",
        to_json=_as_keras_2,
    )
    for end, said in (("sigmoid", "above 0.5"), (None, "above 0")):
        yield Entry(
            f"one unit, {end or 'linear'}",
            "forms",
            _sequence(
                (6,), lambda k, end=end: [k.Dense(5, activation="relu"), k.Dense(1, activation=end)]
            ),
            "table",
            changes=said,
        )
    yield Entry(
        "one unit, compiled CNN",
        "forms",
        _compiled(
            _sequence((8, 8, 1), lambda k: [*_cnn(k)[:-1], k.Dense(1, activation="sigmoid")]),
            "binary_crossentropy",
        ),
        changes="above 0.5",
    )
    yield Entry(
        "dtype policy by name",
        "forms",
        _sequence((6,), lambda k: [k.Dense(5, dtype="float32"), k.Dense(CLASSES)]),
        "table",
    )


EXAMPLES_IN_BATCH = 40


def _residual(keras: Any, x: Any) -> Any:
    k = keras.layers
    maps = k.ReLU()(k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(x)))
    inner = k.BatchNormalization()(k.Conv2D(4, 3, padding="same")(maps))
    return _head(keras)(k.GlobalAveragePooling2D()(k.ReLU()(k.Add()([maps, inner]))))


def _shared(keras: Any, x: Any) -> Any:
    both = keras.layers.Dense(6, activation="relu")
    return _head(keras)(both(both(x)))


def _nested(keras: Any, x: Any) -> Any:
    inner = keras.Sequential([keras.Input((6,)), keras.layers.Dense(5, activation="relu")])
    y = keras.Input((5,))
    outer = keras.Model(y, keras.layers.Dense(5)(keras.layers.BatchNormalization()(y)))
    return _head(keras)(outer(inner(x)))


def _siamese(keras: Any, x: Any) -> Any:
    z = keras.Input((3,))
    tower = keras.Model(z, keras.layers.Dense(4, activation="tanh")(z))
    one, two = tower(x[:, :3]), tower(x[:, 3:])
    return _head(keras)(keras.layers.Concatenate()([keras.ops.abs(one - two), one * two]))


def _transformer(keras: Any, x: Any) -> Any:
    k = keras.layers
    words = k.Embedding(TOKENS, 8)(x) + k.Embedding(9, 8)(keras.ops.cumsum(0 * x + 1, 1) - 1)
    mixed = k.LayerNormalization()(words + k.MultiHeadAttention(2, 4)(words, words))
    wide = k.Dense(8)(k.Dense(16, activation="gelu")(mixed))
    return _head(keras)(k.GlobalAveragePooling1D()(k.LayerNormalization()(mixed + wide)))


def _squeeze_excite(keras: Any, x: Any) -> Any:
    k = keras.layers
    maps = k.Conv2D(4, 3, activation="swish")(x)
    scale = k.Dense(4, activation="sigmoid")(k.GlobalAveragePooling2D()(maps))
    return _head(keras)(k.Flatten()(k.Multiply()([maps, k.Reshape((1, 1, 4))(scale)])))


def _two_heads(keras: Any, x: Any) -> Any:
    return keras.layers.Average()([_head(keras)(x), _head(keras)(x)])


def _patches(keras: Any, x: Any) -> Any:
    ops = keras.ops
    cut = ops.reshape(x, (-1, 2, 4, 2, 4, 1))
    cut = ops.reshape(ops.transpose(cut, (0, 1, 3, 2, 4, 5)), (-1, 4, 16))
    hidden = keras.layers.Dense(6, activation="gelu")(cut)
    return _head(keras)(ops.max(hidden, axis=1))


def _arithmetic(keras: Any, x: Any) -> Any:
    ops = keras.ops
    centred = (x - ops.mean(x, axis=-1, keepdims=True)) / (
        ops.std(x, axis=-1, keepdims=True) + 1e-6
    )
    masked = ops.where(centred > 0, centred, 0.1 * centred)
    powers = ops.concatenate([masked, ops.square(x), ops.sqrt(ops.abs(x)), ops.exp(-x)], axis=-1)
    return _head(keras)(ops.clip(powers, -3.0, 3.0))


def _einsum(keras: Any, x: Any) -> Any:
    a, b = keras.layers.Dense(4)(x), keras.layers.Dense(4)(x)
    outer = keras.ops.einsum("bi,bj->bij", a, b)
    return _head(keras)(keras.layers.Flatten()(keras.ops.softmax(outer, axis=-1)))


def _of_graphs() -> Iterator[Entry]:
    yield Entry("residual network", "graphs", _graph((8, 8, 1), _residual))
    yield Entry("shared layer", "graphs", _graph((6,), _shared), "table")
    yield Entry("nested models", "graphs", _graph((6,), _nested), "table")
    yield Entry("siamese towers on slices", "graphs", _graph((6,), _siamese), "table")
    yield Entry(
        "transformer encoder", "graphs", _graph((9,), _transformer, dtype="int32"), "tokens"
    )
    yield Entry("squeeze and excite", "graphs", _graph((8, 8, 1), _squeeze_excite))
    yield Entry("average of two softmax heads", "graphs", _graph((6,), _two_heads), "table")
    yield Entry("patches by keras.ops", "graphs", _graph((8, 8, 1), _patches))
    yield Entry("arithmetic by keras.ops", "graphs", _graph((6,), _arithmetic), "table")
    yield Entry("einsum and softmax by keras.ops", "graphs", _graph((6,), _einsum), "table")
    for name in ("relu", "gelu", "silu", "sigmoid", "tanh", "softplus", "elu", "selu", "leaky_relu",
                 "log_softmax", "hard_sigmoid", "relu6", "softsign", "mish"):  # fmt: skip
        yield Entry(
            f"activation {name}",
            "graphs",
            _sequence((6,), lambda k, name=name: [k.Dense(6, activation=name), k.Dense(CLASSES)]),
            "table",
        )
    yield Entry(
        "softmax reshaped",
        "graphs",
        _sequence((6,), lambda k: [k.Dense(CLASSES, activation="softmax"), k.Reshape((CLASSES,))]),
        "table",
    )
    yield Entry(
        "regularised, constrained",
        "graphs",
        _sequence(
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
        _sequence(
            (8, 8, 3),
            lambda k: [k.RandomFlip(), k.RandomRotation(0.1), k.Rescaling(1 / 255), *_cnn(k)],
        ),
        "pixels",
    )
    yield Entry(
        "tabular with adapted normalisation",
        "graphs",
        _sequence(
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


_APPLICATIONS = {
    "MobileNet": {"alpha": 0.25}, "MobileNetV2": {"alpha": 0.35}, "MobileNetV3Small": {},
    "EfficientNetB0": {}, "EfficientNetV2B0": {}, "ResNet50": {}, "ResNet50V2": {}, "VGG16": {},
    "DenseNet121": {}, "ConvNeXtTiny": {}, "NASNetMobile": {}, "Xception": {}, "InceptionV3": {},
    "InceptionResNetV2": {},
}  # fmt: skip
_SIDES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}


def _of_applications() -> Iterator[Entry]:
    for name, given in _APPLICATIONS.items():
        side = _SIDES.get(name, 32)

        def build(keras: Any, name: str = name, given: Any = given, side: int = side) -> Any:
            keras.backend.clear_session()
            return getattr(keras.applications, name)(
                weights=None, input_shape=(side, side, 3), classes=CLASSES, **given
            )

        yield Entry(name, "applications", build, "pixels")


def _several_inputs(keras: Any) -> Any:
    inputs = [keras.Input((3,)), keras.Input((2,))]
    return keras.Model(inputs, _head(keras)(keras.layers.Concatenate()(inputs)))


def _several_outputs(keras: Any) -> Any:
    x = keras.Input((6,))
    return keras.Model(x, [_head(keras)(x), _head(keras)(x)])


def _quantised(keras: Any) -> Any:
    model = _sequence((6,), lambda k: [k.Dense(CLASSES)])(keras)
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

    return _sequence((6,), lambda k: [Doubled(), k.Dense(CLASSES)])(keras)


def _words(k: Any) -> list[Any]:
    return [
        k.TextVectorization(vocabulary=["a", "b"], output_sequence_length=3),
        k.Embedding(4, 2),
        *_mlp(k),
    ]


def _of_refusals() -> Iterator[Entry]:
    def entry(name: str, build: Any, code: str, advice: str) -> Entry:
        return Entry(name, "refused", build, refused=code, advice=advice)

    for policy in ("mixed_float16", "mixed_bfloat16", "bfloat16", "float16"):
        half = _sequence((6,), lambda k, policy=policy: [k.Dense(CLASSES, dtype=policy)])
        yield entry(f"policy {policy}", half, "WRONG_DTYPE", "set_dtype_policy('float32')")
    yield entry(
        "policy float64",
        _sequence((6,), lambda k: [k.Dense(CLASSES, dtype="float64")]),
        "WRONG_DTYPE",
        "build the model in float32",
    )
    yield entry("quantised", _quantised, "FORBIDDEN_LAYER", "before quantize()")
    yield entry("several inputs", _several_inputs, "BAD_MODEL", "begin with one keras.Input")
    yield entry("several outputs", _several_outputs, "BAD_MODEL", "keep the output")
    yield entry("subclassed model", _subclass, "BAD_MODEL", "keras.Input")
    yield entry("own layer class", _custom_layer, "FORBIDDEN_LAYER", "export the model as ONNX")
    yield entry(
        "Lambda",
        _sequence((6,), lambda k: [k.Lambda(lambda x: 2 * x), k.Dense(CLASSES)]),
        "FORBIDDEN_LAYER",
        "keras.ops",
    )
    yield entry(
        "StringLookup",
        _sequence(
            (1,),
            lambda k: [k.StringLookup(vocabulary=["a", "b"]), k.Embedding(4, 2), *_mlp(k)],
            dtype="string",
        ),
        "WRONG_DTYPE",
        "takes text",
    )
    yield entry(
        "TextVectorization",
        _sequence((1,), _words, dtype="string"),
        "WRONG_DTYPE",
        "takes text",
    )
    yield entry(
        "IntegerLookup",
        _sequence(
            (1,),
            lambda k: [k.IntegerLookup(vocabulary=[3, 5]), k.Embedding(4, 2), *_mlp(k)],
            dtype="int64",
        ),
        "FORBIDDEN_LAYER",
        "number the values",
    )
    yield entry(
        "Hashing",
        _sequence((3,), lambda k: [k.Hashing(8), k.Embedding(8, 2), *_mlp(k)], dtype="int64"),
        "FORBIDDEN_LAYER",
        "number",
    )
    yield entry(
        "open input shape",
        _sequence((None, 3), lambda k: [k.LSTM(4), k.Dense(CLASSES)]),
        "BAD_MODEL",
        "a fixed shape",
    )
    yield entry(
        "AugMix",
        _sequence((8, 8, 3), lambda k: [k.AugMix((0, 1)), *_cnn(k)]),
        "FORBIDDEN_LAYER",
        "leave it out",
    )


def list_wholes() -> list[Entry]:
    """List the models that are not made for one layer."""
    return [*_of_forms(), *_of_graphs(), *_of_applications(), *_of_refusals()]
