"""Read a ModelSpec from an untrusted sender, without TensorFlow.

An architecture is Keras' JSON or an ONNX graph, which `onnx_models.graph_checks` reads.

A Keras architecture names the classes that Keras instantiates. Keras' safe mode refuses arbitrary
Python code, but allows layers that read files or open URLs. Therefore only listed classes are
accepted: layers that do nothing but compute, and their initializers, regularizers and constraints.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from google.protobuf.message import DecodeError

from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.keras_classes import (
    CLASSES,
    DTYPES,
    ENCODINGS,
    explain_class,
    explain_dtype,
)
from fedcoin.learning.model.onnx_models import graph_checks
from fedcoin.v1 import artifact_pb2

MAX_JSON_BYTES = 1 << 20
"""The largest size of the architecture's JSON, in bytes."""

MAX_SPEC_BYTES = MAX_JSON_BYTES + (1 << 20)
"""The largest size of the serialised ModelSpec, in bytes."""

MAX_WEIGHTS = 4096
"""The largest number of weight tensors."""

MAX_DIMENSIONS = 8
"""The largest number of dimensions of a weight tensor, and of a batch of inputs."""

MAX_PARAMETERS = 1 << 29
"""The largest number of elements of all weight tensors together."""

MAX_CLASSES = 100_000
"""The largest number of classes, or of outputs; a model of regression may have one."""

MAX_INTEGER = 1 << 20
"""The largest absolute value of an integer in an architecture, such as a layer's width."""

MAX_DEPTH = 64
"""The largest number of levels of nesting in the architecture's JSON."""


def parse_spec(raw: bytes) -> artifact_pb2.ModelSpec:
    """Read a serialised ModelSpec and check all that can be checked without building the model.

    Args:
        raw: The bytes of a model artifact.

    Returns:
        The decoded message, which `check_spec` accepts.

    Raises:
        RefusalError: MODEL_TOO_LARGE when a limit of this module is exceeded; BAD_MODEL when the
            bytes are not a ModelSpec or a field is invalid; FORBIDDEN_LAYER when the architecture
            names a class or an operator that is not allowed; WRONG_DTYPE when it computes in or
            stores anything but float32; WRONG_SHAPE when a weight has an invalid shape.
    """
    if len(raw) > MAX_SPEC_BYTES:
        raise _too_large("model", f"{len(raw)} bytes", f"{MAX_SPEC_BYTES} bytes")
    try:
        spec = artifact_pb2.ModelSpec.FromString(raw)
    except DecodeError as error:
        raise _bad("model", "the model's artifact is not a ModelSpec message") from error
    check_spec(spec)
    return spec


def check_spec(spec: artifact_pb2.ModelSpec) -> None:
    """Check a ModelSpec that was parsed or built already.

    Args:
        spec: A ModelSpec, whose fields may have any values.

    Raises:
        RefusalError: MODEL_TOO_LARGE when a limit of this module is exceeded; BAD_MODEL when a
            field is invalid; FORBIDDEN_LAYER when the architecture names a class or an operator
            that is not allowed; WRONG_DTYPE when it computes in or stores anything but float32;
            WRONG_SHAPE when a weight has an invalid shape.
    """
    if not 1 <= len(spec.input_shape) < MAX_DIMENSIONS:
        raise _bad("input_shape", f"an example must have 1 to {MAX_DIMENSIONS - 1} dimensions")
    if not all(1 <= size <= MAX_INTEGER for size in spec.input_shape):
        raise _bad(
            "input_shape", f"{list(spec.input_shape)} has a size that is not 1 to {MAX_INTEGER}"
        )
    if not 1 <= spec.num_classes <= MAX_CLASSES:
        raise _bad("num_classes", f"{spec.num_classes} is not 1 to {MAX_CLASSES}")
    _check_weights(spec)
    _check_trained(spec)
    if is_onnx(spec):
        graph_checks.read_onnx(spec)
    else:
        parse_architecture(spec.keras_json)


def is_onnx(spec: artifact_pb2.ModelSpec) -> bool:
    """Tell whether a model's architecture is an ONNX graph.

    Args:
        spec: The ModelSpec.

    Returns:
        False when it is Keras' JSON or missing.
    """
    return spec.WhichOneof("architecture") == "onnx"


def parse_architecture(keras_json: str) -> dict[str, Any]:
    """Parse a Keras architecture and check that it names allowed classes only.

    Args:
        keras_json: What `model.to_json()` returns, without `compile_config`.

    Returns:
        The parsed JSON.

    Raises:
        RefusalError: MODEL_TOO_LARGE when the JSON or an integer in it is too large; BAD_MODEL when
            it is not the JSON of a Sequential or Functional model, nests too deeply or holds a
            number that is not finite; FORBIDDEN_LAYER when it names a class that is not allowed;
            WRONG_DTYPE when a layer computes in floats other than float32.
    """
    size = len(keras_json.encode())
    if size > MAX_JSON_BYTES:
        raise _too_large("keras_json", f"{size} bytes", f"{MAX_JSON_BYTES} bytes")
    try:
        parsed = json.loads(keras_json)
    except (ValueError, RecursionError) as error:
        raise _bad("keras_json", "the architecture is not JSON") from error
    if not isinstance(parsed, dict) or parsed.get("class_name") not in ("Sequential", "Functional"):
        raise _bad(
            "keras_json",
            "the architecture must be a Sequential or Functional Keras model; a subclass of "
            "keras.Model holds Python code: rebuild it with keras.Input, or export it as ONNX",
        )
    if parsed.get("compile_config"):
        raise _bad("keras_json", "compile_config is not part of an architecture; leave it out")
    for key, value in _walk(parsed, "model", 0):
        _check_value(key, value)
    return parsed


def weight_shapes(spec: artifact_pb2.ModelSpec) -> dict[str, tuple[int, ...]]:
    """List the shapes of a model's weights, all of which are float32.

    Args:
        spec: The ModelSpec.

    Returns:
        Each weight's shape by name, in the model's order, whether it is trained or frozen.
    """
    return {weight.name: tuple(weight.shape) for weight in spec.weights}


def trained_shapes(spec: artifact_pb2.ModelSpec) -> dict[str, tuple[int, ...]]:
    """List the shapes of the weights that base, aggregates and updates hold.

    Args:
        spec: The ModelSpec.

    Returns:
        Shapes by name, in the model's order: all weights, unless the spec names those that are
        trained.
    """
    trained = frozenset(spec.trained)
    shapes = weight_shapes(spec)
    return {name: shapes[name] for name in shapes if name in trained} if trained else shapes


def frozen_shapes(spec: artifact_pb2.ModelSpec) -> dict[str, tuple[int, ...]]:
    """List the shapes of the weights that no client changes, which lie in the artifact `frozen`.

    Args:
        spec: The ModelSpec.

    Returns:
        Shapes by name, in the model's order; none when all weights are trained.
    """
    trained = trained_shapes(spec)
    return {name: shape for name, shape in weight_shapes(spec).items() if name not in trained}


def _check_weights(spec: artifact_pb2.ModelSpec) -> None:
    if not 1 <= len(spec.weights) <= MAX_WEIGHTS:
        raise _bad("weights", f"{len(spec.weights)} weights; a model must have 1 to {MAX_WEIGHTS}")
    seen: set[str] = set()
    parameters = 0
    for weight in spec.weights:
        if not 1 <= len(weight.name) <= 256 or weight.name in seen:
            raise _bad(
                "weights", f"the name {weight.name[:64]!r} is empty, too long or listed twice"
            )
        seen.add(weight.name)
        if weight.dtype != artifact_pb2.TENSOR_DTYPE_FLOAT32:
            raise RefusalError(
                LearningCode.WRONG_DTYPE,
                f"weight {weight.name} is not float32; train and publish in float32",
                field=weight.name,
                limit="float32",
            )
        if weight.data:
            raise _bad("weights", f"weight {weight.name} of a ModelSpec must not hold data")
        if len(weight.shape) > MAX_DIMENSIONS or not all(size >= 1 for size in weight.shape):
            raise RefusalError(
                LearningCode.WRONG_SHAPE,
                f"weight {weight.name} has shape {list(weight.shape)[:9]}; it may have at most "
                f"{MAX_DIMENSIONS} dimensions, each at least 1",
                field=weight.name,
            )
        parameters += math.prod(weight.shape)
        if parameters > MAX_PARAMETERS:
            raise _too_large("weights", "too many parameters", f"{MAX_PARAMETERS} parameters")


def _check_trained(spec: artifact_pb2.ModelSpec) -> None:
    """Check that frozen weights are named in one way only: some are trained, the rest is frozen."""
    trained = list(spec.trained)
    if not trained and not spec.frozen:
        return
    if not trained or len(trained) == len(spec.weights) or trained != list(trained_shapes(spec)):
        raise _bad(
            "trained",
            "it must name some of the weights, not all of them, each once and in their order; "
            "leave it and `frozen` empty when all weights are trained",
        )
    if len(spec.frozen) != HASH_BYTES:
        raise _bad("frozen", f"it has {len(spec.frozen)} bytes; an artifact id has {HASH_BYTES}")


def _walk(value: Any, key: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield every value in the JSON with the key under which it is found."""
    if depth > MAX_DEPTH:
        raise _bad("keras_json", f"the architecture nests deeper than {MAX_DEPTH} levels")
    yield key, value
    if isinstance(value, dict):
        for item_key, item in value.items():
            yield from _walk(item, item_key, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _walk(item, key, depth + 1)


def _check_value(key: str, value: Any) -> None:
    if isinstance(value, dict) and ("class_name" in value or "module" in value):
        _check_class(value)
    if key == "dtype":
        _check_policy(value)
    if isinstance(value, bool) or key == "seed":
        return
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise _too_large("keras_json", f"{key} = {value}", str(MAX_INTEGER))
    if isinstance(value, float) and not math.isfinite(value):
        raise _bad("keras_json", f"{key} is {value}; numbers must be finite")


def _check_class(value: dict[str, Any]) -> None:
    module, name = value.get("module"), value.get("class_name")
    if "module" not in value and isinstance(name, str) and name in ENCODINGS:
        return
    known = CLASSES.get(module, frozenset()) if isinstance(module, str) else frozenset()
    if not isinstance(name, str) or name not in known:
        raise _forbidden(f"{str(module)[:64]}.{str(name)[:64]} {explain_class(module, name)}")
    if value.get("registered_name") not in (None, name):
        raise _forbidden(
            f"{name} is registered as {str(value['registered_name'])[:64]}; classes of a model's "
            "author are not accepted: use Keras' own, or export the model as ONNX"
        )


def _forbidden(sentence: str) -> RefusalError:
    return RefusalError(
        LearningCode.FORBIDDEN_LAYER, f"in the architecture {sentence}", field="keras_json"
    )


def _check_policy(value: Any) -> None:
    name = value
    if isinstance(value, dict):
        config = value.get("config")
        name = config.get("name") if isinstance(config, dict) else ""
    if name is not None and (not isinstance(name, str) or name not in DTYPES):
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"in the architecture {str(name)[:64]} {explain_dtype(str(name))}",
            field="keras_json",
            limit="float32",
        )


def _bad(field: str, sentence: str) -> RefusalError:
    return RefusalError(LearningCode.BAD_MODEL, f"{field}: {sentence}", field=field)


def _too_large(field: str, value: str, limit: str) -> RefusalError:
    return RefusalError(
        LearningCode.MODEL_TOO_LARGE,
        f"{field} has {value}; the limit is {limit}",
        field=field,
        limit=limit,
    )
