"""Files of exporters: which of their initializers are weights, and what is left of the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import onnx_files
from fedcoin.learning.model.onnx_models import graph_checks
from fedcoin.learning.model.spec import parse_spec
from tests.support.onnx_graphs import graph_model, node

RNG = np.random.default_rng(6)
WEIGHTS = {"w": RNG.normal(size=(4, 3)).astype(np.float32), "b": np.zeros(3, np.float32)}
HALF = np.array(0.5, np.float32)


def exported() -> Any:
    """A model as an exporter writes it: weights among the constants, names for everything."""
    nodes = [node("Mul", "x half", "s"), node("Gemm", "s w b", "y", name="/fc/Gemm")]
    model = graph_model(nodes, (4,), {}, {**WEIGHTS, "half": HALF})
    model.producer_name = "pytorch"
    model.graph.node[0].doc_string = "line 3 of a private file"
    model.graph.value_info.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, [None, 4]))
    return model


def test_weights_become_inputs_and_scalars_stay() -> None:
    network = onnx_files.from_onnx(exported())
    assert [weight.name for weight in network.spec.weights] == ["w", "b"]
    assert np.array_equal(network.weights["w"], WEIGHTS["w"])
    assert not network.weights["b"].any()
    assert (network.spec.num_classes, list(network.spec.input_shape)) == (3, [4])
    assert b"private" not in network.spec.onnx
    assert b"pytorch" not in network.spec.onnx
    graph = graph_checks.read_onnx(parse_spec(network.spec.SerializeToString())).graph
    assert [tensor.name for tensor in graph.initializer] == ["half"]


def test_a_written_file_says_which_are_weights(tmp_path: Path) -> None:
    """Also a scalar weight and a constant vector survive."""
    weights = {**WEIGHTS, "half": HALF}
    network = onnx_files.from_onnx(exported(), ["w", "half"])
    assert list(network.weights) == ["w", "half"]
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_files.to_onnx_file(network))
    again = onnx_files.read_onnx_file(str(path))
    assert again.spec == network.spec
    assert all(np.array_equal(again.weights[name], weights[name]) for name in again.weights)
    onnx.checker.check_model(onnx.load(path))


def test_weights_beside_the_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(exported(), path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert (tmp_path / "net.data").exists()
    spec, tensors = onnx_files.create_onnx_model(str(path), (4,), 3)
    assert np.array_equal(decode_tensors(tensors)["w"], WEIGHTS["w"])
    assert parse_spec(spec).num_classes == 3
    with pytest.raises(RefusalError, match="the data set needs") as caught:
        onnx_files.create_onnx_model(str(path), (5,), 3)
    assert caught.value.code is LearningCode.BAD_MODEL


def test_a_label_beside_the_scores_is_left_out() -> None:
    """Exporters of classifiers write the most probable class as a second output."""
    model = exported()
    model.graph.node.append(node("ArgMax", "y", "label", axis=1))
    model.graph.output.insert(0, helper.make_tensor_value_info("label", TensorProto.INT64, [None]))
    assert onnx_files.from_onnx(model).spec == onnx_files.from_onnx(exported()).spec


def test_a_fixed_batch_is_opened() -> None:
    model = exported()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    assert onnx_files.from_onnx(model).spec == onnx_files.from_onnx(exported()).spec


def test_functions_are_inlined() -> None:
    model = exported()
    model.graph.node[1].CopyFrom(helper.make_node("Dense", ["s", "w", "b"], ["y"], domain="own"))
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    model.opset_import.append(opsets[1])
    model.functions.append(
        helper.make_function("own", "Dense", ["a", "k", "c"], ["o"],
                             [node("Gemm", "a k c", "o")], opsets)
    )  # fmt: skip
    network = onnx_files.from_onnx(model)
    graph = onnx.ModelProto.FromString(network.spec.onnx).graph
    assert [item.op_type for item in graph.node] == ["Mul", "Gemm"]


def second_input(model: Any) -> None:
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, [None, 4]))
    model.graph.node[0].input[1] = "mask"


def second_output(model: Any) -> None:
    model.graph.output.append(helper.make_tensor_value_info("s", TensorProto.FLOAT, [None, 4]))


def open_size(model: Any) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "length"


def no_weights(model: Any) -> None:
    del model.graph.node[1]
    model.graph.node[0].output[0] = "y"


def old_operators(model: Any) -> None:
    model.opset_import[0].version = 11


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (second_input, r"inputs \(x, mask\)"),
        (second_output, r"outputs \(y, s\)"),
        (open_size, "fixed sizes"),
        (no_weights, "0 weights"),
        (old_operators, "13 to 23"),
    ],
)
def test_other_files_are_refused(change: Any, sentence: str) -> None:
    model = exported()
    change(model)
    with pytest.raises(RefusalError, match=sentence) as caught:
        onnx_files.from_onnx(model)
    assert caught.value.code is LearningCode.BAD_MODEL


@pytest.mark.parametrize("content", [b"{}", b"", None])
def test_files_of_other_kinds_are_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RefusalError) as caught:
        onnx_files.read_onnx_spec(str(path))
    assert caught.value.code in (LearningCode.UNKNOWN_MODEL, LearningCode.BAD_MODEL)
