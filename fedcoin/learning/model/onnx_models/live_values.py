"""How many numbers an ONNX graph keeps in memory at a time while it computes a batch.

A graph of a few kilobytes can make many large values before it reads any of them again, or make
large constants, which onnxruntime computes when it loads the graph, and keeps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MAX_LIVE_NUMBERS = 1 << 30
"""The largest count of numbers at a time: 4 GiB in float32, half of what a worker process may take
by default."""


def count_live(graph: Any, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Count the array elements that are in memory together, at the step that needs the most.

    Args:
        graph: An `onnx.GraphProto` whose nodes are in the order of computation.
        shapes: The shape of each value for a batch.

    Returns:
        The largest count while a node runs: what it reads, what it makes, what later nodes read,
        and all that is made of constants alone. Inputs and weights are not counted.
    """
    last_reader = {name: index for index, node in enumerate(graph.node) for name in node.input}
    last_reader |= {info.name: len(graph.node) for info in graph.output}
    constants = {tensor.name for tensor in graph.initializer}
    live: dict[str, int] = {}
    kept = total = peak = 0
    for index, node in enumerate(graph.node):
        made = {name: math.prod(shapes[name]) for name in node.output if name}
        if constants.issuperset(filter(None, node.input)):
            constants.update(made)
            kept += sum(made.values())
        else:
            live |= made
            total += sum(made.values())
        peak = max(peak, total + kept)
        for name in {*node.input, *made}:
            if last_reader.get(name, index) == index:
                total -= live.pop(name, 0)
    return peak
