"""Bound the inputs of models that look them up in a table, such as an embedding of tokens.

What a lookup beyond its table gives depends on the library: an error that ends the evaluation, a
row of zeros, or the last row. So such inputs are refused.
"""

from __future__ import annotations

import json
from typing import Any

from fedcoin.learning.model.spec import is_onnx, weight_shapes
from fedcoin.v1 import artifact_pb2


def vocabulary_size(spec: artifact_pb2.ModelSpec) -> int | None:
    """Tell how many ids a model knows whose inputs are ids.

    Args:
        spec: The model, checked by `spec.check_spec`.

    Returns:
        The smallest number of rows among the tables in which the model looks its inputs up, so that
        inputs must be from 0 to one less; None when it looks none up directly.
    """
    try:
        sizes = _onnx_tables(spec) if is_onnx(spec) else _keras_tables(spec)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        # Such a model is refused when it is built.
        return None
    return min(sizes, default=None)


def _keras_tables(spec: artifact_pb2.ModelSpec) -> list[int]:
    model = json.loads(spec.keras_json)
    layers: list[dict[str, Any]] = model["config"]["layers"]
    if model["class_name"] == "Sequential":
        rest = [layer for layer in layers if layer["class_name"] != "InputLayer"]
        readers = rest[:1]
    else:
        inputs = [
            layer["config"]["name"] for layer in layers if layer["class_name"] == "InputLayer"
        ]
        readers = [layer for layer in layers if _reads_only(layer, inputs)]
    return [
        int(layer["config"]["input_dim"]) for layer in readers if layer["class_name"] == "Embedding"
    ]


def _reads_only(layer: dict[str, Any], inputs: list[str]) -> bool:
    """Tell whether all that a layer of a functional model reads are the model's inputs."""
    if layer["class_name"] != "Embedding":
        return False
    sources = [
        argument["config"]["keras_history"][0]
        for node in layer["inbound_nodes"]
        for argument in node["args"]
    ]
    return bool(sources) and all(source in inputs for source in sources)


def _onnx_tables(spec: artifact_pb2.ModelSpec) -> list[int]:
    import onnx

    graph = onnx.ModelProto.FromString(spec.onnx).graph
    shapes = weight_shapes(spec)
    # Inputs are cast to integers on the way.
    ids = {graph.input[0].name}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in ids:
            ids.add(node.output[0])
    sizes = []
    for node in graph.node:
        if node.op_type == "Gather" and node.input[0] in shapes and node.input[1] in ids:
            axes = [attribute.i for attribute in node.attribute if attribute.name == "axis"]
            sizes.append(shapes[node.input[0]][axes[0] if axes else 0])
    return sizes
