"""How much work an ONNX graph is: multiply-adds for one example, counted from its shapes.

Exact for matrix products and convolutions, and from above for all other operators.
"""

from __future__ import annotations

import math
from typing import Any

from fedcoin.learning.model.onnx_models.graph_checks import bad_graph
from fedcoin.learning.model.onnx_models.operators import (
    MATRIX_OPERATORS,
    MOVING_OPERATORS,
    POOLING_OPERATORS,
    RECURRENT_OPERATORS,
    SLOW_OPERATORS,
)
from fedcoin.learning.model.onnx_models.value_shapes import ShapedGraph, Shapes

SLOW_FACTOR = 20
"""The multiply-adds that one element of an operator in `SLOW_OPERATORS` counts for."""

MOVING_FACTOR = 8
"""The multiply-adds that one element of an operator in `MOVING_OPERATORS` counts for."""

CUBIC_WORK = 400
"""The multiply-adds that one element made by a cubic `Resize` counts for: onnxruntime was measured
to make 12 million a second and core."""

NODE_WORK = 20_000
"""The fewest multiply-adds that a node counts for in each batch, and a step of a recurrent one:
calling an operator takes some microseconds however small its inputs are."""


def count_graph(shaped: ShapedGraph) -> int:
    """Count the multiply-adds of a graph for one example.

    Args:
        shaped: The graph with its shapes for a batch.

    Returns:
        The number of multiply-adds, plus one for each number that an operator reads or makes.

    Raises:
        RefusalError: BAD_MODEL when an Einsum's equation cannot be read.
    """
    work = sum(_count_node(node, shaped.shapes) for node in shaped.graph.node)
    return -(-work // shaped.batch_size)


def _count_node(node: Any, shapes: Shapes) -> int:
    inputs = [shapes[name] if name else () for name in node.input]
    outputs = [shapes[name] for name in node.output if name]
    numbers = sum(math.prod(shape) for shape in (*inputs, *outputs))
    products = _count_products(node, inputs, outputs[0])
    factor = SLOW_FACTOR if node.op_type in SLOW_OPERATORS else 1
    if node.op_type in MOVING_OPERATORS:
        factor *= MOVING_FACTOR
    return NODE_WORK + products + factor * numbers


def _count_products(node: Any, inputs: list[tuple[int, ...]], output: tuple[int, ...]) -> int:
    kind, made = node.op_type, math.prod(output)
    if kind in MATRIX_OPERATORS:
        return _count_matrix_products(node, inputs, made)
    if kind in RECURRENT_OPERATORS:
        # Inputs (steps, batch, features), or (batch, steps, features): the larger bounds both.
        first, second = inputs[0][:2]
        weights = math.prod(inputs[1]) + math.prod(inputs[2])
        return first * second * weights + NODE_WORK * max(first, second) * inputs[1][0]
    if kind in POOLING_OPERATORS:
        sizes = [list(item.ints) for item in node.attribute if item.name == "kernel_shape"]
        sizes += [[item.i] for item in node.attribute if item.name == "size"]
        return made * math.prod(max(0, size) for size in (sizes[0] if sizes else [1]))
    if any(item.s == b"cubic" for item in node.attribute):
        return CUBIC_WORK * made
    return 0


def _count_matrix_products(node: Any, inputs: list[tuple[int, ...]], made: int) -> int:
    kind = node.op_type
    if kind == "MatMul":
        return made * inputs[0][-1]
    if kind == "Gemm":
        is_transposed = any(item.name == "transA" and item.i for item in node.attribute)
        return made * inputs[0][0 if is_transposed else 1]
    if kind == "Einsum":
        return _count_einsum(node, inputs)
    # A transposed convolution multiplies each number that it reads, another one those it makes.
    positions = math.prod(inputs[0]) if kind == "ConvTranspose" else made
    return positions * math.prod(inputs[1][1:])


def _count_einsum(node: Any, inputs: list[tuple[int, ...]]) -> int:
    equations = [item.s.decode("ascii", "replace") for item in node.attribute]
    terms = equations[0].replace(" ", "").split("->")[0].split(",") if equations else []
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, inputs, strict=False):
        if len(term) != len(shape) or not term.isalpha():
            raise bad_graph("an Einsum must name each dimension of its inputs by a letter")
        for letter, size in zip(term, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))
    if len(terms) != len(inputs):
        raise bad_graph("an Einsum must have one term for each of its inputs")
    return math.prod(sizes.values())
