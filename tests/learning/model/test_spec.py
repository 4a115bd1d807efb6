from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model import spec as specs
from fedcoin.v1 import artifact_pb2
from tests.support.small_models import (
    FLOAT32,
    dense,
    flatten,
    layer,
    mlp_spec,
    sequential,
)


def refused(spec: artifact_pb2.ModelSpec) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        specs.parse_spec(spec.SerializeToString())
    return caught.value


def with_json(model: Any) -> artifact_pb2.ModelSpec:
    spec = mlp_spec()
    spec.keras_json = model if isinstance(model, str) else json.dumps(model)
    return spec


def test_a_sound_spec_is_read() -> None:
    spec = mlp_spec()
    assert specs.parse_spec(spec.SerializeToString()) == spec
    assert specs.weight_shapes(spec) == {"w0": (16, 8), "w1": (8,), "w2": (8, 3), "w3": (3,)}


@pytest.mark.parametrize(
    "bad",
    [
        layer("Lambda", function="x"),
        layer("TFSMLayer", filepath="/etc"),
        layer("StringLookup", vocabulary="/etc/passwd"),
        {"module": "builtins", "class_name": "eval", "config": {}},
        {"module": "keras.utils", "class_name": "get_file", "config": {"origin": "http://x"}},
        {"module": "os", "class_name": "system", "config": "ls"},
        {"module": "keras.layers", "config": {}},
        {"module": "keras.layers", "class_name": ["Dense"], "config": {}},
        {"class_name": {}, "config": {}},
        {"class_name": "__lambda__", "config": {"value": "x"}},
        {"class_name": "Dense", "config": {}},
        {**dense(3), "registered_name": "mine>Dense"},
        layer("Bidirectional", layer=layer("Lambda", function="x")),
        layer("Dense", activation={"module": "builtins", "class_name": "function", "config": "f"}),
    ],
)
def test_only_plain_layers_are_taken(bad: dict[str, Any]) -> None:
    model = sequential((4, 4), flatten(), dense(3))
    model["config"]["layers"].append(bad)
    assert refused(with_json(model)).code is LearningCode.FORBIDDEN_LAYER


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "{}",
        '"Sequential"',
        "[" * 100_000,
        json.dumps({"module": "keras", "class_name": "Dense", "config": {}}),
        json.dumps({**sequential((4, 4), dense(3)), "compile_config": {"optimizer": "sgd"}}),
        json.dumps(sequential((4, 4), layer("Rescaling", scale=float("inf"), offset=0))),
    ],
)
def test_what_is_no_architecture_is_refused(text: str) -> None:
    assert refused(with_json(text)).code is LearningCode.BAD_MODEL


def test_nesting_is_bounded() -> None:
    deep: Any = 1
    for _ in range(specs.MAX_DEPTH + 1):
        deep = [deep]
    model = sequential((4, 4), layer("Reshape", target_shape=deep))
    assert refused(with_json(model)).code is LearningCode.BAD_MODEL


def test_size_is_bounded() -> None:
    assert refused(with_json(" " * (specs.MAX_JSON_BYTES + 1))).code is LearningCode.MODEL_TOO_LARGE
    huge = sequential((4, 4), dense(specs.MAX_INTEGER + 1))
    assert refused(with_json(huge)).code is LearningCode.MODEL_TOO_LARGE
    with pytest.raises(RefusalError) as caught:
        specs.parse_spec(bytes(specs.MAX_SPEC_BYTES + 1))
    assert caught.value.code is LearningCode.MODEL_TOO_LARGE
    spec = mlp_spec()
    spec.weights[0].shape[:] = [1 << 20, 1 << 10]
    assert refused(spec).code is LearningCode.MODEL_TOO_LARGE


def test_only_float32_is_taken() -> None:
    half = {**FLOAT32, "config": {"name": "mixed_float16"}}
    for policy in (half, "float64", "bfloat16"):
        model = sequential((4, 4), layer("Dense", units=3, dtype=policy))
        assert refused(with_json(model)).code is LearningCode.WRONG_DTYPE
    spec = mlp_spec()
    spec.weights[1].dtype = artifact_pb2.TENSOR_DTYPE_INT32
    assert refused(spec).code is LearningCode.WRONG_DTYPE


def test_fields_are_checked() -> None:
    def changed(**fields: Any) -> artifact_pb2.ModelSpec:
        spec = mlp_spec()
        for name, value in fields.items():
            if isinstance(value, list):
                getattr(spec, name)[:] = value
            else:
                setattr(spec, name, value)
        return spec

    changes: tuple[dict[str, Any], ...] = (
        {"input_shape": []},
        {"input_shape": [0, 4]},
        {"input_shape": [1 << 40]},
        {"input_shape": [1] * 8},
        {"num_classes": 0},
        {"num_classes": 100_001},
    )
    for fields in changes:
        assert refused(changed(**fields)).code is LearningCode.BAD_MODEL


def test_weights_are_checked() -> None:
    twice, unnamed, full, flat, none = (mlp_spec() for _ in range(5))
    twice.weights[1].name = "w0"
    unnamed.weights[1].name = ""
    full.weights[0].data = b"1234"
    flat.weights[0].shape[:] = [0, 4]
    del none.weights[:]
    for spec in (twice, unnamed, full, none):
        assert refused(spec).code is LearningCode.BAD_MODEL
    assert refused(flat).code is LearningCode.WRONG_SHAPE


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(RefusalError):
        specs.parse_spec(raw)
