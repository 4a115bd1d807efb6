"""Files in ONNX's format, as exporters write them, from and to a ModelSpec and its weights.

An exporter writes weights and constants alike as initializers. A ModelSpec's graph has the weights
as inputs instead (`onnx_models.graph_checks`), so they are taken out of it here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import TargetKind
from fedcoin.learning.model.artifact_checks.shape_checks import check_shapes
from fedcoin.learning.model.onnx_models import graph_checks, value_shapes
from fedcoin.learning.model.onnx_models.graph_checks import bad_graph
from fedcoin.learning.model.onnx_models.operators import MAX_IR_VERSION
from fedcoin.learning.model.spec import check_spec
from fedcoin.v1 import artifact_pb2

_WEIGHTS_KEY = "fedcoin.weights"
"""The key in a file's metadata under which `to_onnx_file` lists the weights, as JSON."""

Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class OnnxNetwork:
    """A network whose architecture is an ONNX graph, and its weights."""

    spec: artifact_pb2.ModelSpec
    """The architecture, checked by `spec.check_spec`."""
    weights: Weights
    """float32 weights by name, in the order of the spec."""


def read_onnx_file(path: str) -> OnnxNetwork:
    """Read a file of one's own that an exporter wrote.

    Args:
        path: The file. Weights beside it that it names (external data) are read as well.

    Returns:
        The architecture and the weights of the file.

    Raises:
        RefusalError: UNKNOWN_MODEL when the file cannot be read; a code of `from_onnx`, such as
            BAD_MODEL or FORBIDDEN_LAYER, when the model is not accepted.
    """
    import onnx

    try:
        model = onnx.load(Path(path), format="protobuf")
    except (OSError, DecodeError, onnx.checker.ValidationError) as error:
        raise RefusalError(
            LearningCode.UNKNOWN_MODEL,
            f"the ONNX file {path} cannot be read: {str(error)[:200]}",
            field="model",
        ) from error
    return from_onnx(model)


def from_onnx(model: Any, weight_names: Collection[str] | None = None) -> OnnxNetwork:
    """Take the weights out of an exporter's model.

    Args:
        model: An `onnx.ModelProto` with one input and, beside outputs that are not float32 with a
            row for each example, one output. It is changed.
        weight_names: The names of the initializers that are weights. None for those that
            `to_onnx_file` listed, otherwise for all of float32 with at least one dimension.

    Returns:
        The network. The weights keep the order of the initializers.

    Raises:
        RefusalError: BAD_MODEL when the model has several inputs or outputs, or its graph has a
            form that is not allowed; MODEL_TOO_LARGE, FORBIDDEN_LAYER, WRONG_DTYPE or WRONG_SHAPE
            when it is too large, or uses operators, types or shapes that are not allowed
            (`spec.check_spec`).
    """
    import onnx
    from onnx import numpy_helper

    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    names = _listed_weights(model) if weight_names is None else frozenset(weight_names)
    if names is None:
        names = _float_initializers(model.graph)
    graph = _tidy(model)
    weights: Weights = {}
    constants = []
    for tensor in graph.initializer:
        if tensor.name in names:
            weights[tensor.name] = np.array(numpy_helper.to_array(tensor), np.float32)
        else:
            constants.append(tensor)
    del graph.initializer[:]
    graph.initializer.extend(constants)
    for name, array in weights.items():
        graph.input.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, array.shape)
        )
    return OnnxNetwork(_describe(model, weights), weights)


def to_onnx_file(network: OnnxNetwork) -> bytes:
    """Write a network as a file for tools that read ONNX, and for `read_onnx_file`.

    Args:
        network: The architecture with its weights.

    Returns:
        A serialised ModelProto with the weights as initializers.
    """
    import onnx
    from onnx import numpy_helper

    model = onnx.ModelProto.FromString(network.spec.onnx)
    del model.graph.input[1:]
    for name, array in network.weights.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
    model.metadata_props.add(key=_WEIGHTS_KEY, value=json.dumps(list(network.weights)))
    return bytes(model.SerializeToString(deterministic=True))


def read_onnx_spec(path: str) -> bytes:
    """Read only the architecture from a file, for a worker process.

    Args:
        path: A file that an exporter wrote, with external data beside it if it names any.

    Returns:
        The serialised ModelSpec.

    Raises:
        RefusalError: UNKNOWN_MODEL when the file cannot be read; a code of `from_onnx`, such as
            BAD_MODEL, when the model is not accepted.
    """
    return read_onnx_file(path).spec.SerializeToString(deterministic=True)


def create_onnx_model(
    path: str,
    input_shape: tuple[int, ...],
    num_classes: int,
    kind: TargetKind = TargetKind.CLASSES,
    positions: int = 0,
) -> tuple[bytes, bytes]:
    """Read a campaign's first model from a file, for a worker process.

    Args:
        path: A file that an exporter wrote, with external data beside it if it names any.
        input_shape: The shape of one example of the data set.
        num_classes: How many outputs the targets need (`count_outputs`).
        kind: What the targets are.
        positions: How many targets an example has, where each position has one; 0 for one.

    Returns:
        The serialised ModelSpec, and the file's weights as encoded tensors.

    Raises:
        RefusalError: UNKNOWN_MODEL when the file cannot be read; BAD_MODEL when the model has other
            inputs or outputs than the data set; a code of `from_onnx` when the model is not
            accepted.
    """
    network = read_onnx_file(path)
    spec = network.spec
    graph = graph_checks.read_onnx(spec)
    made = value_shapes.infer_shapes(graph, value_shapes.MIN_BATCH_SIZE).output_shape[1:]
    check_shapes(tuple(spec.input_shape), made, input_shape, num_classes, kind, positions)
    return spec.SerializeToString(deterministic=True), encode_tensors(network.weights)


def _listed_weights(model: Any) -> frozenset[str] | None:
    listed = [item.value for item in model.metadata_props if item.key == _WEIGHTS_KEY]
    return frozenset(json.loads(listed[0])) if listed else None


def _float_initializers(graph: Any) -> frozenset[str]:
    """Name the initializers that are taken for weights in a file that does not say which are."""
    # The sizes and factors of a Resize are float32 too.
    settings = {name for node in graph.node if node.op_type == "Resize" for name in node.input[1:]}
    return frozenset(
        tensor.name
        for tensor in graph.initializer
        if tensor.data_type == 1 and tensor.dims and tensor.name not in settings
    )


def _tidy(model: Any) -> Any:
    """Leave in a model only its inputs, its one output and what that depends on."""
    graph = model.graph
    model.ir_version = min(model.ir_version, MAX_IR_VERSION)
    for field in ("producer_name", "producer_version", "domain", "doc_string", "metadata_props"):
        model.ClearField(field)
    for field in ("value_info", "doc_string", "metadata_props"):
        graph.ClearField(field)
    constants = {tensor.name for tensor in graph.initializer}
    _keep(graph.input, [info for info in graph.input if info.name not in constants])
    _keep(graph.output, [_choose_output(graph)])
    unused = set(graph_checks.find_unused(graph))
    _keep(graph.node, [node for node in graph.node if unused.isdisjoint(node.output[:1])])
    _keep(graph.initializer, [item for item in graph.initializer if item.name not in unused])
    for node in graph.node:
        graph_checks.check_node(node)
        for field in ("doc_string", "metadata_props", "name"):
            node.ClearField(field)
    domains = {node.domain for node in graph.node}
    versions = {item.domain: item for item in model.opset_import if item.domain in domains}
    _keep(model.opset_import, list(versions.values()))
    if len(graph.input) != 1:
        names = ", ".join(info.name[:64] for info in list(graph.input)[:8])
        raise bad_graph(f"the model has the inputs ({names}); it must have one, the examples")
    dims = graph.input[0].type.tensor_type.shape.dim
    if dims:
        dims[0].dim_param = "batch"
    return graph


def _choose_output(graph: Any) -> Any:
    import onnx

    outputs = [
        info for info in graph.output if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    ]
    # scikit-learn's exporter turns the scores into a dictionary for each example.
    maps = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "ZipMap"}
    outputs += [
        onnx.helper.make_tensor_value_info(maps[info.name], onnx.TensorProto.FLOAT, None)
        for info in graph.output
        if info.name in maps
    ]
    if len(outputs) != 1:
        names = ", ".join(info.name[:64] for info in list(graph.output)[:8])
        raise bad_graph(
            f"the model has the outputs ({names}); exactly one must be float32, with a number for "
            "each example and class"
        )
    return outputs[0]


def _keep(field: Any, items: list[Any]) -> None:
    kept = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(kept)


def _describe(model: Any, weights: Mapping[str, npt.NDArray[np.float32]]) -> Any:
    shape = graph_checks.element_shape(model.graph.input[0].type.tensor_type)[1:]
    if not all(shape):
        raise bad_graph(
            f"the input has the shape {(None, *shape)}; export with fixed sizes for all but the "
            "number of examples"
        )
    spec = artifact_pb2.ModelSpec(input_shape=[size or 0 for size in shape], num_classes=2)
    for name, array in weights.items():
        spec.weights.add(
            name=name, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=list(array.shape)
        )
    spec.onnx = model.SerializeToString(deterministic=True)
    graph_checks.read_onnx(spec)
    outputs = value_shapes.infer_shapes(model, value_shapes.MIN_BATCH_SIZE).output_shape
    spec.num_classes = outputs[-1] if outputs else 0
    check_spec(spec)
    value_shapes.shape_graph(model, spec.num_classes)
    return spec
