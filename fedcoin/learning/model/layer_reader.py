"""Translate the configurations of Keras layers into nodes of a graph, with the values' shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.layers import (
    ACTIVATIONS,
    SOFTMAXES,
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

_IDENTITY_LAYERS = frozenset(
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
"""Keras layers that do nothing outside training."""

_CHANNELS_LAST = "channels_last"


@dataclass(frozen=True, slots=True)
class Value:
    """A value of the graph, as a layer reads it."""

    index: int
    """The value's number in the graph (see `layers`): 0 is the input, k is node k - 1's output."""
    shape: Shape
    """The shape in which the next layer reads the value; flattening changes it."""


class LayerReader:
    """Builds a graph from Keras layers, which must be read in the order of the model's weights.

    Args:
        spec: The model whose layers are read; it lists the weights in order.
    """

    def __init__(self, spec: artifact_pb2.ModelSpec) -> None:
        self._spec = spec
        self._remaining_weights = iter(weight_shapes(spec).items())
        self._nodes: list[GraphNode] = []
        self._readers = {
            "Activation": self._read_activation,
            "AveragePooling2D": self._read_average_pooling,
            "BatchNormalization": self._read_batch_norm,
            "Conv2D": self._read_conv,
            "Dense": self._read_dense,
            "Flatten": self._read_flatten,
            "GlobalAveragePooling2D": self._read_global_average_pooling,
            "GlobalMaxPooling2D": self._read_global_max_pooling,
            "MaxPooling2D": self._read_max_pooling,
            "ReLU": self._read_relu,
            "Rescaling": self._read_scale,
            "Reshape": self._read_reshape,
            "Softmax": self._read_softmax,
        }

    @property
    def input(self) -> Value:
        """The model's input: value 0, with the spec's input shape."""
        return Value(0, tuple(self._spec.input_shape))

    def read(self, name: str, config: dict[str, Any], inputs: Sequence[Value]) -> Value | None:
        """Add a Keras layer to the graph.

        Args:
            name: The layer's class name in `keras.layers`.
            config: The layer's configuration as Keras serialises it.
            inputs: The outputs of earlier layers that this layer takes, at least one.

        Returns:
            The layer's output, or None when NumPy cannot compute the layer.

        Raises:
            RefusalError: WRONG_SHAPE when the spec's next weights have other shapes than the
                layer's weights.
        """
        if not _is_float32(config.get("dtype")) or config.get("quantization_config"):
            return None
        if len(inputs) > 1:
            return self._read_merge(name, config, inputs)
        if name in _IDENTITY_LAYERS:
            return inputs[0]
        reader = self._readers.get(name)
        return reader(config, inputs[0]) if reader else None

    def finish(self, output: Value) -> Graph | None:
        """Return the graph after all layers were read.

        Args:
            output: The last layer's output.

        Returns:
            The graph; None when the last node does not make the output, when the output is not a
            vector, or when no layer is dense.

        Raises:
            RefusalError: WRONG_SHAPE when the spec lists a weight that no layer has; BAD_MODEL when
                the output's width is not the spec's number of classes.
        """
        if output.index != len(self._nodes) or not self._nodes or len(output.shape) != 1:
            return None
        if not any(isinstance(node.layer, Dense) for node in self._nodes):
            return None
        unread = next(self._remaining_weights, None)
        if unread is not None:
            raise _wrong_weights(f"the spec lists {unread[0]}, which no layer has")
        if output.shape[0] != self._spec.num_classes:
            raise RefusalError(
                LearningCode.BAD_MODEL,
                f"num_classes is {self._spec.num_classes}, but the model's last layer has "
                f"{output.shape[0]} outputs",
                field="num_classes",
                limit=str(output.shape[0]),
            )
        return tuple(self._nodes)

    def _add_node(self, layer: Layer, shape: Shape, *inputs: Value) -> Value | None:
        if min(shape, default=0) < 1:
            return None
        self._nodes.append(GraphNode(layer, tuple(value.index for value in inputs), shape))
        return Value(len(self._nodes), shape)

    def _next_weight(self, shape: Shape) -> str:
        name, listed = next(self._remaining_weights, ("nothing", ()))
        if listed != shape:
            raise _wrong_weights(f"a layer needs a weight of shape {shape}; {name} has {listed}")
        return name

    # --- layers with weights ---

    def _read_dense(self, config: dict[str, Any], value: Value) -> Value | None:
        units, use_bias = config.get("units"), config.get("use_bias")
        if len(value.shape) != 1 or not _is_size(units) or config.get("lora_rank"):
            return None
        kernel = self._next_weight((value.shape[0], units))
        layer = Dense(kernel, self._next_weight((units,)) if use_bias else "")
        return self._with_activation(config, self._add_node(layer, (units,), value))

    def _read_conv(self, config: dict[str, Any], value: Value) -> Value | None:
        filters, kernel_size, strides = (
            config.get(name) for name in ("filters", "kernel_size", "strides")
        )
        others = [config.get(name) for name in ("dilation_rate", "groups", "data_format")]
        is_supported = others == [[1, 1], 1, _CHANNELS_LAST]
        is_supported = is_supported and config.get("padding") in ("same", "valid")
        if not is_supported or len(value.shape) != 3 or config.get("lora_rank"):
            return None
        if not (_is_size(filters) and _is_pair(kernel_size) and _is_pair(strides)):
            return None
        height, width, channels = value.shape
        kernel = self._next_weight((*kernel_size, channels, filters))
        layer = Conv(
            kernel=kernel,
            bias=self._next_weight((filters,)) if config.get("use_bias") else "",
            input_shape=(height, width, channels),
            kernel_size=(kernel_size[0], kernel_size[1]),
            filters=filters,
            is_padded=config.get("padding") == "same",
            strides=(strides[0], strides[1]),
        )
        return self._with_activation(config, self._add_node(layer, layer.output_shape, value))

    def _read_batch_norm(self, config: dict[str, Any], value: Value) -> Value | None:
        is_last_axis = config.get("axis") in (-1, len(value.shape), [-1], [len(value.shape)])
        epsilon = config.get("epsilon")
        if not is_last_axis or not isinstance(epsilon, (int, float)) or config.get("renorm"):
            return None
        gamma, beta, mean, variance = (
            self._next_weight(value.shape[-1:]) if has_weight else ""
            for has_weight in (config.get("scale"), config.get("center"), True, True)
        )
        layer = BatchNorm(gamma, beta, mean, variance, float(epsilon))
        return self._add_node(layer, value.shape, value)

    # --- layers without weights ---

    def _with_activation(self, config: dict[str, Any], value: Value | None) -> Value | None:
        return value and self._read_activation(config, value)

    def _read_activation(self, config: dict[str, Any], value: Value) -> Value | None:
        name = config.get("activation")
        if name == "linear":
            return value
        if str(name) not in ACTIVATIONS or (name in SOFTMAXES and len(value.shape) != 1):
            return None
        return self._add_node(Activation(str(name)), value.shape, value)

    def _read_relu(self, config: dict[str, Any], value: Value) -> Value | None:
        settings = [config.get(name) for name in ("max_value", "negative_slope", "threshold")]
        if settings != [None, 0, 0]:
            return None
        return self._add_node(Activation("relu"), value.shape, value)

    def _read_softmax(self, config: dict[str, Any], value: Value) -> Value | None:
        if len(value.shape) != 1 or config.get("axis") not in (-1, 1):
            return None
        return self._add_node(Activation("softmax"), value.shape, value)

    def _read_scale(self, config: dict[str, Any], value: Value) -> Value | None:
        factor, offset = config.get("scale"), config.get("offset")
        if not isinstance(factor, (int, float)) or not isinstance(offset, (int, float)):
            return None
        return self._add_node(Scale(float(factor), float(offset)), value.shape, value)

    def _read_flatten(self, config: dict[str, Any], value: Value) -> Value | None:
        flat = Value(value.index, (math.prod(value.shape),))
        return flat if config.get("data_format") == _CHANNELS_LAST else None

    def _read_reshape(self, config: dict[str, Any], value: Value) -> Value | None:
        target = config.get("target_shape")
        if not isinstance(target, list) or not target or not all(map(_is_size, target)):
            return None
        if math.prod(target) != math.prod(value.shape):
            return None
        return Value(value.index, tuple(target))

    def _read_max_pooling(self, config: dict[str, Any], value: Value) -> Value | None:
        return self._read_pooling(config, value, is_max=True)

    def _read_average_pooling(self, config: dict[str, Any], value: Value) -> Value | None:
        return self._read_pooling(config, value, is_max=False)

    def _read_global_max_pooling(self, config: dict[str, Any], value: Value) -> Value | None:
        return self._read_global_pooling(config, value, is_max=True)

    def _read_global_average_pooling(self, config: dict[str, Any], value: Value) -> Value | None:
        return self._read_global_pooling(config, value, is_max=False)

    def _read_pooling(self, config: dict[str, Any], value: Value, is_max: bool) -> Value | None:
        size = config.get("pool_size")
        is_supported = config.get("padding") == "valid"
        is_supported = is_supported and config.get("data_format") == _CHANNELS_LAST
        is_supported = is_supported and config.get("strides") == size
        if not is_supported or not _is_pair(size):
            return None
        return self._add_pooling(value, tuple(size), is_max)

    def _read_global_pooling(
        self, config: dict[str, Any], value: Value, is_max: bool
    ) -> Value | None:
        if config.get("data_format") != _CHANNELS_LAST or config.get("keepdims"):
            return None
        pooled = self._add_pooling(value, value.shape[:2], is_max)
        return pooled and Value(pooled.index, value.shape[2:])

    def _add_pooling(self, value: Value, pool_size: Shape, is_max: bool) -> Value | None:
        if len(value.shape) != 3:
            return None
        height, width, channels = value.shape
        rows, columns = pool_size
        layer = Pooling((rows, columns), (height, width, channels), is_max)
        return self._add_node(layer, (height // rows, width // columns, channels), value)

    # --- layers with several inputs ---

    def _read_merge(
        self, name: str, config: dict[str, Any], inputs: Sequence[Value]
    ) -> Value | None:
        shapes = {value.shape for value in inputs}
        if name == "Add" and len(shapes) == 1:
            return self._add_node(Add(), inputs[0].shape, *inputs)
        is_last_axis = config.get("axis") in (-1, len(inputs[0].shape))
        if name == "Concatenate" and is_last_axis and len({shape[:-1] for shape in shapes}) == 1:
            width = sum(value.shape[-1] for value in inputs)
            return self._add_node(Concatenate(), (*inputs[0].shape[:-1], width), *inputs)
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
        f"the spec's weights do not match its architecture: {sentence}",
        field="weights",
    )
