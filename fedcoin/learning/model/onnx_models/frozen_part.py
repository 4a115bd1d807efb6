"""Divide an ONNX graph into the part that is the same for all coalitions and the rest.

The frozen part is made of the nodes that depend on the examples and on no trained weight, such as
the embedding and the first blocks of a network of which the last blocks are trained. Its values
that the rest reads are computed once for each batch. Nodes that depend on no examples, such as
constants and transposed weights, are in both parts where both need them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from fedcoin.learning.model.onnx_models.value_shapes import ShapedGraph


@dataclass(frozen=True, slots=True)
class DividedGraph:
    """The two parts of a graph, each a serialised ModelProto."""

    frozen: bytes
    """Computes `values` from the examples and the frozen weights that it has as inputs."""
    trained: bytes
    """Computes the output from `values` and, where it needs them, examples and weights."""
    values: tuple[str, ...]
    """The outputs of the frozen part, in order; all of them are inputs of the other."""


def divide_graph(model: Any, shaped: ShapedGraph, trained: Collection[str]) -> DividedGraph | None:
    """Divide a graph at its first trained weights.

    Args:
        model: An `onnx.ModelProto` that `graph_checks.read_onnx` returned.
        shaped: Its values' shapes and types.
        trained: The names of the trained weights.

    Returns:
        The parts; None when no node depends on the examples alone.
    """
    graph = model.graph
    by_examples, by_trained = {graph.input[0].name}, set(trained)
    for node in graph.node:
        for names in (by_examples, by_trained):
            if not names.isdisjoint(node.input):
                names.update(node.output)
    frozen_values = by_examples - by_trained - {graph.input[0].name}
    later = [node for node in graph.node if frozen_values.isdisjoint(node.output)]
    needed = _needed_nodes(later, [graph.output[0].name])
    read = {name for node in needed for name in node.input}
    values = [name for node in graph.node for name in node.output if name in frozen_values & read]
    if not values:
        return None
    earlier = [node for node in graph.node if by_trained.isdisjoint(node.output)]
    return DividedGraph(
        _part(model, shaped, _needed_nodes(earlier, values), (), values),
        _part(model, shaped, needed, values, [graph.output[0].name]),
        tuple(values),
    )


def _needed_nodes(nodes: Sequence[Any], outputs: Sequence[str]) -> list[Any]:
    """Keep the nodes on which outputs depend, in their order."""
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if not needed.isdisjoint(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]


def _part(
    model: Any,
    shaped: ShapedGraph,
    nodes: Sequence[Any],
    inputs: Sequence[str],
    outputs: Sequence[str],
) -> bytes:
    """Make a model of some of a graph's nodes."""
    import onnx

    graph, read = model.graph, {name for node in nodes for name in node.input}
    part = onnx.ModelProto.FromString(model.SerializeToString())
    part.ClearField("graph")
    part.graph.name = graph.name or "part"
    part.graph.node.extend(nodes)
    part.graph.initializer.extend(item for item in graph.initializer if item.name in read)
    part.graph.input.extend(info for info in graph.input if info.name in read)
    for field, names in ((part.graph.input, inputs), (part.graph.output, outputs)):
        # The last batch may be smaller, so that only the types are stated.
        field.extend(
            onnx.helper.make_tensor_value_info(name, shaped.element_types[name], None)
            for name in names
        )
    return bytes(part.SerializeToString())
