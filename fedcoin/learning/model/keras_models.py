"""Keras models: build one by name, turn it into a ModelSpec and back, read and set its weights.

A ModelSpec lists the weights of `model.weights` (the moving averages of batch normalisation
included) in that order, under their Keras paths without the model's own name.
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
"""`mlp` is the paper's network, one hidden layer of 128 units. `cnn`, for images, is two 3 x 3
convolutions of 16 and 32 channels, each with max-pooling, and a dense layer of 64 units. A first
layer divides whole numbers, such as pixels, by the largest of them."""


def build_named_model(
    name: str,
    input_shape: Sequence[int],
    num_classes: int,
    seed: int = 0,
    divisor: float = 1.0,
) -> Any:
    """Build one of the models of this package.

    Args:
        name: One of `MODEL_NAMES`.
        input_shape: The shape of one example; for `cnn` (height, width) or (height, width,
            channels) with sides of at least 4.
        num_classes: How many classes the model tells apart.
        seed: Seeds the initial weights.
        divisor: What the model's first layer divides the inputs by, a `Rescaling`; no such layer
            for 1.

    Returns:
        A Keras model with initial weights.

    Raises:
        RefusalError: UNKNOWN_MODEL when there is no model of that name; BAD_MODEL when it cannot
            take examples of that shape.
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
    keras.backend.clear_session()  # resets the counters in layer names, which the spec contains
    layers = [] if divisor == 1 else [keras.layers.Rescaling(1 / divisor)]
    layers += _mlp_layers(keras) if name == "mlp" else _cnn_layers(keras, tuple(input_shape))
    layers.append(keras.layers.Dense(num_classes, activation="softmax"))
    return keras.Sequential([keras.Input(tuple(input_shape)), *layers], name=name)


def spec_from_model(model: Any) -> bytes:
    """Describe a Keras model as a ModelSpec.

    Args:
        model: A built Keras model with one input and one output for each class.

    Returns:
        The serialised ModelSpec, which `parse_spec` accepts.

    Raises:
        RefusalError: As in `spec.check_spec`, when the model is too large or has layers or dtypes
            that are not allowed.
    """
    config = json.loads(model.to_json())
    config.pop("compile_config", None)
    spec = artifact_pb2.ModelSpec(
        keras_json=json.dumps(config, separators=(",", ":"), sort_keys=True),
        input_shape=[int(size) for size in model.input_shape[1:]],
        num_classes=int(model.output_shape[-1]),
    )
    names: set[str] = set()
    for index, weight in enumerate(model.weights):
        path = weight.path.removeprefix(f"{model.name}/")
        name = path if path not in names else f"{path}:{index}"
        names.add(name)
        is_float32 = str(weight.dtype) == "float32"
        spec.weights.add(
            name=name,
            dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32
            if is_float32
            else artifact_pb2.TENSOR_DTYPE_UNSPECIFIED,
            shape=[int(size) for size in weight.shape],
        )
    check_spec(spec)
    return spec.SerializeToString(deterministic=True)


def model_from_spec(raw: bytes) -> Any:
    """Build the Keras model that a ModelSpec describes.

    Args:
        raw: A serialised ModelSpec, possibly from an untrusted sender.

    Returns:
        The Keras model with initial weights.

    Raises:
        RefusalError: As in `spec.parse_spec`; BAD_MODEL when Keras cannot build it or its inputs or
            outputs differ from the spec; WRONG_SHAPE when its weights differ from the spec.
    """
    spec = parse_spec(raw)
    model = model_from_json(spec.keras_json)
    shapes = [tuple(int(size) for size in weight.shape) for weight in model.weights]
    if shapes != list(weight_shapes(spec).values()):
        raise RefusalError(
            LearningCode.WRONG_SHAPE,
            "the spec's weights do not match its architecture: it lists the shapes "
            f"{list(weight_shapes(spec).values())[:8]}, the model has {shapes[:8]}",
            field="weights",
        )
    outputs = (None, spec.num_classes)
    # A language model may have a row of outputs for each position.
    given = model.output_shape
    fits = given == outputs or (len(given) == 3 and given[-1] == spec.num_classes)
    if model.input_shape != (None, *spec.input_shape) or not fits:
        raise RefusalError(
            LearningCode.BAD_MODEL,
            f"the model maps {model.input_shape} to {model.output_shape}; the spec says "
            f"{(None, *spec.input_shape)} to {outputs}",
            field="input_shape",
        )
    return model


def model_from_json(keras_json: str) -> Any:
    """Build a Keras model from its architecture, in Keras' safe mode.

    Args:
        keras_json: What `model.to_json()` returns.

    Returns:
        The Keras model with initial weights.

    Raises:
        RefusalError: As in `spec.parse_architecture`; BAD_MODEL when Keras cannot build the model
            or it has several inputs or outputs.
    """
    config = parse_architecture(keras_json)
    keras = keras_runtime.load_keras()
    try:
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        shapes = (model.input_shape, model.output_shape)
    except Exception as error:  # a configuration can make Keras raise any class of exception
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
    """Return a model's present weights under the spec's names.

    Args:
        model: The Keras model.
        spec: Its ModelSpec.

    Returns:
        The weights in the spec's order.
    """
    arrays = [np.asarray(weight, np.float32) for weight in model.get_weights()]
    return dict(zip(weight_shapes(spec), arrays, strict=True))


def set_weights(model: Any, weights: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Give a model other weights.

    Args:
        model: The Keras model.
        weights: float32 weights by name, checked by `artifact_checks.check_weights`.
    """
    model.set_weights(list(weights.values()))


def create_initial_model(
    name_or_json: str,
    input_shape: Sequence[int],
    num_classes: int,
    seed: int,
    divisor: float = 1.0,
) -> tuple[bytes, bytes]:
    """Create a model and its initial weights; for a worker process, as it imports TensorFlow.

    Args:
        name_or_json: One of `MODEL_NAMES`, or an architecture as Keras' JSON.
        input_shape: The shape of one example.
        num_classes: How many classes the data set has.
        seed: Seeds the initial weights.
        divisor: As in `build_named_model`; a model from JSON takes the inputs as they are.

    Returns:
        The serialised ModelSpec, and the initial weights as encoded tensors.

    Raises:
        RefusalError: As in `build_named_model`, `model_from_json` and `spec_from_model`; BAD_MODEL
            when the JSON's model has other inputs or outputs than the data set.
    """
    if name_or_json.lstrip().startswith("{"):
        keras = keras_runtime.load_keras()
        keras.utils.set_random_seed(seed)
        model = model_from_json(name_or_json)
        shapes = (model.input_shape[1:], model.output_shape[1:])
        if shapes != (tuple(input_shape), (num_classes,)):
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"the model maps {shapes[0]} to {shapes[1]}; the data set needs "
                f"{tuple(input_shape)} to ({num_classes},)",
                field="model",
            )
    else:
        model = build_named_model(name_or_json, input_shape, num_classes, seed, divisor)
    spec = spec_from_model(model)
    return spec, encode_tensors(named_weights(model, parse_spec(spec)))


def _mlp_layers(keras: Any) -> list[Any]:
    return [keras.layers.Flatten(), keras.layers.Dense(128, activation="relu")]


def _cnn_layers(keras: Any, shape: tuple[int, ...]) -> list[Any]:
    layers = keras.layers
    add_channel = [] if len(shape) == 3 else [layers.Reshape((*shape, 1))]
    return [
        *add_channel,
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
    ]
