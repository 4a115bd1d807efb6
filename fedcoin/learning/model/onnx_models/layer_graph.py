"""Decide whether NumPy can compute an ONNX graph, and read it as a graph of layers.

ONNX and PyTorch keep the channels of feature maps first, `layers` keep them last. A value that was
computed by a layer for maps has its channels last; where an operator needs the other order, a
`Permute` node is put in between, unless both orders are the same numbers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from fedcoin.learning.model.layers import (
    Activation,
    Add,
    BatchNorm,
    Concatenate,
    Conv,
    Dense,
    Graph,
    GraphNode,
    Layer,
    Permute,
    Pooling,
    Scale,
    Shape,
)
from fedcoin.learning.model.onnx_models.graph_values import GraphValue, GraphWeight
from fedcoin.learning.model.onnx_models.node_attributes import NodeAttributes, scalar_constants
from fedcoin.learning.model.onnx_models.value_shapes import (
    Shapes,
    check_output,
    infer_shapes,
)

_BATCH_SIZE = 3
"""The size of batches for which shapes are inferred: no other one may show in them."""

_NUM_OPERANDS = {"Add": 2, "Mul": 2}
"""How many of an operator's first inputs may be the value that it changes; 1 for all others."""

_ACTIVATIONS = {"Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid"}


def read_layer_graph(model: Any, num_classes: int) -> Graph | None:
    """Read an ONNX graph as a graph of layers that NumPy computes.

    Args:
        model: An `onnx.ModelProto` that `graph_checks.read_onnx` returned.
        num_classes: How many outputs the model must have.

    Returns:
        The graph from the input to the outputs, or None when NumPy cannot compute the model.

    Raises:
        RefusalError: BAD_MODEL when the operators do not fit together or the output has another
            shape; WRONG_DTYPE when a value has a type that is not allowed.
    """
    shaped = infer_shapes(model, _BATCH_SIZE)
    check_output(shaped, num_classes)
    reader = _GraphReader(model.graph, shaped.shapes)
    if not all(reader.read(node) for node in model.graph.node):
        return None
    return reader.finish()


class _GraphReader:
    """Builds a graph of layers from the nodes of an ONNX graph, which are read in their order."""

    def __init__(self, graph: Any, shapes: Shapes) -> None:
        examples, *weights = graph.input
        self._graph = graph
        self._shapes = shapes
        self._uses = Counter(name for node in graph.node for name in node.input)
        self._weights = {info.name: GraphWeight(info.name) for info in weights}
        self._scalars = scalar_constants(graph)
        self._values = {examples.name: GraphValue(0, shapes[examples.name][1:])}
        self._nodes: list[GraphNode] = []
        self._readers: dict[str, Callable[[Any, NodeAttributes], GraphValue | None]] = {
            **dict.fromkeys(_ACTIVATIONS, self._read_activation),
            **dict.fromkeys(("Add", "Sub", "Mul", "Div"), self._read_arithmetic),
            **dict.fromkeys(("AveragePool", "MaxPool"), self._read_pooling),
            **dict.fromkeys(("GlobalAveragePool", "GlobalMaxPool"), self._read_global_pooling),
            **dict.fromkeys(("Dropout", "Identity"), self._read_identity),
            **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), self._read_reshape),
            **dict.fromkeys(("Softmax", "LogSoftmax"), self._read_softmax),
            "BatchNormalization": self._read_batch_norm,
            "Cast": self._read_cast,
            "Concat": self._read_concat,
            "Conv": self._read_conv,
            "Gemm": self._read_gemm,
            "MatMul": self._read_matmul,
            "ReduceMean": self._read_reduce_mean,
        }

    def read(self, node: Any) -> bool:
        """Add a node to the graph; return whether it could be."""
        attributes = NodeAttributes(node, self._graph)
        if node.op_type == "Constant":
            return True  # read where it is used
        if self._is_shape_arithmetic(node):
            return True  # what it is used for shows in the inferred shapes
        if node.op_type == "Transpose" and node.input[0] in self._weights:
            return self._transpose_weight(node, attributes)
        reader = self._readers.get(node.op_type)
        has_value = any(
            name in self._values for name in node.input[: _NUM_OPERANDS.get(node.op_type, 1)]
        )
        value = reader(node, attributes) if reader and has_value else None
        if value is None or any(node.output[1:]):
            return False
        if (_BATCH_SIZE, *value.shape) != self._shapes[node.output[0]]:
            return False
        self._values[node.output[0]] = value
        return True

    def finish(self) -> Graph | None:
        """Return the graph, or None when the output is no value of it or no layer is dense."""
        output = self._values.get(self._graph.output[0].name)
        if output is None or output.index != len(self._nodes) or not self._nodes:
            return None
        if len(output.shape) != 1:
            return None
        has_dense = any(isinstance(node.layer, Dense) for node in self._nodes)
        return tuple(self._nodes) if has_dense else None

    def _is_shape_arithmetic(self, node: Any) -> bool:
        """Tell whether a node computes sizes, from the shape of a value or from constants."""
        if node.op_type == "Shape":
            return True
        known = (*self._values, *self._weights)
        return all(name not in known for name in node.input if name)

    def _add_node(self, layer: Layer, shape: Shape, *inputs: GraphValue) -> int | None:
        if min(shape, default=0) < 1:
            return None
        self._nodes.append(GraphNode(layer, tuple(value.index for value in inputs), shape))
        return len(self._nodes)

    def _add_value(self, layer: Layer, value: GraphValue) -> GraphValue | None:
        """Add a layer whose output has the form of its input."""
        index = self._add_node(layer, value.layer_shape, value)
        return None if index is None else replace(value, index=index)

    def _as_maps(self, value: GraphValue) -> GraphValue | None:
        """Put the channels of maps last."""
        if value.has_channels_last or len(value.shape) != 3:
            return value if value.has_channels_last else None
        channels, height, width = value.shape
        if channels > 1 and height * width > 1:
            permutation = Permute(value.shape, (1, 2, 0))
            index = self._add_node(permutation, (height, width, channels), value)
            assert index is not None
            value = replace(value, index=index)
        return replace(value, has_channels_last=True)

    def _as_numbers(self, value: GraphValue) -> GraphValue:
        """Put the channels of maps first, as ONNX has them."""
        if not value.has_channels_last:
            return value
        channels, height, width = value.shape
        if channels > 1 and height * width > 1:
            permutation = Permute((height, width, channels), (2, 0, 1))
            index = self._add_node(permutation, value.shape, value)
            assert index is not None
            value = replace(value, index=index)
        return replace(value, has_channels_last=False)

    def _input(self, node: Any, index: int = 0) -> GraphValue:
        return self._values[node.input[index]]

    def _vector(self, node: Any, index: int, size: int) -> str | None:
        """Return the name of a vector of weights that a node reads; None for anything else."""
        weight = self._weights.get(node.input[index]) if index < len(node.input) else None
        return weight.name if weight and self._shapes[weight.name] == (size,) else None

    # --- weights ---

    def _transpose_weight(self, node: Any, attributes: NodeAttributes) -> bool:
        weight = self._weights[node.input[0]]
        if len(self._shapes[weight.name]) != 2 or attributes.ints("perm", (1, 0)) != (1, 0):
            return False
        self._weights[node.output[0]] = replace(weight, is_transposed=not weight.is_transposed)
        return True

    def _read_gemm(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        if attributes.number("alpha", 1) != 1 or attributes.number("beta", 1) != 1:
            return None
        if attributes.number("transA", 0):
            return None
        return self._add_dense(node, bool(attributes.number("transB", 0)))

    def _read_matmul(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        return self._add_dense(node, is_transposed=False)

    def _add_dense(self, node: Any, is_transposed: bool) -> GraphValue | None:
        value, weight = self._as_numbers(self._input(node)), self._weights.get(node.input[1])
        if weight is None or len(value.shape) != 1:
            return None
        units = self._shapes[node.output[0]][-1]
        bias: str | None = ""
        if len(node.input) > 2 and node.input[2]:
            bias = self._vector(node, 2, units)
        if bias is None:
            return None
        layer = Dense(weight.name, bias, has_units_first=weight.is_transposed != is_transposed)
        index = self._add_node(layer, (units,), value)
        return None if index is None else GraphValue(index, (units,))

    def _read_conv(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        value, kernel = self._as_maps(self._input(node)), self._weights.get(node.input[1])
        if value is None or kernel is None or kernel.is_transposed:
            return None
        filters, channels, *size = self._shapes[kernel.name]
        strides, padding = attributes.ints("strides", (1, 1)), attributes.ints("pads", (0,) * 4)
        is_plain = attributes.ints("dilations", (1, 1)) == (1, 1)
        is_plain = is_plain and attributes.number("group", 1) == 1
        is_plain = is_plain and attributes.text("auto_pad", "NOTSET") in ("NOTSET", "VALID")
        if not is_plain or channels != value.shape[0] or min(padding) < 0 or min(strides) < 1:
            return None
        bias: str | None = ""
        if len(node.input) > 2 and node.input[2]:
            bias = self._vector(node, 2, filters)
        if bias is None:
            return None
        layer = Conv(
            kernel=kernel.name,
            bias=bias,
            input_shape=(value.shape[1], value.shape[2], channels),
            kernel_size=(size[0], size[1]),
            filters=filters,
            is_padded=False,
            strides=(strides[0], strides[1]),
            has_filters_first=True,
            zeros=(padding[0], padding[2], padding[1], padding[3]),
        )
        index = self._add_node(layer, layer.output_shape, value)
        height, width, _ = layer.output_shape
        return None if index is None else GraphValue(index, (filters, height, width), True)

    def _read_batch_norm(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        value = self._input(node)
        if len(value.shape) == 3:
            maps = self._as_maps(value)
            assert maps is not None
            value = maps
        elif len(value.shape) != 1:
            return None
        names = [self._vector(node, index, value.shape[0]) for index in (1, 2, 3, 4)]
        gamma, beta, mean, variance = names
        if gamma is None or beta is None or mean is None or variance is None:
            return None
        layer = BatchNorm(gamma, beta, mean, variance, attributes.number("epsilon", 1e-5))
        return self._add_value(layer, value)

    # --- layers without weights ---

    def _read_activation(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        return self._add_value(Activation(_ACTIVATIONS[node.op_type]), self._input(node))

    def _read_softmax(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        value = self._input(node)
        if len(value.shape) != 1 or attributes.number("axis", -1) not in (-1, 1):
            return None
        name = "softmax" if node.op_type == "Softmax" else "log_softmax"
        return self._add_value(Activation(name), value)

    def _read_identity(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        return self._input(node)

    def _read_cast(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        # The evaluators take all inputs as float32, so a cast of the input has been done.
        is_input = node.input[0] == self._graph.input[0].name
        return self._input(node) if is_input and attributes.number("to", 0) == 1 else None

    def _read_reshape(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        value, shape = self._as_numbers(self._input(node)), self._shapes[node.output[0]]
        if math.prod(shape[1:]) != math.prod(value.shape):
            return None
        return replace(value, shape=shape[1:])

    def _read_arithmetic(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        kind, (first, other) = node.op_type, node.input
        if first not in self._values:
            first, other = other, first
        value = self._values[first]
        if other in self._values:
            return self._read_sum(value, self._values[other]) if kind == "Add" else None
        if other in self._weights:
            return self._read_bias(first, other) if kind == "Add" else None
        scalar = self._scalars.get(other)
        if scalar is None or (kind == "Div" and scalar == 0):
            return None
        scales = {
            "Add": Scale(1.0, scalar),
            "Sub": Scale(1.0, -scalar),
            "Mul": Scale(scalar, 0.0),
            "Div": Scale(1.0 / (scalar or 1.0), 0.0),
        }
        return self._add_value(scales[kind], value)

    def _read_sum(self, value: GraphValue, other: GraphValue) -> GraphValue | None:
        if value.shape != other.shape:
            return None
        if value.has_channels_last != other.has_channels_last:
            value, other = self._as_numbers(value), self._as_numbers(other)
        index = self._add_node(Add(), value.layer_shape, value, other)
        return None if index is None else replace(value, index=index)

    def _read_bias(self, product: str, weight: str) -> GraphValue | None:
        """Join the bias that is added to a product of matrices with it."""
        value, last = self._values[product], self._nodes[-1] if self._nodes else None
        if last is None or not isinstance(last.layer, Dense) or last.layer.bias:
            return None
        is_only_reader = self._uses[product] == 1 and value.index == len(self._nodes)
        is_only_reader &= sum(other.index == value.index for other in self._values.values()) == 1
        if not is_only_reader or self._shapes[weight] not in (value.shape, (1, *value.shape)):
            return None
        self._nodes[-1] = replace(last, layer=replace(last.layer, bias=weight))
        return value

    def _read_pooling(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        size = attributes.ints("kernel_shape", ())
        is_plain = attributes.ints("strides", (1,) * len(size)) == size and len(size) == 2
        is_plain = is_plain and not any(attributes.ints("pads", (0,)))
        is_plain = is_plain and set(attributes.ints("dilations", (1,))) == {1}
        is_plain = is_plain and attributes.text("auto_pad", "NOTSET") in ("NOTSET", "VALID")
        if not is_plain or attributes.number("ceil_mode", 0) or min(size) < 1:
            return None
        return self._add_pooling(self._input(node), (size[0], size[1]), node.op_type == "MaxPool")

    def _read_global_pooling(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        value = self._input(node)
        if len(value.shape) != 3:
            return None
        return self._add_pooling(value, value.shape[1:], node.op_type == "GlobalMaxPool")

    def _read_reduce_mean(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        value, shape = self._input(node), self._shapes[node.output[0]]
        axes = attributes.ints("axes", ()) or attributes.constant_ints(1)
        if len(value.shape) != 3 or sorted(axis % 4 for axis in axes) != [2, 3]:
            return None
        pooled = self._add_pooling(value, value.shape[1:], is_max=False)
        return pooled and replace(pooled, shape=shape[1:], has_channels_last=len(shape) == 4)

    def _add_pooling(self, value: GraphValue, size: Shape, is_max: bool) -> GraphValue | None:
        maps = self._as_maps(value)
        if maps is None:
            return None
        channels, height, width = maps.shape
        layer = Pooling((size[0], size[1]), (height, width, channels), is_max)
        pooled = (channels, height // size[0], width // size[1])
        index = self._add_node(layer, (*pooled[1:], channels), maps)
        return None if index is None else GraphValue(index, pooled, True)

    def _read_concat(self, node: Any, attributes: NodeAttributes) -> GraphValue | None:
        values = [self._values.get(name) for name in node.input]
        inputs = [value for value in values if value is not None]
        if len(inputs) < len(values) or attributes.number("axis", 0) not in (
            1,
            -len(self._shapes[node.input[0]]) + 1,
        ):
            return None
        if len(inputs[0].shape) == 3:
            maps = [maps for value in inputs if (maps := self._as_maps(value)) is not None]
            inputs = maps if len(maps) == len(inputs) else []
        if not inputs or len({len(value.shape) for value in inputs}) > 1:
            return None
        if len({value.shape[1:] for value in inputs}) > 1 or len(inputs[0].shape) not in (1, 3):
            return None
        shape = (sum(value.shape[0] for value in inputs), *inputs[0].shape[1:])
        joined = replace(inputs[0], shape=shape)
        index = self._add_node(Concatenate(), joined.layer_shape, *inputs)
        return None if index is None else replace(joined, index=index)
