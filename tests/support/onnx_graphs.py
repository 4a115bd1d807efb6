"""Small ONNX graphs, written by hand as exporters write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from fedcoin.v1 import artifact_pb2

Shapes = Mapping[str, Sequence[int]]


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    """Make a node; `inputs` are names with spaces between them, `-` for one that is left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, output.split(), **attributes)


def graph_model(
    nodes: Sequence[Any],
    input_shape: Sequence[int],
    weights: Shapes,
    constants: Mapping[str, Any] | None = None,
    input_type: int = TensorProto.FLOAT,
    opset: int = 18,
) -> Any:
    """Make a model that maps `x` to `y`, with the weights as inputs."""
    inputs = [helper.make_tensor_value_info("x", input_type, ["batch", *input_shape])]
    inputs += [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in weights.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "small",
        inputs,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", None])],
        [
            numpy_helper.from_array(np.asarray(array), name)
            for name, array in (constants or {}).items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def spec_of_model(
    model: Any, input_shape: Sequence[int], weights: Shapes, classes: int
) -> artifact_pb2.ModelSpec:
    spec = artifact_pb2.ModelSpec(
        onnx=model.SerializeToString(), input_shape=input_shape, num_classes=classes
    )
    for name, shape in weights.items():
        spec.weights.add(name=name, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=shape)
    return spec


def graph_spec(
    nodes: Sequence[Any],
    input_shape: Sequence[int],
    weights: Shapes,
    classes: int,
    constants: Mapping[str, Any] | None = None,
    input_type: int = TensorProto.FLOAT,
) -> artifact_pb2.ModelSpec:
    model = graph_model(nodes, input_shape, weights, constants, input_type)
    return spec_of_model(model, input_shape, weights, classes)


def mlp_spec() -> artifact_pb2.ModelSpec:
    """Return two dense layers as PyTorch writes them, on examples of shape (2, 4, 1)."""
    nodes = [
        node("Flatten", "x", "flat"),
        node("Gemm", "flat w1 b1", "h", transB=1),
        node("Relu", "h", "r"),
        node("Gemm", "r w2 b2", "y", transB=1),
    ]
    return graph_spec(nodes, (2, 4, 1), {"w1": (6, 8), "b1": (6,), "w2": (3, 6), "b2": (3,)}, 3)


def linear_spec(features: int, classes: int) -> artifact_pb2.ModelSpec:
    """Return one dense layer, behind an operator that NumPy leaves to onnxruntime."""
    nodes = [
        node("LeakyRelu", "x", "same", alpha=1.0),
        node("Gemm", "same kernel bias", "z"),
        node("Softmax", "z", "y"),
    ]
    weights = {"kernel": (features, classes), "bias": (classes,)}
    return graph_spec(nodes, (features,), weights, classes)


def changed(spec: artifact_pb2.ModelSpec, change: Any) -> artifact_pb2.ModelSpec:
    """Return a copy of a spec whose ONNX model a function has changed in place."""
    model = onnx.ModelProto.FromString(spec.onnx)
    change(model)
    copy = artifact_pb2.ModelSpec()
    copy.CopyFrom(spec)
    copy.onnx = model.SerializeToString()
    return copy
