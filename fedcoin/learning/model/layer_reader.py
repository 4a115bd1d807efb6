"""From the configuration of a Keras layer to nodes of a graph, with the shapes that flow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.layers import (
    ACTIVATIONS,
    Activation,
    Add,
    BatchNorm,
    Concatenate,
    Conv,
    Dense,
    Graph,
    GraphNode,
    Layer,
    Pooling,
    Scale,
    Shape,
)
from fedcoin.learning.model.spec import weight_shapes
from fedcoin.v1 import artifact_pb2

_NOTHING = frozenset(
    {
        "ActivityRegularization",
        "AlphaDropout",
        "Dropout",
        "GaussianDropout",
        "GaussianNoise",
        "Identity",
        "SpatialDropout2D",
    }
)
LAST = "channels_last"


@dataclass(frozen=True, slots=True)
class Value:
    """The number of a value (see ``layers``), and as what shape it is read."""

    number: int
    shape: Shape


class LayerReader:
    """Adds layers in the order of the model's weights. ``graph`` is what came of it."""

    def __init__(self, spec: artifact_pb2.ModelSpec) -> None:
        self._spec = spec
        self._names = iter(weight_shapes(spec).items())
        self._nodes: list[GraphNode] = []
        self._readers = {
            "Activation": self._read_activation,
            "AveragePooling2D": self._read_mean_pool,
            "BatchNormalization": self._read_normal,
            "Conv2D": self._read_conv,
            "Dense": self._read_dense,
            "Flatten": self._read_flatten,
            "GlobalAveragePooling2D": self._read_mean_of_all,
            "GlobalMaxPooling2D": self._read_highest_of_all,
            "MaxPooling2D": self._read_pool,
            "ReLU": self._read_relu,
            "Rescaling": self._read_scale,
            "Reshape": self._read_reshape,
            "Softmax": self._read_softmax,
        }

    @property
    def input(self) -> Value:
        """The model's."""
        return Value(0, tuple(self._spec.input_shape))

    def read(self, name: str, config: dict[str, Any], inputs: Sequence[Value]) -> Value | None:
        """The layer's output, or None when it is not a plain layer.

        Raises Refusal WRONG_SHAPE when its weights are not the next ones of the spec.
        """
        if not _is_float32(config.get("dtype")) or config.get("quantization_config"):
            return None
        if len(inputs) > 1:
            return self._read_many(name, config, inputs)
        if name in _NOTHING:
            return inputs[0]
        reader = self._readers.get(name)
        return reader(config, inputs[0]) if reader else None

    def finish(self, output: Value) -> Graph | None:
        """The graph, once all layers are read. Refuses outputs that are not the classes'."""
        if output.number != len(self._nodes) or not self._nodes or len(output.shape) != 1:
            return None
        if not any(isinstance(node.layer, Dense) for node in self._nodes):
            return None
        left = next(self._names, None)
        if left is not None:
            raise _wrong_weights(f"the spec lists {left[0]}, which no layer has")
        if output.shape[0] != self._spec.num_classes:
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"num_classes is {self._spec.num_classes}, but the model's last layer has "
                f"{output.shape[0]} outputs",
                field="num_classes",
                limit=str(output.shape[0]),
            )
        return tuple(self._nodes)

    def _add(self, layer: Layer, shape: Shape, *inputs: Value) -> Value | None:
        if min(shape, default=0) < 1:
            return None
        self._nodes.append(GraphNode(layer, tuple(value.number for value in inputs), shape))
        return Value(len(self._nodes), shape)

    def _weight(self, shape: Shape) -> str:
        name, listed = next(self._names, ("nothing", ()))
        if listed != shape:
            raise _wrong_weights(f"a layer needs a weight of shape {shape}; {name} has {listed}")
        return name

    # --- layers with weights ---

    def _read_dense(self, config: dict[str, Any], value: Value) -> Value | None:
        units, with_bias = config.get("units"), config.get("use_bias")
        if len(value.shape) != 1 or not _is_size(units) or config.get("lora_rank"):
            return None
        kernel = self._weight((value.shape[0], units))
        layer = Dense(kernel, self._weight((units,)) if with_bias else "")
        return self._then_activation(config, self._add(layer, (units,), value))

    def _read_conv(self, config: dict[str, Any], value: Value) -> Value | None:
        filters, size, steps = (config.get(n) for n in ("filters", "kernel_size", "strides"))
        rest = [config.get(name) for name in ("dilation_rate", "groups", "data_format")]
        usual = rest == [[1, 1], 1, LAST] and config.get("padding") in ("same", "valid")
        if not usual or len(value.shape) != 3 or config.get("lora_rank"):
            return None
        if not (_is_size(filters) and _is_pair(size) and _is_pair(steps)):
            return None
        height, width, channels = value.shape
        (tall, wide), (down, across) = size, steps
        kernel = self._weight((tall, wide, channels, filters))
        bias = self._weight((filters,)) if config.get("use_bias") else ""
        same, shape = config.get("padding") == "same", (height, width, channels)
        layer = Conv(kernel, bias, shape, (tall, wide), filters, same, (down, across))
        return self._then_activation(config, self._add(layer, layer.maps, value))

    def _read_normal(self, config: dict[str, Any], value: Value) -> Value | None:
        last = config.get("axis") in (-1, len(value.shape), [-1], [len(value.shape)])
        epsilon = config.get("epsilon")
        if not last or not isinstance(epsilon, (int, float)) or config.get("renorm"):
            return None
        gamma, beta, mean, variance = (
            self._weight(value.shape[-1:]) if wanted else ""
            for wanted in (config.get("scale"), config.get("center"), True, True)
        )
        return self._add(BatchNorm(gamma, beta, mean, variance, float(epsilon)), value.shape, value)

    # --- layers without ---

    def _then_activation(self, config: dict[str, Any], value: Value | None) -> Value | None:
        return value and self._read_activation(config, value)

    def _read_activation(self, config: dict[str, Any], value: Value) -> Value | None:
        name = config.get("activation")
        if name == "linear":
            return value
        if str(name) not in ACTIVATIONS or (name == "softmax" and len(value.shape) != 1):
            return None
        return self._add(Activation(str(name)), value.shape, value)

    def _read_relu(self, config: dict[str, Any], value: Value) -> Value | None:
        settings = [config.get(name) for name in ("max_value", "negative_slope", "threshold")]
        plain = settings == [None, 0, 0]
        return self._add(Activation("relu"), value.shape, value) if plain else None

    def _read_softmax(self, config: dict[str, Any], value: Value) -> Value | None:
        plain = len(value.shape) == 1 and config.get("axis") in (-1, 1)
        return self._add(Activation("softmax"), value.shape, value) if plain else None

    def _read_scale(self, config: dict[str, Any], value: Value) -> Value | None:
        factor, offset = config.get("scale"), config.get("offset")
        if not isinstance(factor, (int, float)) or not isinstance(offset, (int, float)):
            return None
        return self._add(Scale(float(factor), float(offset)), value.shape, value)

    def _read_flatten(self, config: dict[str, Any], value: Value) -> Value | None:
        flat = Value(value.number, (math.prod(value.shape),))
        return flat if config.get("data_format") == LAST else None

    def _read_reshape(self, config: dict[str, Any], value: Value) -> Value | None:
        target = config.get("target_shape")
        if not isinstance(target, list) or not target or not all(map(_is_size, target)):
            return None
        same = math.prod(target) == math.prod(value.shape)
        return Value(value.number, tuple(target)) if same else None

    def _read_pool(
        self, config: dict[str, Any], value: Value, highest: bool = True
    ) -> Value | None:
        size = config.get("pool_size")
        usual = config.get("padding") == "valid" and config.get("data_format") == LAST
        usual = usual and _is_pair(size) and config.get("strides") == size
        return self._pool(value, tuple(size or ()), highest) if usual else None

    def _read_mean_pool(self, config: dict[str, Any], value: Value) -> Value | None:
        return self._read_pool(config, value, False)

    def _read_mean_of_all(self, config: dict[str, Any], value: Value) -> Value | None:
        return self._pool_all(config, value, False)

    def _read_highest_of_all(self, config: dict[str, Any], value: Value) -> Value | None:
        return self._pool_all(config, value, True)

    def _pool_all(self, config: dict[str, Any], value: Value, highest: bool) -> Value | None:
        if config.get("data_format") != LAST or config.get("keepdims") or len(value.shape) != 3:
            return None
        found = self._pool(value, value.shape[:2], highest)
        return found and Value(found.number, value.shape[2:])

    def _pool(self, value: Value, size: Shape, highest: bool) -> Value | None:
        if len(value.shape) != 3:
            return None
        height, width, channels = value.shape
        tall, wide = size
        layer = Pooling((tall, wide), (height, width, channels), highest)
        return self._add(layer, (height // tall, width // wide, channels), value)

    # --- several inputs ---

    def _read_many(
        self, name: str, config: dict[str, Any], inputs: Sequence[Value]
    ) -> Value | None:
        shapes = {value.shape for value in inputs}
        if name == "Add" and len(shapes) == 1:
            return self._add(Add(), inputs[0].shape, *inputs)
        last = config.get("axis") in (-1, len(inputs[0].shape))
        if name == "Concatenate" and last and len({shape[:-1] for shape in shapes}) == 1:
            width = sum(value.shape[-1] for value in inputs)
            return self._add(Concatenate(), (*inputs[0].shape[:-1], width), *inputs)
        return None


def _is_float32(policy: object) -> bool:
    if isinstance(policy, dict):
        inner = policy.get("config")
        policy = inner.get("name") if isinstance(inner, dict) else ""
    return policy in (None, "float32")


def _is_size(size: object) -> TypeGuard[int]:
    return type(size) is int and size > 0


def _is_pair(size: object) -> TypeGuard[list[int]]:
    return isinstance(size, list) and len(size) == 2 and all(map(_is_size, size))


def _wrong_weights(sentence: str) -> RefusalError:
    return RefusalError(
        LearningCode.WRONG_SHAPE,
        f"the weights of the spec are not the architecture's: {sentence}",
        field="weights",
    )
