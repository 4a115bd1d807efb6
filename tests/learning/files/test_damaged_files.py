"""Files with bytes changed, cut and added: a refusal or arrays, never another exception."""

from __future__ import annotations

import io
import sys
import zipfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.files.array_files import open_arrays, write_arrays

ARRAYS: dict[str, Any] = {
    "dense/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "dense/bias": np.zeros(3, np.float16),
    "count": np.int64(3),
}


@cache
def whole_file(kind: str) -> bytes:
    """A small file of each format that is read in this process, without the libraries of others."""
    if kind == "stored.npz":
        buffer = io.BytesIO()
        np.savez(buffer, **ARRAYS)
        return buffer.getvalue()
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"a.{kind}"
        if kind == "artifact":
            whole = {name: np.asarray(array, np.float32) for name, array in ARRAYS.items()}
            whole["count"] = whole["count"].reshape(1)
            return encode_tensors(whole)
        if kind == "pt":
            import torch

            torch.save({name: torch.tensor(array) for name, array in ARRAYS.items()}, path)
        else:
            write_arrays(path, ARRAYS)
        return path.read_bytes()


def mutate(content: bytes, changes: list[tuple[float, bytes, int]]) -> bytes:
    for place, written, replaced in changes:
        start = int(place * len(content))
        content = content[:start] + written + content[start + replaced :]
    return content


CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.binary(max_size=9)
        | st.sampled_from([b"\xff" * 8, b"9" * 12, b"(1, -1)", b"|O", b"<V9"]),
        st.integers(0, 12) | st.just(1 << 20),
    ),
    min_size=1,
    max_size=5,
)


def read_all(content: bytes, folder: str) -> int:
    path = Path(folder) / "file"
    path.write_bytes(content)
    try:
        with open_arrays(path) as stored:
            return len(stored.load(list(stored.arrays)))
    except RefusalError:
        return -1


@pytest.mark.parametrize("kind", ["npz", "stored.npz", "safetensors", "pt", "artifact"])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=CHANGES, is_first=st.booleans())
def test_damaged_files(kind: str, changes: list[tuple[float, bytes, int]], is_first: bool) -> None:
    if kind == "pt" and "torch" not in sys.modules:
        pytest.importorskip("torch", reason="PyTorch is not installed")
    with TemporaryDirectory() as folder:
        read_all(mutate(whole_file(kind), changes), folder)


@cache
def keras_file(is_numbered: bool, is_archive: bool) -> bytes:
    """Weights as Keras writes them in HDF5, or in a `.keras` archive."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        root = "layers/dense/vars" if is_numbered else "model_weights/dense/model/dense"
        for name, array in (("0", ARRAYS["dense/kernel"]), ("1", ARRAYS["dense/bias"])):
            file[f"{root}/{name}"] = array
        file[root.partition("/")[0]].attrs["layer_names"] = ["dense"]
    if not is_archive:
        return buffer.getvalue()
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", buffer.getvalue())
    return archived.getvalue()


# The HDF5 library is not made for damaged files: always the same ones, so that a crash of it is
# not a matter of luck.
@pytest.mark.parametrize(
    ("is_numbered", "is_archive"), [(True, False), (False, False), (True, True)]
)
@settings(max_examples=150, deadline=None, derandomize=True)
@given(changes=CHANGES)
def test_damaged_files_of_keras(
    is_numbered: bool, is_archive: bool, changes: list[tuple[float, bytes, int]]
) -> None:
    whole = keras_file(is_numbered, is_archive)
    with TemporaryDirectory() as folder:
        assert read_all(whole, folder) == 2
        read_all(mutate(whole, changes), folder)


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=200), head=st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02"]))
def test_any_bytes(content: bytes, head: bytes) -> None:
    with TemporaryDirectory() as folder:
        assert read_all(head + content, folder) == -1 or zipfile.is_zipfile(
            io.BytesIO(head + content)
        )
