"""Infer what one node of an ONNX graph makes: the types of its outputs, and small constants.

Exporters compute the sizes for a `Reshape` from those of the batch in the graph itself. For one
size of batches these are constants, so they are computed here, with onnx' reference implementation
of the operators, and shapes that depend on them become known.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from fedcoin.learning.model.onnx_models.graph_checks import bad_graph, element_shape
from fedcoin.learning.model.onnx_models.operators import list_words

MAX_CONSTANT_NUMBERS = 1024
"""The largest number of elements of a constant that is computed: only those that shapes depend on
are needed, which are small."""

_SHAPE_OPERATORS = list_words(
    """
    Abs Add And Cast Ceil Concat Constant ConstantOfShape Div Equal Expand Floor Gather Greater
    GreaterOrEqual Identity Less LessOrEqual Max Min Mod Mul Neg Not Or Range ReduceMax ReduceMin
    ReduceProd ReduceSum Reshape Shape Size Slice Split Squeeze Sub Tile Transpose Unsqueeze Where
    """
)
"""Operators that sizes are computed with; each reads and makes a number only a few times."""

Array = npt.NDArray[np.generic]


class NodeInference:
    """Infers one node after another, in the order of computation.

    Args:
        model: The `onnx.ModelProto` of the nodes, which gives the versions of the operators.
        types: The `onnx.TypeProto` of each input of the graph by name.

    Attributes:
        types: The `onnx.TypeProto` of each value so far.
    """

    def __init__(self, model: Any, types: dict[str, Any]) -> None:
        from onnx import helper, numpy_helper

        self.types = dict(types)
        self._constants: dict[str, Array] = {}
        self._opsets = list(model.opset_import)
        self._ir_version = model.ir_version
        self._version = max(entry.version for entry in self._opsets)
        for tensor in model.graph.initializer:
            self.types[tensor.name] = helper.make_tensor_type_proto(tensor.data_type, tensor.dims)
            if math.prod(tensor.dims) <= MAX_CONSTANT_NUMBERS:
                self._constants[tensor.name] = numpy_helper.to_array(tensor)

    def add(self, node: Any) -> None:
        """Infer a node's outputs.

        Args:
            node: The `onnx.NodeProto`; its inputs have been inferred.

        Raises:
            RefusalError: BAD_MODEL when the node does not fit its inputs.
        """
        from onnx import defs, numpy_helper, shape_inference

        names = [name for name in node.input if name]
        data = {
            name: numpy_helper.from_array(self._constants[name])
            for name in names
            if name in self._constants
        }
        try:
            schema = defs.get_schema(node.op_type, self._version, "")
            made = shape_inference.infer_node_outputs(
                schema,
                node,
                {name: self.types[name] for name in names},
                data,
                opset_imports=self._opsets,
                ir_version=self._ir_version,
            )
            self.types.update(made)
            if self._is_small_constant(node, names):
                self._compute(node, names)
        except Exception as error:  # classes of onnx' own, and what its operators raise
            reason = " ".join(str(error).split())[:300]
            raise bad_graph(f"a node {node.op_type} does not fit its inputs: {reason}") from error

    def _is_small_constant(self, node: Any, names: list[str]) -> bool:
        is_constant = node.op_type == "Shape" or all(name in self._constants for name in names)
        if not is_constant or node.op_type not in _SHAPE_OPERATORS:
            return False
        shapes = [element_shape_of(self.types.get(name)) for name in node.output if name]
        return all(
            shape is not None
            and None not in shape
            and math.prod(size or 0 for size in shape) <= MAX_CONSTANT_NUMBERS
            for shape in shapes
        )

    def _compute(self, node: Any, names: list[str]) -> None:
        if node.op_type == "Shape":
            shape = element_shape_of(self.types[names[0]])
            if shape is None or None in shape:
                return
            bounds = {item.name: item.i for item in node.attribute}
            sizes = shape[bounds.get("start", 0) : bounds.get("end", len(shape))]
            self._constants[node.output[0]] = np.array(sizes, np.int64)
            return
        from onnx.reference import ReferenceEvaluator

        evaluator = ReferenceEvaluator(node, opsets={"": self._version})
        values = evaluator.run(None, {name: self._constants[name] for name in names})
        for name, value in zip(node.output, values, strict=False):
            if name:
                self._constants[name] = np.asarray(value)


def element_shape_of(kind: Any) -> tuple[int | None, ...] | None:
    """Return the shape in an `onnx.TypeProto`.

    Args:
        kind: The type, or None.

    Returns:
        Each dimension, None for one that is not known; None when not even their number is known.
    """
    if kind is None or not kind.HasField("tensor_type"):
        return None
    if not kind.tensor_type.HasField("shape"):
        return None
    return element_shape(kind.tensor_type)
