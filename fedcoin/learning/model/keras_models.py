"""Keras models: turn one into a ModelSpec and back, read and set its weights.

A ModelSpec lists the weights of `model.weights` (the moving averages of batch normalisation
included) in that order, under their Keras paths without the model's own name.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import keras_runtime
from fedcoin.learning.model.spec import check_spec, parse_architecture, parse_spec, weight_shapes
from fedcoin.v1 import artifact_pb2


def spec_from_model(model: Any) -> bytes:
    """Describe a Keras model as a ModelSpec.

    Args:
        model: A built Keras model with one input and one output for each class.

    Returns:
        The serialised ModelSpec, which `parse_spec` accepts.

    Raises:
        RefusalError: MODEL_TOO_LARGE when the model is too large; FORBIDDEN_LAYER or WRONG_DTYPE
            when it has layers or dtypes that are not allowed; BAD_MODEL or WRONG_SHAPE when its
            inputs, outputs or weights have no shape that a ModelSpec allows.
    """
    config = json.loads(model.to_json())
    config.pop("compile_config", None)
    spec = artifact_pb2.ModelSpec(
        keras_json=json.dumps(config, separators=(",", ":"), sort_keys=True),
        input_shape=[int(size) for size in model.input_shape[1:]],
        num_classes=int(model.output_shape[-1]),
    )
    names: set[str] = set()
    for index, weight in enumerate(float_weights(model)):
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
        RefusalError: MODEL_TOO_LARGE, BAD_MODEL, FORBIDDEN_LAYER, WRONG_DTYPE or WRONG_SHAPE when
            the spec is not accepted (`spec.parse_spec`); BAD_MODEL when Keras cannot build it or
            its inputs or outputs differ from the spec; WRONG_SHAPE when its weights differ from the
            spec.
    """
    spec = parse_spec(raw)
    model = model_from_json(spec.keras_json)
    shapes = [tuple(int(size) for size in weight.shape) for weight in float_weights(model)]
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
        RefusalError: MODEL_TOO_LARGE, BAD_MODEL, FORBIDDEN_LAYER or WRONG_DTYPE when the
            architecture is not accepted (`spec.parse_architecture`); BAD_MODEL when Keras cannot
            build the model or it has several inputs or outputs.
    """
    config = parse_architecture(keras_json)
    _check_inputs_and_outputs(config)
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
    for kind, shape in zip(("input", "output"), shapes, strict=True):
        if not isinstance(shape, tuple) or None in shape[1:]:
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"the model's {kind} has the shape {shape}; give its keras.Input a fixed shape, "
                "without None behind the batch",
                field="keras_json",
            )
    return model


def _check_inputs_and_outputs(config: Mapping[str, Any]) -> None:
    """Refuse a Functional model with several inputs or outputs before it is built."""
    inner = config.get("config")
    advice = {
        "input": "examples are one array: begin with one keras.Input, and cut it into parts by "
        "inputs[:, :3] and inputs[:, 3:]",
        "output": "keep the output with one number for each class: keras.Model(model.inputs, "
        "model.outputs[0])",
    }
    for kind, sentence in advice.items():
        listed = inner.get(f"{kind}_layers") if isinstance(inner, dict) else None
        is_one = isinstance(listed, list) and listed and not isinstance(listed[0], (list, dict))
        count = 1 if listed is None or is_one else len(listed)
        if count != 1:
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"the model has {count} {kind}s; {sentence}",
                field="keras_json",
            )


def named_weights(model: Any, spec: artifact_pb2.ModelSpec) -> dict[str, npt.NDArray[np.float32]]:
    """Return a model's present weights under the spec's names.

    Args:
        model: The Keras model.
        spec: The ModelSpec that describes the model.

    Returns:
        float32 weights by name, in the spec's order.
    """
    arrays = [np.asarray(weight.numpy(), np.float32) for weight in float_weights(model)]
    return dict(zip(weight_shapes(spec), arrays, strict=True))


def float_weights(model: Any) -> list[Any]:
    """List the weights that a ModelSpec names: all but integers, which no average may change.

    Args:
        model: A Keras model. Only `Normalization` has an integer weight, which counts the examples
            that it has seen and has no influence on the outputs.

    Returns:
        Keras variables, in the model's order.
    """
    return [weight for weight in model.weights if "int" not in str(weight.dtype)]


@dataclass(frozen=True, slots=True)
class KerasCall:
    """One call of a layer, of a nested model, or of an operation of `keras.ops` in a graph."""

    operation: Any
    """The layer, nested model or operation that is called."""
    taken: tuple[Any, ...]
    """The Keras tensors that it reads."""
    made: tuple[Any, ...]
    """The Keras tensors that it makes."""


def list_calls(model: Any) -> list[KerasCall]:
    """List the calls of a model's graph, those of nested models after that of the model.

    Args:
        model: A Keras model that is a graph.

    Returns:
        The calls; a shared layer is listed for each of its calls.
    """
    graph = getattr(model, "_functional", None) or model
    calls = []
    for operation in graph.operations:
        for node in operation._inbound_nodes:
            calls.append(KerasCall(operation, tuple(node.input_tensors), tuple(node.outputs)))
        if getattr(operation, "operations", None) or getattr(operation, "_functional", None):
            calls += list_calls(operation)
    return calls


def adapted_layers(model: Any) -> list[Any]:
    """List the layers that compute from copies of their weights.

    Args:
        model: A Keras model.

    Returns:
        The `Normalization` layers whose mean and variance are weights, at any depth.
    """
    normalization = keras_runtime.load_keras().layers.Normalization
    return [
        layer
        for layer in model._flatten_layers(include_self=False, recursive=True)
        if isinstance(layer, normalization) and layer.input_mean is None
    ]


def refresh_state(model: Any) -> None:
    """Let layers that compute from copies of their weights copy them again.

    Args:
        model: The Keras model, after its weights were set.
    """
    for layer in adapted_layers(model):
        layer.finalize_state()


def set_weights(model: Any, weights: Mapping[str, npt.NDArray[np.generic]]) -> None:
    """Give a model other weights.

    Args:
        model: The Keras model.
        weights: float32 weights by name, checked by `weight_checks.check_weights`.
    """
    for variable, array in zip(float_weights(model), weights.values(), strict=True):
        variable.assign(array)
    refresh_state(model)


def freeze_variables(model: Any, spec: artifact_pb2.ModelSpec, frozen: Collection[str]) -> None:
    """Let training change only the weights of a model that are not frozen.

    A layer of which all weights are frozen runs as outside training, so that a frozen batch
    normalisation uses its moving averages.

    Args:
        model: The Keras model, before it is compiled.
        spec: Its ModelSpec.
        frozen: The names of the frozen weights.
    """
    if not frozen:
        return
    names = {
        id(variable): name
        for variable, name in zip(float_weights(model), weight_shapes(spec), strict=True)
    }
    for layer in model._flatten_layers(include_self=False, recursive=True):
        own = [variable for variable in layer.weights if id(variable) in names]
        if own and all(names[id(variable)] in frozen for variable in own):
            layer.trainable = False
    for variable in float_weights(model):
        if names[id(variable)] in frozen:
            variable.trainable = False
