"""Models in the forms that users have: compiled, of Keras 2, with other inputs or one unit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.keras_zoo.builders import (
    cnn_layers,
    compiled,
    make_graph,
    make_sequence,
    mlp_layers,
    residual_network,
)
from tests.support.keras_zoo.entries import CLASSES, TOKENS, Entry

EXAMPLES_IN_BATCH = 40


def _first_called_by_predict(keras: Any) -> Any:
    import numpy as np

    model = keras.Sequential(mlp_layers(keras.layers))
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


def _of_inputs() -> Iterator[Entry]:
    mlp, cnn = make_sequence((8, 8), mlp_layers), make_sequence((8, 8, 1), cnn_layers)
    loss, left = "sparse_categorical_crossentropy", "compiled model"
    yield Entry("compiled MLP", "forms", compiled(mlp, loss), changes=left)
    yield Entry("compiled CNN", "forms", compiled(cnn, loss), changes=left)
    for dtype in ("uint8", "int32", "int64"):
        scaled = make_sequence(
            (8, 8), lambda k: [k.Rescaling(1 / 255), *mlp_layers(k)], dtype=dtype
        )
        yield Entry(f"input of {dtype}", "forms", scaled, "pixels")
    words = make_sequence((9,), lambda k: [k.Embedding(TOKENS, 4), *mlp_layers(k)], dtype="int32")
    yield Entry("token ids of int32", "forms", words, "tokens")
    yield Entry(
        "Rescaling of pixels",
        "forms",
        make_sequence((8, 8), lambda k: [k.Rescaling(1 / 127.5, -1.0), *mlp_layers(k)]),
        "pixels",
    )
    yield Entry(
        "input with a batch size",
        "forms",
        make_sequence((8, 8), mlp_layers, batch_size=EXAMPLES_IN_BATCH),
        changes="batch size 40",
    )
    yield Entry(
        "first called by predict", "forms", _first_called_by_predict, changes="batch size 5"
    )
    yield Entry(
        "dtype policy by name",
        "forms",
        make_sequence((6,), lambda k: [k.Dense(5, dtype="float32"), k.Dense(CLASSES)]),
        "table",
    )


def _of_keras_2() -> Iterator[Entry]:
    mlp, cnn = make_sequence((8, 8), mlp_layers), make_sequence((8, 8, 1), cnn_layers)
    yield Entry("Keras 2 Sequential", "forms", mlp, changes="Keras 2.12", to_json=_as_keras_2)
    yield Entry("Keras 2 CNN", "forms", cnn, changes="Keras 2.12", to_json=_as_keras_2)
    yield Entry(
        "Keras 2 Functional",
        "forms",
        make_graph((8, 8, 1), residual_network),
        changes="Keras 2.12",
        to_json=_as_keras_2,
    )
    yield Entry(
        "Keras 2 LSTM",
        "forms",
        make_sequence((6, 3), lambda k: [k.LSTM(5), k.Dense(CLASSES)]),
        changes="Keras 2.12",
        to_json=_as_keras_2,
    )


def _of_one_unit() -> Iterator[Entry]:
    for end, said in (("sigmoid", "above 0.5"), (None, "above 0")):
        yield Entry(
            f"one unit, {end or 'linear'}",
            "forms",
            make_sequence(
                (6,), lambda k, end=end: [k.Dense(5, activation="relu"), k.Dense(1, activation=end)]
            ),
            "table",
            changes=said,
        )
    yield Entry(
        "one unit, compiled CNN",
        "forms",
        compiled(
            make_sequence(
                (8, 8, 1), lambda k: [*cnn_layers(k)[:-1], k.Dense(1, activation="sigmoid")]
            ),
            "binary_crossentropy",
        ),
        changes="above 0.5",
    )


def list_forms() -> list[Entry]:
    """List the models in forms that are normalised when they are read."""
    return [*_of_inputs(), *_of_keras_2(), *_of_one_unit()]
