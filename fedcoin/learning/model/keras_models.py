"""Keras models: by name, to a ModelSpec, from one, and their weights by name.

A ModelSpec's weights are those of ``model.weights`` (batch normalisation's moving averages
included), in this order, named by their Keras paths without the model's own name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import keras_runtime
from fedcoin.learning.model.spec import check_spec, parse_architecture, parse_spec, weight_shapes
from fedcoin.v1 import artifact_pb2

MODEL_NAMES = ("mlp", "cnn")
"""``mlp``: the paper's network with one hidden layer of 128. ``cnn``: two 3x3 convolutions of 16
and 32 channels with pooling, then a dense layer of 64; for images."""


def build_named_model(name: str, input_shape: Sequence[int], classes: int, seed: int = 0) -> Any:
    """A fresh Keras model, its weights drawn by ``seed``.

    ``input_shape`` is one example's, (height, width) or (height, width, channels) for ``cnn``.
    Raises Refusal UNKNOWN_MODEL, or BAD_MODEL when the shape does not suit it.
    """
    if name not in MODEL_NAMES:
        raise RefusalError(
            LearningCode.UNKNOWN_MODEL,
            f"there is no model {name!r}; choose {' or '.join(MODEL_NAMES)}, or give a JSON file",
            field="model",
            limit=", ".join(MODEL_NAMES),
        )
    if name == "cnn" and not (len(input_shape) in (2, 3) and min(input_shape[:2]) >= 4):
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"cnn takes images of at least 4 x 4, not examples of shape {tuple(input_shape)}; "
            "use mlp",
            field="model",
        )
    keras = keras_runtime.load_keras()
    keras.utils.set_random_seed(seed)
    keras.backend.clear_session()  # so that layers are numbered alike every time
    layers = _mlp(keras) if name == "mlp" else _cnn(keras, tuple(input_shape))
    layers.append(keras.layers.Dense(classes, activation="softmax"))
    return keras.Sequential([keras.Input(tuple(input_shape)), *layers], name=name)


def spec_from_model(model: Any) -> bytes:
    """The serialised ModelSpec of a built Keras model with one input and one output per class.

    Raises the Refusals of ``spec.check_spec``: what this makes, anybody can read.
    """
    config = json.loads(model.to_json())
    config.pop("compile_config", None)
    spec = artifact_pb2.ModelSpec(
        keras_json=json.dumps(config, separators=(",", ":"), sort_keys=True),
        input_shape=[int(size) for size in model.input_shape[1:]],
        num_classes=int(model.output_shape[-1]),
    )
    names: set[str] = set()
    for place, weight in enumerate(model.weights):
        path = weight.path.removeprefix(f"{model.name}/")
        name = path if path not in names else f"{path}:{place}"
        names.add(name)
        floats = str(weight.dtype) == "float32"
        spec.weights.add(
            name=name,
            dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32
            if floats
            else artifact_pb2.TENSOR_DTYPE_UNSPECIFIED,
            shape=[int(size) for size in weight.shape],
        )
    check_spec(spec)
    return spec.SerializeToString(deterministic=True)


def model_from_spec(raw: bytes) -> Any:
    """The Keras model of a serialised ModelSpec, with fresh weights.

    Raises the Refusals of ``spec.parse_spec``; BAD_MODEL when Keras cannot build it or it has
    other inputs or outputs than the spec says; WRONG_SHAPE when it has other weights.
    """
    spec = parse_spec(raw)
    model = model_from_json(spec.keras_json)
    shapes = [tuple(int(size) for size in weight.shape) for weight in model.weights]
    if shapes != list(weight_shapes(spec).values()):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            "the weights of the spec are not the architecture's: it lists "
            f"{list(weight_shapes(spec).values())[:8]}, the model has {shapes[:8]}",
            field="weights",
        )
    outputs = (None, spec.num_classes)
    if model.input_shape != (None, *spec.input_shape) or model.output_shape != outputs:
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"the model maps {model.input_shape} to {model.output_shape}; the spec says "
            f"{(None, *spec.input_shape)} to {outputs}",
            field="input_shape",
        )
    return model


def model_from_json(keras_json: str) -> Any:
    """A fresh Keras model from its architecture, checked by ``spec.architecture``, in safe mode."""
    config = parse_architecture(keras_json)
    keras = keras_runtime.load_keras()
    try:
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        shapes = (model.input_shape, model.output_shape)
    except Exception as error:  # Keras raises whatever it meets
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"Keras cannot build the model: {str(error).strip().splitlines()[0][:300]}",
            field="keras_json",
        ) from error
    if not all(isinstance(shape, tuple) and None not in shape[1:] for shape in shapes):
        raise RefusalError(
            LearningCode.BAD_MODEL,
            "a model must have one input and one output of fixed shape",
            field="keras_json",
        )
    return model


def named_weights(model: Any, spec: artifact_pb2.ModelSpec) -> dict[str, npt.NDArray[np.float32]]:
    """The model's weights under the spec's names."""
    arrays = [np.asarray(weight, np.float32) for weight in model.get_weights()]
    return dict(zip(weight_shapes(spec), arrays, strict=True))


def set_weights(model: Any, weights: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Give the model weights that ``checks.check_weights`` found sound."""
    model.set_weights(list(weights.values()))


def create_initial_model(
    name_or_json: str, input_shape: Sequence[int], classes: int, seed: int
) -> tuple[bytes, bytes]:
    """(serialised ModelSpec, encoded initial weights) of a named model or of Keras' JSON.

    Meant to be called in a worker process. Raises what ``named`` and ``from_json`` raise;
    BAD_MODEL when the JSON's model has another input or output than the data set.
    """
    if name_or_json.lstrip().startswith("{"):
        keras = keras_runtime.load_keras()
        keras.utils.set_random_seed(seed)
        model = model_from_json(name_or_json)
        if model.input_shape[1:] != tuple(input_shape) or model.output_shape[1:] != (classes,):
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"the model maps {model.input_shape[1:]} to {model.output_shape[1:]}, the data set "
                f"{tuple(input_shape)} to ({classes},)",
                field="model",
            )
    else:
        model = build_named_model(name_or_json, input_shape, classes, seed)
    spec = spec_from_model(model)
    return spec, encode_tensors(named_weights(model, parse_spec(spec)))


def _mlp(keras: Any) -> list[Any]:
    return [keras.layers.Flatten(), keras.layers.Dense(128, activation="relu")]


def _cnn(keras: Any, shape: tuple[int, ...]) -> list[Any]:
    layers = keras.layers
    lift = [] if len(shape) == 3 else [layers.Reshape((*shape, 1))]
    return [
        *lift,
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
    ]
