"""Bring a Keras architecture as people have it into the form that the chain takes.

What changes is what says nothing about the outputs: how a model was compiled, the size of a batch,
and the notation of Keras 2. Each change is named, so that the user sees it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fedcoin.learning.model.keras_classes import CLASSES
from fedcoin.learning.model.spec import MAX_DEPTH, MAX_JSON_BYTES

_FUNCTIONAL = "keras.src.models.functional"
_OLD_MODULES = ("keras.engine", "keras.src.engine", "tf_keras", "tensorflow.python.keras")
"""Where Keras 2 kept the classes of models."""


@dataclass(frozen=True, slots=True)
class NormalisedJson:
    """An architecture in the form that the chain takes."""

    keras_json: str
    """The JSON; the text that was given when it is not the JSON of a model."""
    changes: tuple[str, ...]
    """What was changed, each in a few words."""


def normalise_json(text: str, input_shape: Sequence[int] = ()) -> NormalisedJson:
    """Normalise an architecture that a user wrote.

    Args:
        text: What `model.to_json()` returned, of a model that may be compiled, in Keras 3 or 2.
        input_shape: The shape of one example, for an input whose sides are open; empty if unknown.

    Returns:
        The architecture. It is not checked: see `spec.parse_architecture`.
    """
    if len(text) > MAX_JSON_BYTES:
        return NormalisedJson(text, ())
    try:
        model = json.loads(text)
        changes = tuple(_change(model, tuple(input_shape))) if isinstance(model, dict) else ()
    except (ValueError, RecursionError):
        return NormalisedJson(text, ())
    return NormalisedJson(json.dumps(model), changes) if changes else NormalisedJson(text, ())


def _change(model: dict[str, Any], input_shape: tuple[int, ...]) -> Iterator[str]:
    """Change the model in place, and yield what was changed."""
    if model.pop("compile_config", None):
        yield "optimizer, loss and metrics of the compiled model are left out"
    if "keras_version" in model or "module" not in model or _is_old(model):
        version = model.pop("keras_version", "2")
        model.pop("backend", None)
        _rewrite(model, 0)
        yield f"Keras {str(version)[:16]} JSON is rewritten as Keras 3's"
    inputs = list(_find_inputs(model, 0))
    sizes = {shape[0] for shape in inputs if shape[0] is not None}
    for shape in inputs:
        shape[0] = None
    if sizes:
        yield f"the input's batch size {sorted(map(str, sizes))[0][:16]} is left out"
    if len(inputs) == 1 and None in inputs[0][1:] and len(inputs[0]) == len(input_shape) + 1:
        sides = inputs[0][1:]
        if all(side in (None, given) for side, given in zip(sides, input_shape, strict=True)):
            inputs[0][1:] = input_shape
            yield f"the input's open shape becomes that of the data, {input_shape}"


def _find_inputs(value: Any, depth: int) -> Iterator[list[Any]]:
    """Yield the `batch_shape` of each input layer, which the caller may change."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        config = value.get("config")
        if value.get("class_name") == "InputLayer" and isinstance(config, dict):
            shape = config.get("batch_shape")
            if isinstance(shape, list) and shape:
                yield shape
        for item in value.values():
            yield from _find_inputs(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _find_inputs(item, depth + 1)


def _is_old(item: dict[str, Any]) -> bool:
    module = item.get("module")
    return isinstance(module, str) and module.startswith(_OLD_MODULES)


def _rewrite(value: Any, depth: int) -> None:
    """Give the classes of Keras 2 the modules and settings of Keras 3, in place."""
    if depth > MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value:
            _rewrite(item, depth + 1)
    if not isinstance(value, dict):
        return
    for item in value.values():
        _rewrite(item, depth + 1)
    name, config = value.get("class_name"), value.get("config")
    if not isinstance(name, str) or not isinstance(config, dict):
        return
    if name in ("Functional", "Model") and ("module" not in value or _is_old(value)):
        value.update(module=_FUNCTIONAL, class_name="Functional", registered_name="Functional")
    elif name == "Sequential" and ("module" not in value or _is_old(value)):
        value.update(module="keras", registered_name="Sequential")
    elif "module" not in value and not name.startswith("__"):
        known = [module for module, names in CLASSES.items() if name in names]
        if known:
            value.update(module=known[0], registered_name=None)
    if isinstance(config.get("layers"), list):
        _add_input(config["layers"])
    _rewrite_settings(name, config)


def _add_input(layers: list[Any]) -> None:
    """Put an input layer before a first layer that names its input's shape itself."""
    first = layers[0].get("config") if layers and isinstance(layers[0], dict) else None
    if not isinstance(first, dict) or layers[0].get("class_name") == "InputLayer":
        return
    shape = first.pop("batch_input_shape", None)
    if isinstance(shape, list):
        config = {"batch_shape": shape, "dtype": "float32", "name": f"{first.get('name')}_input"}
        layers.insert(
            0,
            {
                "module": "keras.layers",
                "class_name": "InputLayer",
                "config": config,
                "registered_name": None,
            },
        )


def _rewrite_settings(name: str, config: dict[str, Any]) -> None:
    """Leave out or rename settings of a layer that Keras 3 does not know."""
    if name == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    if name.startswith("Depthwise") and config.get("groups") == 1:
        del config["groups"]
    if name in ("LSTM", "GRU", "SimpleRNN", "RNN") and config.get("time_major") is False:
        del config["time_major"]
    axis = config.get("axis")
    if name == "BatchNormalization" and isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
