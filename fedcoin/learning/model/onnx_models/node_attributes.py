"""The attributes and constants of an ONNX graph's nodes, as Python's numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any


class NodeAttributes:
    """Reads a node's attributes by name.

    Args:
        node: An `onnx.NodeProto`.
        graph: The `onnx.GraphProto` that it stands in.
    """

    def __init__(self, node: Any, graph: Any) -> None:
        self._node = node
        self._graph = graph
        self._attributes = {item.name: item for item in node.attribute}

    def number(self, name: str, default: float) -> float:
        """Return an attribute that is one number.

        Args:
            name: The attribute's name.
            default: What it is when the node does not have it.

        Returns:
            The number.
        """
        import onnx

        item = self._attributes.get(name)
        if item is None:
            return default
        return float(item.f if item.type == onnx.AttributeProto.FLOAT else item.i)

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        """Return an attribute that is a list of whole numbers.

        Args:
            name: The attribute's name.
            default: What it is when the node does not have it.

        Returns:
            The numbers.
        """
        item = self._attributes.get(name)
        return default if item is None else tuple(item.ints)

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is text.

        Args:
            name: The attribute's name.
            default: What it is when the node does not have it.

        Returns:
            The text.
        """
        item = self._attributes.get(name)
        return default if item is None else item.s.decode("ascii", "replace")

    def constant_ints(self, index: int) -> tuple[int, ...]:
        """Return whole numbers that a node takes as an input which is a constant of the graph.

        Args:
            index: The index of the input, from 0.

        Returns:
            The numbers; empty when the node has no such input or it is no constant.
        """
        from onnx import numpy_helper

        name = self._node.input[index] if index < len(self._node.input) else ""
        found = [tensor for made, tensor in _constants(self._graph) if made == name]
        if not name or not found:
            return ()
        return tuple(int(number) for number in numpy_helper.to_array(found[0]).ravel())


def scalar_constants(graph: Any) -> dict[str, float]:
    """List the constants of a graph that hold one number.

    Args:
        graph: An `onnx.GraphProto`, checked by `graph_checks.read_onnx`.

    Returns:
        The number by the constant's name.
    """
    from onnx import numpy_helper

    return {
        name: float(numpy_helper.to_array(tensor).ravel()[0])
        for name, tensor in _constants(graph)
        if math.prod(tensor.dims) == 1
    }


def _constants(graph: Any) -> Iterable[tuple[str, Any]]:
    """Yield each constant's name and `onnx.TensorProto`."""
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for node in graph.node:
        for item in node.attribute:
            if node.op_type == "Constant" and item.name == "value":
                yield node.output[0], item.t
