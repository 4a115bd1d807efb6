from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import TENSOR_DTYPE_FLOAT32, TENSOR_DTYPE_UINT8, Tensor, TensorFile
from tests.support.paths import read_vectors


def refused(*tensors: Tensor) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        decode_tensors(canonical.encode(TensorFile(tensors=tensors)))
    assert caught.value.code is DataCode.BAD_TENSOR
    return caught.value


def refused_array(array: Any, name: str = "x") -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        encode_tensors({name: array})
    assert caught.value.code is DataCode.BAD_TENSOR
    return caught.value


def test_written_arrays_are_read() -> None:
    arrays: dict[str, Any] = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "labels": np.array([1, -2], dtype=np.int64),
        "pixels": np.array([[0, 255]], dtype=np.uint8),
        "count": np.array(-5, dtype=np.int32),
    }
    read = decode_tensors(encode_tensors(arrays))
    assert list(read) == list(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)


def test_views_cannot_be_written_to() -> None:
    read = decode_tensors(encode_tensors({"w": np.zeros(3, np.float32)}))
    with pytest.raises(ValueError, match="read-only"):
        read["w"][0] = 1


def test_layout_and_byte_order_of_the_input_do_not_matter() -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    plain = encode_tensors({"w": array})
    assert encode_tensors({"w": np.asfortranarray(array)}) == plain
    assert encode_tensors({"w": array.astype(">f4")}) == plain
    assert encode_tensors({"w": np.repeat(array, 2, axis=0)[::2]}) == plain


@pytest.mark.parametrize("size", [1, 100, 127, 128, 16_383, 16_384, 2_097_152])
def test_arrays_of_any_length_are_encoded_as_protobuf_does(size: int) -> None:
    array = np.arange(size, dtype=np.uint8)
    tensor = Tensor(name="x" * 9, dtype=TENSOR_DTYPE_UINT8, shape=[size], data=array.tobytes())
    scalar = Tensor(name="y", dtype=TENSOR_DTYPE_UINT8, data=b"\0")
    expected = canonical.encode(TensorFile(tensors=[tensor, scalar]))
    assert encode_tensors({"x" * 9: array, "y": np.array(0, np.uint8)}) == expected


def test_encoding_copies_the_numbers_once() -> None:
    arrays = {"w": np.zeros((512, 512), np.float32)}
    tracemalloc.start()
    try:
        raw = encode_tensors(arrays)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * len(raw)


def test_not_a_number_is_none_of_this_layers_business() -> None:
    read = decode_tensors(encode_tensors({"w": np.array([np.nan, np.inf], np.float32)}))
    assert np.isnan(read["w"][0])


def test_golden_tensors() -> None:
    for vector in read_vectors("tensors"):
        raw = bytes.fromhex(vector["raw"])
        read = decode_tensors(raw)
        assert encode_tensors(read) == raw
        assert [
            {"name": n, "dtype": a.dtype.str, "shape": list(a.shape), "values": a.ravel().tolist()}
            for n, a in read.items()
        ] == vector["tensors"]


@given(
    st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4, unique=True),
    st.sampled_from(["f4", "u1", "i4", "i8"]),
    st.lists(st.integers(1, 4), max_size=3),
)
def test_writing_loses_nothing(names: list[str], dtype: str, shape: list[int]) -> None:
    array = np.arange(np.prod(shape, dtype=int), dtype=dtype).reshape(shape)
    read = decode_tensors(encode_tensors(dict.fromkeys(names, array)))
    assert list(read) == names
    assert all(np.array_equal(value, array) for value in read.values())


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(2, np.float64),
        np.zeros(2, np.float16),
        np.zeros(2, np.uint32),
        np.zeros(2, bool),
        np.zeros(2, complex),
        np.array(["a"]),
        np.array([object()]),
        np.zeros(0, np.float32),
        np.zeros((2, 0), np.float32),
        np.zeros((1,) * 9, np.float32),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_that_cannot_be_written(array: Any) -> None:
    assert refused_array(array).field == "tensors[x]"


def test_names_and_counts() -> None:
    one = np.zeros(1, np.float32)
    refused_array(one, "")
    refused_array(one, "x" * 257)
    assert decode_tensors(encode_tensors({"x" * 256: one}))
    with pytest.raises(RefusalError, match="there are 0 tensors"):
        encode_tensors({})
    with pytest.raises(RefusalError, match="there are 4097 tensors"):
        encode_tensors({str(i): one for i in range(4_097)})


FOUR: dict[str, Any] = {"dtype": 1, "shape": [1], "data": bytes(4)}


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(name="", **FOUR),
        Tensor(name="x" * 257, **FOUR),
        Tensor(name="x", shape=[1], data=bytes(4)),
        Tensor(name="x", dtype=5, shape=[1], data=bytes(4)),  # type: ignore[arg-type]
        Tensor(name="x", dtype=TENSOR_DTYPE_FLOAT32, shape=[1], data=bytes(3)),
        Tensor(name="x", dtype=TENSOR_DTYPE_FLOAT32, shape=[1], data=bytes(5)),
        Tensor(name="x", dtype=TENSOR_DTYPE_FLOAT32, shape=[], data=b""),
        Tensor(name="x", dtype=TENSOR_DTYPE_FLOAT32, shape=[0], data=b""),
        Tensor(name="x", dtype=TENSOR_DTYPE_FLOAT32, shape=[2**32, 2**32], data=b""),
        Tensor(name="x", dtype=TENSOR_DTYPE_FLOAT32, shape=[2**63, 2], data=b""),
        Tensor(name="x", dtype=TENSOR_DTYPE_FLOAT32, shape=[2**62, 4, 1], data=bytes(4)),
        Tensor(name="x", dtype=TENSOR_DTYPE_FLOAT32, shape=[1] * 9, data=bytes(4)),
    ],
)
def test_files_that_are_refused(tensor: Tensor) -> None:
    refused(tensor)


def test_more_files_that_are_refused() -> None:
    refused()
    refused(Tensor(name="x", **FOUR), Tensor(name="x", **FOUR))
    refused(*(Tensor(name=str(i), **FOUR) for i in range(4_097)))


@given(st.binary(max_size=100))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        read = decode_tensors(raw)
    except RefusalError:
        return
    assert encode_tensors(read) == raw
