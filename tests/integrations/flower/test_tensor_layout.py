"""Records of arrays as artifacts, by name or by position."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")

from flwr.app import Array, ArrayRecord

from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.integrations.flower.tensor_layout import match_layout
from fedcoin.learning.errors import LearningCode
from fedcoin.v1 import artifact_pb2

SPEC = artifact_pb2.ModelSpec(input_shape=[2], num_classes=3)
for _name, _shape in (("w", [3, 2]), ("b", [3])):
    SPEC.weights.add(name=_name, dtype=artifact_pb2.TENSOR_DTYPE_FLOAT32, shape=_shape)


def record(dtype: str = "float32", **more: Array) -> ArrayRecord:
    """Return the model's arrays in another order than the model's, and more."""
    w, b = np.arange(6, dtype=dtype).reshape(3, 2), np.ones(3, dtype)
    return ArrayRecord({"b": Array(b), **more, "w": Array(w)})


def test_arrays_are_found_by_name_in_the_models_order() -> None:
    arrays = record(steps=Array(np.array(7, np.int64)))
    layout = match_layout(SPEC, arrays)
    tensors = decode_tensors(layout.encode(arrays))
    assert list(tensors) == ["w", "b"]
    assert tensors["w"].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_a_list_of_arrays_is_matched_by_position() -> None:
    arrays = ArrayRecord([np.zeros((3, 2), np.float32), np.ones(3, np.float32)])
    assert match_layout(SPEC, arrays).keys == ("0", "1")


def test_decoding_keeps_keys_order_dtypes_and_other_arrays() -> None:
    arrays = record("float16", steps=Array(np.array(7, np.int64)))
    layout = match_layout(SPEC, arrays)
    again = layout.decode(layout.encode(arrays), like=arrays)
    assert list(again) == ["b", "steps", "w"]
    assert [again[key].dtype for key in again] == ["float16", "int64", "float16"]
    assert again["w"].numpy().tolist() == arrays["w"].numpy().tolist()
    assert not layout.is_float32(arrays)
    assert layout.is_float32(record())


@pytest.mark.parametrize(
    ("arrays", "code"),
    [
        (ArrayRecord({"w": Array(np.zeros((3, 2), np.float32))}), LearningCode.WRONG_NAMES),
        (ArrayRecord([np.zeros((3, 2), np.float32)]), LearningCode.WRONG_NAMES),
        (
            ArrayRecord([np.zeros((2, 3), np.float32), np.ones(3, np.float32)]),
            LearningCode.WRONG_SHAPE,
        ),
    ],
)
def test_arrays_of_another_model_are_refused(arrays: ArrayRecord, code: LearningCode) -> None:
    with pytest.raises(RefusalError) as caught:
        match_layout(SPEC, arrays)
    assert caught.value.code is code


def test_an_update_without_an_array_is_refused() -> None:
    layout = match_layout(SPEC, record())
    with pytest.raises(RefusalError, match="the arrays lack w") as caught:
        layout.encode(ArrayRecord({"b": Array(np.ones(3, np.float32))}))
    assert caught.value.code is LearningCode.WRONG_NAMES
