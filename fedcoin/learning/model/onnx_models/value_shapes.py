"""The shape of every value in an ONNX graph, inferred before anything is evaluated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.onnx_models.graph_checks import (
    CONSTANT_BYTES,
    bad_graph,
    too_large,
    type_name,
    wrong_type,
)
from fedcoin.learning.model.onnx_models.live_values import MAX_LIVE_NUMBERS, count_live
from fedcoin.learning.model.onnx_models.node_inference import NodeInference, element_shape_of

MAX_VALUE_BYTES = 4 << 20
"""About how many bytes the largest value of a batch may take; sets the batch size."""

MIN_BATCH_SIZE, MAX_BATCH_SIZE = 16, 256
"""Examples in a batch."""

MAX_VALUE_NUMBERS = 1 << 24
"""The largest number of elements of a value of one example."""

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class ShapedGraph:
    """A graph with the shapes that its values have for one size of batches."""

    graph: Any
    """The `onnx.GraphProto`."""
    batch_size: int
    """Examples in a batch."""
    shapes: Shapes
    """The shape of each input, constant and value of the graph, the batch dimension included."""
    element_types: Mapping[str, int]
    """The `onnx.TensorProto.DataType` of each input, constant and value."""

    @property
    def output_type(self) -> str:
        """The element type of the output, as ONNX names it."""
        return type_name(self.element_types[self.graph.output[0].name])

    @property
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the output for a batch."""
        return self.shapes[self.graph.output[0].name]


def shape_graph(model: Any, num_classes: int) -> ShapedGraph:
    """Choose a batch size for a graph and infer the shapes of its values.

    Args:
        model: An `onnx.ModelProto` that `graph_checks.read_onnx` returned.
        num_classes: How many outputs the model must have.

    Returns:
        The graph, for batches of 16 to 256 examples: as many as keep its largest value near 4 MiB.

    Raises:
        RefusalError: BAD_MODEL when a shape is not known before the graph runs, when the operators
            do not fit together or the output has another shape than (batch, `num_classes`);
            WRONG_DTYPE when a value has a type that is not allowed; MODEL_TOO_LARGE when one has
            too many numbers, or those that are needed at a time have.
    """
    single = infer_shapes(model, 1)
    widest = max(math.prod(shape) for shape in single.shapes.values())
    if widest > max(MAX_VALUE_NUMBERS, _largest_input(single)):
        raise too_large(f"a value of {widest} numbers an example", f"{MAX_VALUE_NUMBERS} numbers")
    made = {name for node in model.graph.node for name in node.output if name}
    names = [*made, model.graph.input[0].name]
    widest_made = max(math.prod(single.shapes[name]) for name in names)
    fitting = MAX_VALUE_BYTES // (4 * widest_made)
    batch_size = max(MIN_BATCH_SIZE, min(MAX_BATCH_SIZE, fitting // 16 * 16))
    shaped = infer_shapes(model, batch_size)
    live = count_live(model.graph, shaped.shapes)
    if live > MAX_LIVE_NUMBERS:
        raise too_large(
            f"{live} numbers to keep at a time for a batch of {batch_size} examples",
            f"{MAX_LIVE_NUMBERS} numbers",
        )
    check_output(shaped, num_classes)
    return shaped


def infer_shapes(model: Any, batch_size: int) -> ShapedGraph:
    """Infer the shapes of a graph's values for batches of one size.

    Args:
        model: An `onnx.ModelProto` that `graph_checks.read_onnx` returned.
        batch_size: Examples in a batch.

    Returns:
        The graph with its shapes.

    Raises:
        RefusalError: BAD_MODEL when a shape is not known before the graph runs or the operators do
            not fit together; WRONG_DTYPE when a value has a type that is not allowed.
    """
    import onnx

    graph = model.graph
    types = {
        info.name: onnx.TypeProto.FromString(info.type.SerializeToString()) for info in graph.input
    }
    types[graph.input[0].name].tensor_type.shape.dim[0].dim_value = batch_size
    inference = NodeInference(model, types)
    for node in graph.node:
        inference.add(node)
        for name in filter(None, node.output):
            _check_type(node, name, inference.types.get(name))
    shapes = {name: element_shape_of(kind) for name, kind in inference.types.items()}
    known = {
        name: tuple(size or 0 for size in shape)
        for name, shape in shapes.items()
        if shape is not None
    }
    element_types = {name: kind.tensor_type.elem_type for name, kind in inference.types.items()}
    return ShapedGraph(graph, batch_size, known, element_types)


def check_output(shaped: ShapedGraph, num_classes: int) -> None:
    """Check that a graph has float32 outputs for each example and class.

    Args:
        shaped: The graph with its shapes.
        num_classes: The number of classes.

    Raises:
        RefusalError: BAD_MODEL when the output's shape is not (batch, `num_classes`), with
            positions between them for a model of tokens; WRONG_DTYPE when its type is not float32.
    """
    made, expected = shaped.output_shape, (shaped.batch_size, num_classes)
    # A language model has a row of outputs for each position.
    if len(made) not in (2, 3) or (made[0], made[-1]) != expected:
        raise bad_graph(
            f"a batch of {expected[0]} examples gives outputs of shape {made}; the spec says "
            f"{expected}: one output for each example and class, or one for each example, position "
            "and class"
        )
    if shaped.output_type != "FLOAT":
        raise RefusalError(
            LearningCode.WRONG_DTYPE,
            f"the output is {shaped.output_type}; it must be FLOAT",
            field="onnx",
            limit="FLOAT",
        )


def _check_type(node: Any, name: str, kind: Any) -> None:
    shape = element_shape_of(kind)
    if shape is None or any(size is None or size < 0 for size in shape):
        raise bad_graph(
            f"the shape of {name[:64]}, an output of {node.op_type}, is not known before the graph "
            "runs; export with fixed shapes for all but the batch size"
        )
    if type_name(kind.tensor_type.elem_type) not in CONSTANT_BYTES:
        raise wrong_type(f"the output of a node {node.op_type}", kind.tensor_type.elem_type)


def _largest_input(shaped: ShapedGraph) -> int:
    return max(math.prod(shaped.shapes[info.name]) for info in shaped.graph.input)
