"""ONNX graphs of strangers: what is accepted, and the sentence of each refusal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.onnx_models import graph_checks, live_values, value_shapes
from fedcoin.learning.model.spec import check_spec, parse_spec
from fedcoin.learning.model.work import count_work
from fedcoin.v1 import artifact_pb2
from tests.conftest import ReportAttack
from tests.support.onnx_graphs import changed, graph_spec, mlp_spec, node


def refused(spec: artifact_pb2.ModelSpec) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        check_spec(spec)
    return caught.value


def test_a_graph_survives_the_wire() -> None:
    spec = mlp_spec()
    assert parse_spec(spec.SerializeToString()) == spec


def replace_first(**fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.graph.node[0], name, value)

    return change


def add_loop(model: Any) -> None:
    body = helper.make_graph([], "body", [], [])
    model.graph.node[0].attribute.append(helper.make_attribute("body", body))


def add_external(model: Any) -> None:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "c")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    model.graph.initializer.append(tensor)


def add_constant(array: NDArray[Any]) -> Callable[[Any], None]:
    return lambda model: model.graph.initializer.append(numpy_helper.from_array(array, "c"))


def add_false_size(model: Any) -> None:
    tensor = numpy_helper.from_array(np.zeros(4, np.float32), "c")
    tensor.dims[0] = 1 << 40
    model.graph.initializer.append(tensor)


CHANGES: dict[str, tuple[Callable[[Any], Any], LearningCode, str]] = {
    "control flow": (
        replace_first(op_type="Loop"), LearningCode.FORBIDDEN_LAYER, "ai.onnx.Loop"),
    "a random number": (
        replace_first(op_type="RandomNormalLike"), LearningCode.FORBIDDEN_LAYER, "Random"),
    "a custom domain": (
        replace_first(domain="com.microsoft"), LearningCode.FORBIDDEN_LAYER, "com.microsoft"),
    "a shape that depends on numbers": (
        replace_first(op_type="NonZero"), LearningCode.FORBIDDEN_LAYER, "NonZero"),
    "a subgraph": (add_loop, LearningCode.BAD_MODEL, "has a graph as its attribute"),
    "an external file": (add_external, LearningCode.BAD_MODEL, "outside the graph"),
    "a size that is not there": (add_false_size, LearningCode.BAD_MODEL, "holds 4 numbers"),
    "float16": (add_constant(np.zeros(2, np.float16)), LearningCode.WRONG_DTYPE, "FLOAT16"),
    "an unused constant": (
        add_constant(np.zeros(2, np.float32)), LearningCode.BAD_MODEL, "does not depend on c"),
    "too many bytes": (
        add_constant(np.zeros(1 << 18, np.float32)), LearningCode.MODEL_TOO_LARGE, "1048576"),
    "a function": (
        lambda model: model.functions.add(name="f"), LearningCode.BAD_MODEL, "functions"),
    "training": (
        lambda model: model.training_info.add(), LearningCode.BAD_MODEL, "training"),
    "an old operator set": (
        lambda model: setattr(model.opset_import[0], "version", 9),
        LearningCode.BAD_MODEL, "13 to 23"),
    "an unknown file format": (
        lambda model: setattr(model, "ir_version", 99), LearningCode.BAD_MODEL, "IR version"),
    "two outputs": (
        lambda model: model.graph.output.add(name="h"), LearningCode.BAD_MODEL, "2 outputs"),
    "declared shapes": (
        lambda model: model.graph.value_info.add(name="h"), LearningCode.BAD_MODEL, "value_info"),
    "a value that nobody made": (
        lambda model: model.graph.node[1].input.__setitem__(0, "ghost"),
        LearningCode.BAD_MODEL, "reads ghost"),
    "a value made twice": (
        lambda model: model.graph.node[2].output.__setitem__(0, "h"),
        LearningCode.BAD_MODEL, "made twice"),
    "a fixed batch": (
        lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[0], "dim_value", 8),
        LearningCode.BAD_MODEL, "left open"),
    "another example": (
        lambda model: setattr(model.graph.input[0].type.tensor_type.shape.dim[1], "dim_value", 8),
        LearningCode.BAD_MODEL, "must be"),
    "doubles as examples": (
        lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", 11),
        LearningCode.WRONG_DTYPE, "DOUBLE"),
    "another weight": (
        lambda model: setattr(model.graph.input[1].type.tensor_type.shape.dim[0], "dim_value", 7),
        LearningCode.WRONG_SHAPE, "w1"),
    "a weight that is not listed": (
        lambda model: model.graph.input.append(
            helper.make_tensor_value_info("w3", TensorProto.FLOAT, [3])),
        LearningCode.WRONG_SHAPE, "4 weights"),
    "dropout in training": (
        lambda model: model.graph.node[0].CopyFrom(
            helper.make_node("BatchNormalization", ["x"], ["flat"], training_mode=1)),
        LearningCode.BAD_MODEL, "training mode"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_refusals(name: str) -> None:
    change, code, sentence = CHANGES[name]
    refusal = refused(changed(mlp_spec(), change))
    assert refusal.code is code
    assert sentence in refusal.message


def test_no_architecture_is_refused() -> None:
    spec = mlp_spec()
    spec.ClearField("architecture")
    assert refused(spec).code is LearningCode.BAD_MODEL


@pytest.mark.parametrize("raw", [b"\xff\xff", b""])
def test_other_bytes_are_refused(raw: bytes) -> None:
    spec = mlp_spec()
    spec.onnx = raw
    assert refused(spec).code is LearningCode.BAD_MODEL


def shapes_refused(spec: artifact_pb2.ModelSpec) -> RefusalError:
    check_spec(spec)
    with pytest.raises(RefusalError) as caught:
        count_work(spec)
    return caught.value


def test_operators_that_do_not_fit_together_are_refused() -> None:
    nodes = [node("Flatten", "x", "flat"), node("Gemm", "flat w", "y")]
    refusal = shapes_refused(graph_spec(nodes, (4,), {"w": (5, 3)}, 3))
    assert (refusal.code, "Gemm" in refusal.message) == (LearningCode.BAD_MODEL, True)


def test_shapes_that_depend_on_the_examples_are_refused() -> None:
    nodes = [
        node("ReduceSum", "x", "total", keepdims=0),
        node("Cast", "total", "size", to=TensorProto.INT64),
        node("Unsqueeze", "size zero", "sizes"),
        node("Expand", "w sizes", "wide"),
        node("MatMul", "x wide", "y"),
    ]
    spec = graph_spec(nodes, (4,), {"w": (4, 1)}, 3, {"zero": np.array([0])})
    refusal = shapes_refused(spec)
    assert (refusal.code, "not known before" in refusal.message) == (LearningCode.BAD_MODEL, True)


def test_the_declared_output_does_not_count() -> None:
    """The width is inferred; what the sender declares about it is ignored."""
    nodes = [node("Gemm", "x w", "y")]
    spec = graph_spec(nodes, (4,), {"w": (4, 5)}, 3)
    model = onnx.ModelProto.FromString(spec.onnx)
    model.graph.output[0].CopyFrom(
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])
    )
    spec.onnx = model.SerializeToString()
    assert "(3, 5)" in shapes_refused(spec).message


def test_a_bomb_is_refused_before_it_runs() -> None:
    nodes = [
        node("Tile", "x times", "many"),
        node("ReduceMax", "many axes", "top", keepdims=1),
        node("Gemm", "top w", "y"),
    ]
    spec = graph_spec(
        nodes, (1,), {"w": (1, 3)}, 3, {"times": np.array([1, 1 << 40]), "axes": np.array([1])}
    )
    assert shapes_refused(spec).code is LearningCode.MODEL_TOO_LARGE


def make_wide(count: int) -> list[Any]:
    """Make `count` values of 2^24 numbers an example, then add them up one after the other."""
    made = [node("Expand", "x sizes", f"wide{k}") for k in range(count)]
    sums = [node("Add", f"sum{k} wide{k}", f"sum{k + 1}") for k in range(1, count)]
    sums[0].input[0] = "wide0"
    return [*made, *sums, node("ReduceMax", f"sum{count} axes", "top", keepdims=1)]


def make_folded(count: int) -> list[Any]:
    """Read one number of each of `count` constants of 2^24 numbers."""
    made = [node("ConstantOfShape", "length", f"wide{k}") for k in range(count)]
    parts = [node("Gather", f"wide{k} zero", f"part{k}") for k in range(count)]
    return [*made, *parts, node("Sum", " ".join(["x", *(f"part{k}" for k in range(count))]), "top")]


@pytest.mark.attack
@pytest.mark.parametrize(("make", "few", "many"), [(make_wide, 3, 4), (make_folded, 63, 65)])
def test_many_large_values_at_a_time_are_refused(
    make: Callable[[int], list[Any]], few: int, many: int, report_attack: ReportAttack
) -> None:
    constants = {
        "make_wide": {"sizes": np.array([1, 1 << 24]), "axes": np.array([1])},
        "make_folded": {"length": np.array([1 << 24]), "zero": np.array([0])},
    }[make.__name__]

    def build(count: int) -> artifact_pb2.ModelSpec:
        nodes = [*make(count), node("Gemm", "top w", "y")]
        return graph_spec(nodes, (1,), {"w": (1, 3)}, 3, constants)

    assert count_work(build(few)) > 0
    refusal = shapes_refused(build(many))
    assert (refusal.code, "at a time" in refusal.message) == (LearningCode.MODEL_TOO_LARGE, True)
    report_attack(
        "a graph of some kilobytes makes large values and reads them later",
        "there were no graphs; 40 constants took 2.7 GB when they were loaded",
        f"more than {live_values.MAX_LIVE_NUMBERS:,} numbers at a time are refused: "
        "`MODEL_TOO_LARGE`",
    )


def test_work_is_that_of_the_products() -> None:
    """A convolution and a product of matrices, computed by hand; everything else adds little."""
    nodes = [
        node("Conv", "x k", "maps", group=2, pads=[1, 1, 1, 1]),
        node("LeakyRelu", "maps", "active"),
        node("Flatten", "active", "flat"),
        node("Gemm", "flat w", "y"),
    ]
    spec = graph_spec(nodes, (4, 64, 64), {"k": (8, 2, 3, 3), "w": (8 * 4096, 10)}, 10)
    products = 8 * 4096 * 2 * 9 + 8 * 4096 * 10
    assert products < count_work(spec) < 1.6 * products


def test_batches_are_smaller_for_wide_values() -> None:
    def batch_size(width: int) -> int:
        nodes = [node("Gemm", "x a", "h"), node("Gemm", "h b", "y")]
        spec = graph_spec(nodes, (1,), {"a": (1, width), "b": (width, 2)}, 2)
        return value_shapes.shape_graph(graph_checks.read_onnx(spec), 2).batch_size

    assert [batch_size(width) for width in (10, 20_000, 1 << 18)] == [256, 48, 16]
