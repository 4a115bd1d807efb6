"""Check a ModelSpec's ONNX graph from an untrusted sender: its form, not yet its shapes.

The form is narrow, so that little has to be trusted: one graph without subgraphs, functions, custom
operators and external files, whose inputs are the examples and the weights, whose constants are
small, and in which nothing is left unused. `onnx_files` brings an exporter's file into this form.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.onnx_models.operators import (
    ALLOWED_OPERATORS,
    MAX_IR_VERSION,
    MAX_OPSET,
    MIN_IR_VERSION,
    MIN_OPSET,
    STANDARD_DOMAINS,
)
from fedcoin.v1 import artifact_pb2

MAX_ONNX_BYTES = 1 << 20
"""The largest size of the serialised ModelProto in bytes, constants included."""

MAX_NODES = 10_000
"""The largest number of nodes in a graph."""

INPUT_TYPES = ("FLOAT", "INT32", "INT64")
"""Element types that the input of the examples may have, as ONNX names them."""

_USUAL_ADVICE = (
    "export a network of standard operators that only compute, without control flow, random "
    "numbers or quantisation"
)

_ADVICE = {
    "LinearClassifier": "use fedcoin.integrations.sklearn for linear classifiers",
    "Loop": "in PyTorch an EmbeddingBag is a loop: use an Embedding and its mean",
}
"""What to do about an operator that users meet often."""

CONSTANT_BYTES = {"FLOAT": 4, "DOUBLE": 8, "INT32": 4, "INT64": 8, "BOOL": 1}
"""Element types that a graph's constants may have, and the bytes of each element."""


def read_onnx(spec: artifact_pb2.ModelSpec) -> Any:
    """Parse a spec's ONNX graph and check its form.

    Args:
        spec: The model, whose `onnx` is set and whose other fields have been checked.

    Returns:
        An `onnx.ModelProto`: the first input of its graph takes the examples, the others the
        spec's weights in their order.

    Raises:
        RefusalError: MODEL_TOO_LARGE when it has too many bytes or nodes; BAD_MODEL when it is not
            a ModelProto, or its graph has another form than this module describes;
            FORBIDDEN_LAYER when it uses an operator that is not allowed; WRONG_DTYPE when an input
            or a constant has another element type; WRONG_SHAPE when its inputs are not the
            weights that the spec lists.
    """
    if len(spec.onnx) > MAX_ONNX_BYTES:
        raise too_large(f"{len(spec.onnx)} bytes", f"{MAX_ONNX_BYTES} bytes")
    import onnx

    try:
        model = onnx.ModelProto.FromString(spec.onnx)
    except DecodeError as error:
        raise bad_graph("the bytes are not an ONNX ModelProto") from error
    _check_versions(model)
    graph = model.graph
    if len(graph.node) > MAX_NODES:
        raise too_large(f"{len(graph.node)} nodes", f"{MAX_NODES} nodes")
    if graph.sparse_initializer or graph.quantization_annotation or graph.value_info:
        raise bad_graph("the graph must not hold sparse tensors, quantisation or value_info")
    if len(graph.output) != 1:
        raise bad_graph(f"the graph has {len(graph.output)} outputs; it must have one")
    for tensor in graph.initializer:
        check_constant(tensor)
    for node in graph.node:
        check_node(node)
    _check_inputs(graph, spec)
    _check_values(graph)
    return model


def check_node(node: Any) -> None:
    """Check that a node uses an allowed operator in an allowed way.

    Args:
        node: An `onnx.NodeProto`.

    Raises:
        RefusalError: FORBIDDEN_LAYER when the operator is not allowed; BAD_MODEL when an attribute
            is a graph or of another kind that is not allowed, or the node is in training mode; a
            code of `check_constant` for a tensor in an attribute.
    """
    import onnx

    if node.domain not in STANDARD_DOMAINS or node.op_type not in ALLOWED_OPERATORS:
        raise RefusalError(
            LearningCode.FORBIDDEN_LAYER,
            f"the graph uses the operator {node.domain[:32] or 'ai.onnx'}.{node.op_type[:64]}, "
            f"which is not allowed; {_ADVICE.get(node.op_type, _USUAL_ADVICE)}",
            field="onnx",
        )
    for attribute in node.attribute:
        kind = attribute.type
        forbidden = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)
        if kind in forbidden or attribute.ref_attr_name or attribute.HasField("g"):
            raise bad_graph(f"a node {node.op_type} has a graph as its attribute")
        if attribute.sparse_tensor.ByteSize() or attribute.sparse_tensors or attribute.tensors:
            raise bad_graph(f"a node {node.op_type} has an attribute of a kind that is not allowed")
        if kind == onnx.AttributeProto.TENSOR:
            check_constant(attribute.t)
        if attribute.name == "training_mode" and attribute.i:
            raise bad_graph(f"a node {node.op_type} is in training mode; export for inference")
    if node.op_type == "Dropout" and len(node.input) > 2 and node.input[2]:
        raise bad_graph("a Dropout is in training mode; export for inference")


def check_constant(tensor: Any) -> None:
    """Check that a constant lies in the graph, whole and with an allowed type.

    Args:
        tensor: An `onnx.TensorProto`.

    Raises:
        RefusalError: BAD_MODEL when it lies outside the graph or holds another number of numbers
            than its shape says; WRONG_DTYPE when its element type is not allowed.
    """
    import onnx

    if tensor.data_location != onnx.TensorProto.DEFAULT or tensor.external_data:
        raise bad_graph(f"the constant {tensor.name[:64]} lies outside the graph")
    size = CONSTANT_BYTES.get(type_name(tensor.data_type))
    if size is None:
        raise wrong_type(f"the constant {tensor.name[:64]}", tensor.data_type)
    count = math.prod(tensor.dims)
    listed = (tensor.float_data, tensor.double_data, tensor.int32_data, tensor.int64_data)
    held = len(tensor.raw_data) // size if tensor.raw_data else max(map(len, listed))
    if min(tensor.dims, default=0) < 0 or count != held or tensor.HasField("segment"):
        raise bad_graph(f"the constant {tensor.name[:64]} holds {held} numbers, not {count}")


def element_shape(tensor_type: Any) -> tuple[int | None, ...]:
    """Return the shape in a tensor's type.

    Args:
        tensor_type: An `onnx.TypeProto.Tensor`.

    Returns:
        Each dimension, None for one without a fixed size.
    """
    dims = tensor_type.shape.dim
    return tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in dims)


def type_name(data_type: int) -> str:
    """Return ONNX's name of an element type.

    Args:
        data_type: A value of `onnx.TensorProto.DataType`.

    Returns:
        The name, such as "FLOAT"; the number as text when ONNX does not know it.
    """
    import onnx

    known = data_type in onnx.TensorProto.DataType.values()
    return str(onnx.TensorProto.DataType.Name(data_type)) if known else str(data_type)


def bad_graph(sentence: str) -> RefusalError:
    """Describe a graph that is not accepted.

    Args:
        sentence: What is wrong and what is allowed, as a sentence.

    Returns:
        A refusal with code BAD_MODEL.
    """
    return RefusalError(LearningCode.BAD_MODEL, f"onnx: {sentence}", field="onnx")


def too_large(value: str, limit: str) -> RefusalError:
    """Describe a graph that exceeds a limit.

    Args:
        value: The size that the graph has, in words.
        limit: The largest size allowed, in words.

    Returns:
        A refusal with code MODEL_TOO_LARGE.
    """
    sentence = f"the ONNX graph has {value}; the limit is {limit}"
    return RefusalError(LearningCode.MODEL_TOO_LARGE, sentence, field="onnx", limit=limit)


def wrong_type(what: str, data_type: int) -> RefusalError:
    """Describe a value whose element type is not allowed.

    Args:
        what: The name of the value for the message.
        data_type: Its `onnx.TensorProto.DataType`.

    Returns:
        A refusal with code WRONG_DTYPE.
    """
    return RefusalError(
        LearningCode.WRONG_DTYPE,
        f"{what} is {type_name(data_type)}; export the network in float32, in which all machines "
        "get nearly the same results",
        field="onnx",
        limit="float32",
    )


def _check_versions(model: Any) -> None:
    if not MIN_IR_VERSION <= model.ir_version <= MAX_IR_VERSION:
        raise bad_graph(
            f"the IR version is {model.ir_version}; it must be {MIN_IR_VERSION} to {MAX_IR_VERSION}"
        )
    if model.functions or model.training_info:
        raise bad_graph("the model must not hold functions or training information")
    versions = [entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS]
    if len(versions) != 1 or not MIN_OPSET <= versions[0] <= MAX_OPSET:
        raise bad_graph(
            f"the operator set's version is {versions}; export with one of {MIN_OPSET} to "
            f"{MAX_OPSET}"
        )


def _check_inputs(graph: Any, spec: artifact_pb2.ModelSpec) -> None:
    import onnx

    if len(graph.input) != len(spec.weights) + 1:
        raise _wrong_inputs(
            f"the graph has {len(graph.input)} inputs for the examples and {len(spec.weights)} "
            "weights"
        )
    examples, *weights = graph.input
    if type_name(examples.type.tensor_type.elem_type) not in INPUT_TYPES:
        raise wrong_type(f"the input {examples.name[:64]}", examples.type.tensor_type.elem_type)
    shape, expected = element_shape(examples.type.tensor_type), (None, *spec.input_shape)
    if shape != expected:
        raise bad_graph(
            f"the input {examples.name[:64]} has the shape {shape}; it must be {expected}, with a "
            "batch size that is left open"
        )
    for info, weight in zip(weights, spec.weights, strict=True):
        if info.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
            raise wrong_type(f"the weight {info.name[:64]}", info.type.tensor_type.elem_type)
        taken, listed = element_shape(info.type.tensor_type), tuple(weight.shape)
        if (info.name, taken) != (weight.name, listed):
            raise _wrong_inputs(
                f"the graph takes {info.name[:64]} of shape {taken} where the spec lists "
                f"{weight.name} of shape {listed}"
            )


def _check_values(graph: Any) -> None:
    """Check that each value is made once, before it is read, and that none is left unused."""
    known: set[str] = set()
    for name in _made_values(graph):
        if not name or name in known:
            raise bad_graph(f"the value {name[:64]!r} has no name or is made twice")
        known.add(name)
    made = {info.name for info in (*graph.input, *graph.initializer)}
    for node in graph.node:
        unknown = next((name for name in node.input if name and name not in made), None)
        if unknown is not None:
            raise bad_graph(f"a node {node.op_type} reads {unknown[:64]}, which no node made")
        made.update(node.output)
    unused = find_unused(graph)
    if unused:
        raise bad_graph(
            f"the output does not depend on {', '.join(name[:64] for name in unused[:4])}; leave "
            "out inputs, weights, constants and nodes that are not used"
        )


def find_unused(graph: Any) -> list[str]:
    """List what a graph's output does not depend on.

    Args:
        graph: An `onnx.GraphProto` whose nodes are in the order of computation.

    Returns:
        The names of inputs and initializers, and of the first outputs of nodes.
    """
    needed = {info.name for info in graph.output}
    unused = []
    for node in reversed(graph.node):
        if needed.isdisjoint(node.output):
            unused.append(node.output[0] if node.output else node.op_type)
        else:
            needed.update(node.input)
    values: Iterable[Any] = (*graph.input, *graph.initializer)
    return [*(value.name for value in values if value.name not in needed), *unused]


def _made_values(graph: Any) -> Iterator[str]:
    for value in (*graph.input, *graph.initializer):
        yield value.name
    for node in graph.node:
        if not node.output or not node.output[0]:
            yield ""
        yield from (name for name in node.output if name)


def _wrong_inputs(sentence: str) -> RefusalError:
    return RefusalError(
        LearningCode.WRONG_SHAPE,
        f"the spec's weights do not match its architecture: {sentence}",
        field="weights",
    )
