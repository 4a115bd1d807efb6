from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import (
    check_evaluation_set,
    check_shards,
)
from fedcoin.learning.model.token_ids import vocabulary_size
from fedcoin.v1 import artifact_pb2
from tests.support.small_models import mlp_spec


def keras_spec(class_name: str, layers: list[Any]) -> artifact_pb2.ModelSpec:
    architecture = {
        "module": "keras",
        "class_name": class_name,
        "config": {"name": "model", "layers": layers},
        "registered_name": class_name,
    }
    return artifact_pb2.ModelSpec(
        keras_json=json.dumps(architecture), input_shape=[2], num_classes=2
    )


def layer(class_name: str, *sources: str, **config: Any) -> dict[str, Any]:
    arguments = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": [source, 0, 0]}}
        for source in sources
    ]
    return {
        "module": "keras.layers",
        "class_name": class_name,
        "config": {"name": class_name.lower(), **config},
        "registered_name": None,
        "inbound_nodes": [{"args": arguments, "kwargs": {}}] if sources else [],
    }


def embedding_spec(rows: int) -> artifact_pb2.ModelSpec:
    spec = keras_spec(
        "Sequential",
        [
            layer("InputLayer", batch_shape=[None, 2]),
            layer("Embedding", input_dim=rows, output_dim=3),
            layer("Flatten"),
            layer("Dense", units=2),
        ],
    )
    for name, shape in (("e", (rows, 3)), ("k", (6, 2)), ("b", (2,))):
        spec.weights.add(name=name, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=shape)
    return spec


def test_vocabularies() -> None:
    assert vocabulary_size(embedding_spec(7)) == 7
    assert vocabulary_size(mlp_spec()) is None
    inputs = layer("InputLayer", batch_shape=[None, 2])
    table = layer("Embedding", "inputlayer", input_dim=5, output_dim=3)
    assert vocabulary_size(keras_spec("Functional", [inputs, table])) == 5
    scaled = layer("Rescaling", "inputlayer", scale=0.5)
    behind = layer("Embedding", "rescaling", input_dim=5, output_dim=3)
    assert vocabulary_size(keras_spec("Functional", [inputs, scaled, behind])) is None
    assert vocabulary_size(artifact_pb2.ModelSpec(keras_json='{"class_name": 3}')) is None


def test_vocabularies_of_onnx_graphs() -> None:
    import onnx

    helper = onnx.helper
    ids = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 2])
    table = helper.make_tensor_value_info("e", onnx.TensorProto.FLOAT, [6, 3])
    output = helper.make_tensor_value_info("o", onnx.TensorProto.FLOAT, ["batch", 2, 3])
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=onnx.TensorProto.INT64),
        helper.make_node("Gather", ["e", "i"], ["o"]),
    ]
    model = helper.make_model(helper.make_graph(nodes, "g", [ids, table], [output]))
    spec = artifact_pb2.ModelSpec(onnx=model.SerializeToString(), input_shape=[2])
    spec.weights.add(name="e", shape=[6, 3])
    assert vocabulary_size(spec) == 6


@pytest.mark.parametrize("wrong", [7, -1, 1000])
def test_ids_beyond_the_vocabulary_are_refused(wrong: int) -> None:
    spec = embedding_spec(7)
    y = np.array([0, 1])
    good = np.array([[0, 6], [3, 3]], np.float32)
    check_evaluation_set(spec, good, y)
    check_evaluation_set(spec, good.astype(np.int32), y)
    check_shards(spec.SerializeToString(), [encode_tensors({"x": good, "y": y})])
    bad = np.array([[0, 6], [wrong, 3]], np.float32)
    for x in (bad, bad.astype(np.int32)):
        with pytest.raises(RefusalError, match=f"the id {wrong}; .* 0 to 6") as caught:
            check_evaluation_set(spec, x, y)
        assert caught.value.code is LearningCode.OUT_OF_RANGE
    with pytest.raises(RefusalError):
        check_shards(spec.SerializeToString(), [encode_tensors({"x": bad, "y": y})])
    with pytest.raises(RefusalError) as caught:
        check_shards(spec.SerializeToString(), [encode_tensors({"x": bad[:, :1], "y": y})])
    assert caught.value.code is LearningCode.WRONG_SHAPE
