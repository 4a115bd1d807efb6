from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedcoin.data.artifacts.mapped_tensors import MappedArray, map_tensors
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.errors import RefusalError

ARRAYS: dict[str, Any] = {
    "weights": np.arange(600, dtype=np.float32).reshape(200, 3),
    "labels": np.array([1, -2], dtype=np.int64),
    "odd": np.array([[0, 255, 7]], dtype=np.uint8),
    "scalar": np.array(-5, dtype=np.int32),
}
RAW = encode_tensors(ARRAYS)


def test_written_arrays_are_read_piece_by_piece(tmp_path: Path) -> None:
    path = tmp_path / "tensors"
    path.write_bytes(RAW)
    mapped = map_tensors(path)
    assert list(mapped) == list(ARRAYS)
    for name, array in ARRAYS.items():
        found = mapped[name]
        assert isinstance(found, MappedArray)
        assert (found.dtype, found.shape, found.ndim) == (array.dtype, array.shape, array.ndim)
        if array.ndim:
            assert len(found) == len(array)
            np.testing.assert_array_equal(found[:], array)
        np.testing.assert_array_equal(found.read(), array)
    weights = mapped["weights"]
    for _ in range(2):  # Released pages are read again.
        np.testing.assert_array_equal(weights[50:60], ARRAYS["weights"][50:60])
        places = np.array([199, 0, 17])
        np.testing.assert_array_equal(weights[places], ARRAYS["weights"][places])
    copy = weights[:2]
    copy[:] = 0
    assert weights[1:2].any()


def outcome(function: Any, argument: object) -> Any:
    try:
        return function(argument)
    except RefusalError as refusal:
        return refusal


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.integers(0, len(RAW) - 1), max_size=2),
    values=st.lists(st.integers(0, 255), min_size=2, max_size=2),
    length=st.integers(0, len(RAW) + 3),
    head=st.booleans(),
)
def test_any_bytes_give_the_same_verdict_as_decoding(
    tmp_path: Path, places: list[int], values: list[int], length: int, head: bool
) -> None:
    raw = bytearray(RAW)
    for place, value in zip(places, values, strict=False):
        raw[place % 40 if head else place] = value
    raw = (raw + b"\x0a\x00\x01")[: length if length % 2 else len(RAW)]
    path = tmp_path / "tensors"
    path.write_bytes(raw)
    expected = outcome(decode_tensors, bytes(raw))
    found = outcome(map_tensors, path)
    if isinstance(expected, RefusalError):
        assert str(found) == str(expected)
        return
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].shape == array.shape
        if array.ndim:
            assert found[name][:].tobytes() == array.tobytes()
