"""Files as NumPy, safetensors, Keras and PyTorch write them, and files that are none of these."""

from __future__ import annotations

import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files import stored_arrays
from fedcoin.learning.files.array_files import open_arrays, write_arrays
from fedcoin.learning.files.file_kinds import FileKind, identify_file

RNG = np.random.default_rng(5)
NUMBERS = RNG.normal(size=(3, 4, 2)).astype(np.float32)


def read(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    with open_arrays(path) as stored:
        return stored.load(list(stored.arrays))


def refusal(path: Path) -> str:
    with pytest.raises(RefusalError) as caught:
        read(path)
    assert caught.value.code in (LearningCode.UNREADABLE_FILE, LearningCode.NO_FILE)
    assert str(path) in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize(
    "array",
    [
        NUMBERS,
        NUMBERS.astype(np.float16),
        NUMBERS.astype(np.float64),
        NUMBERS.astype(">f8"),
        np.asfortranarray(NUMBERS),
        NUMBERS.T,
        NUMBERS[::2, 1:, ::-1],
        np.float32(1.5),
        np.empty((0, 3), np.float32),
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype.str}-{np.shape(array)}",
)
def test_numbers_survive_whatever_their_layout(
    tmp_path: Path, suffix: str, array: np.ndarray[Any, Any]
) -> None:
    path = tmp_path / f"a{suffix}"
    write_arrays(path, {"w/x": np.asarray(array)})
    loaded = read(path)["w/x"]
    assert loaded.shape == np.shape(array)
    assert loaded.dtype == np.asarray(array).dtype.newbyteorder("=")
    np.testing.assert_array_equal(loaded, array)


@pytest.mark.parametrize("compressed", [False, True])
def test_files_that_numpy_wrote(tmp_path: Path, compressed: bool) -> None:
    import ml_dtypes

    path = tmp_path / "a.npz"
    half = NUMBERS.astype(ml_dtypes.bfloat16)
    save = np.savez_compressed if compressed else np.savez
    save(path, *[NUMBERS, NUMBERS.T.astype(">f4")], half=half, turned=half.T)
    with open_arrays(path) as stored:
        assert stored.arrays["half"].stored_as == "bfloat16"
        loaded = stored.load(list(stored.arrays))
    np.testing.assert_array_equal(loaded["arr_0"], NUMBERS)
    np.testing.assert_array_equal(loaded["arr_1"], NUMBERS.T)
    np.testing.assert_array_equal(loaded["half"], half.astype(np.float32))
    np.testing.assert_array_equal(loaded["turned"], half.T.astype(np.float32))


def test_files_of_the_safetensors_library(tmp_path: Path) -> None:
    numpy_files = pytest.importorskip("safetensors.numpy")
    import ml_dtypes

    ours, theirs = tmp_path / "ours.safetensors", tmp_path / "theirs.safetensors"
    arrays = {"a": NUMBERS, "b": NUMBERS.astype(np.float16)[0], "n": np.arange(5)}
    numpy_files.save_file(arrays, theirs, metadata={"format": "np"})
    for name, array in read(theirs).items():
        np.testing.assert_array_equal(array, arrays[name])
    # The library's own writer scrambles transposed arrays; ours must not.
    write_arrays(ours, {**arrays, "t": NUMBERS.T, "f": np.asfortranarray(NUMBERS)})
    loaded = numpy_files.load_file(ours)
    np.testing.assert_array_equal(loaded["t"], NUMBERS.T)
    np.testing.assert_array_equal(loaded["f"], NUMBERS)
    raw = NUMBERS.astype(ml_dtypes.bfloat16).tobytes()
    header = json.dumps(
        {"w": {"dtype": "BF16", "shape": NUMBERS.shape, "data_offsets": [0, len(raw)]}}
    ).encode()
    theirs.write_bytes(struct.pack("<Q", len(header)) + header + raw)
    np.testing.assert_array_equal(
        read(theirs)["w"], NUMBERS.astype(ml_dtypes.bfloat16).astype(np.float32)
    )


def torch_files(tmp_path: Path) -> tuple[Any, Path]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    return torch, tmp_path / "a.pt"


def test_state_dicts_of_pytorch(tmp_path: Path) -> None:
    torch, path = torch_files(tmp_path)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).bfloat16()
    for content, legacy in (
        (model.state_dict(), False),
        (model.state_dict(), True),
        ({"epoch": 3, "model_state_dict": model.state_dict()}, False),
    ):
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        assert identify_file(path) is FileKind.TORCH
        with open_arrays(path) as stored:
            loaded = stored.load(list(stored.arrays))
            assert bool(stored.remarks) == ("epoch" in content)
        for name, tensor in model.state_dict().items():
            np.testing.assert_array_equal(loaded[name], tensor.float().numpy())
    write_arrays(path, {"t": NUMBERS.T})
    np.testing.assert_array_equal(torch.load(path, weights_only=True)["t"].numpy(), NUMBERS.T)


def test_whole_networks_and_views_of_pytorch(tmp_path: Path, monkeypatch: Any) -> None:
    torch, path = torch_files(tmp_path)
    torch.save(torch.nn.Linear(2, 2), path)
    assert "state_dict" in refusal(path)
    torch.save([torch.ones(2)], path)
    assert "list" in refusal(path)
    monkeypatch.setattr(stored_arrays, "MAX_BYTES", 1 << 20)
    torch.save({"w": torch.ones(1).expand(1 << 40)}, path)
    assert "limit" in refusal(path)


def test_a_pytorch_file_without_pytorch_says_what_to_do(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(RefusalError) as caught:
        read(path)
    assert caught.value.code is LearningCode.MISSING_PACKAGE
    assert "safetensors" in caught.value.message


def zip_of(*names: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, b"x")

    return write


def hdf5_of(write: Callable[[Any], None]) -> Callable[[Path], None]:
    def write_file(path: Path) -> None:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            write(file)

    return write_file


def link_elsewhere(file: Any) -> None:
    import h5py

    file["layers/dense/vars/0"] = h5py.ExternalLink("/etc/passwd", "/x")


def safetensors_of(header: object, body: bytes = b"") -> Callable[[Path], None]:
    raw = json.dumps(header).encode()
    return lambda path: void(path.write_bytes(struct.pack("<Q", len(raw)) + raw + body))


def void(_: object) -> None:
    return None


def entry(shape: object, offsets: object, dtype: str = "F32") -> object:
    return {"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: path.mkdir(), "a folder"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_bytes(pickle.dumps({"w": [1]})), "a pickle"),
        (lambda path: path.write_bytes(pickle.dumps([1], protocol=2)), "a pickle"),
        (lambda path: path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS"),
        (lambda path: path.write_bytes(b"\x1f\x8b\x08abc"), "gzip"),
        (lambda path: path.write_bytes(b"<!DOCTYPE html><html>"), "web page"),
        (lambda path: path.write_bytes(b'{"a": 1}'), "JSON"),
        (lambda path: path.write_bytes(b"hello there"), "a text file"),
        (lambda path: path.write_bytes(bytes(range(200, 256))), "unknown format"),
        (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), "single array"),
        (lambda path: path.write_bytes(b"PK\x03\x04 cut"), "damaged"),
        (zip_of(), "without members"),
        (zip_of("readme.txt", "a.csv"), "no .npz: it holds readme.txt"),
        (zip_of("weights.pkl"), "of pickles"),
        (zip_of("[Content_Types].xml"), "office document"),
        (zip_of("model.weights.h5", "config.json"), "damaged"),
        (hdf5_of(lambda file: file.create_dataset("x", data=[1.0])), "not one of Keras'"),
        (hdf5_of(link_elsewhere), "another place"),
        (hdf5_of(lambda file: file.create_dataset("layers/a/vars/0", (1 << 40,), "f4",
                                                  chunks=(1024,))), "limit"),
        (lambda path: np.savez(path, w=np.array([{}], object)), "Python objects"),
        (safetensors_of(entry([2], [0, 8])), "damaged or cut"),
        (safetensors_of(entry([1 << 50], [0, 1 << 52]), b"1234"), "limit"),
        (safetensors_of(entry([-1], [0, -4])), "no array can have"),
        (safetensors_of(entry([1.0], [0, 4]), b"1234"), "no integer"),
        (safetensors_of(entry([1], [0, 4], "F8_E4M3"), b"1234"), "F8_E4M3"),
        (safetensors_of([1]), "unknown format"),
        (safetensors_of({"w": 1}), "damaged"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_named(
    tmp_path: Path, write: Callable[[Path], object], sentence: str
) -> None:
    path = tmp_path / "file.npz"
    write(path)
    assert sentence in refusal(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RefusalError) as caught:
        read(tmp_path / "none.npz")
    assert caught.value.code is LearningCode.NO_FILE


def npy(shape: object, data: bytes = b"", descr: str = "<f4") -> bytes:
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


@pytest.mark.parametrize(
    ("member", "sentence"),
    [
        (npy((1 << 60,)), "limit"),
        (npy((1 << 20,), b"1234"), "another size"),
        (npy((1,), b"12345678"), "another size"),
        (npy((-3,), b"1234"), "no array can have"),
        (npy("(1,) * 40", b"1234"), "damaged"),
        (npy((1,), b"1234", "|O"), "Python objects"),
        (b"nonsense", "damaged"),
        (b"\x93NUMPY\x03\x00" + b"\0" * 20, "version"),
    ],
)
def test_arrays_that_claim_what_they_do_not_hold(
    tmp_path: Path, member: bytes, sentence: str
) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("w.npy", member)
    assert sentence in refusal(path)


def test_all_arrays_together_are_bounded(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.zeros(1 << 16), b=np.zeros(1 << 16))
    monkeypatch.setattr(stored_arrays, "MAX_BYTES", 800_000)
    assert "limit" in refusal(path)


def test_other_endings_and_dtypes_are_not_written(tmp_path: Path) -> None:
    for name, array, code in (
        ("a.csv", NUMBERS, LearningCode.BAD_FORMAT),
        ("a.npz", np.array(["text"]), LearningCode.WRONG_DTYPE),
        ("a.safetensors", NUMBERS.astype(np.complex64), LearningCode.WRONG_DTYPE),
    ):
        with pytest.raises(RefusalError) as caught:
            write_arrays(tmp_path / name, {"w": array})
        assert caught.value.code is code
        assert not (tmp_path / name).exists()


def test_artifacts_as_nodes_store_them(tmp_path: Path) -> None:
    path = tmp_path / "average"
    arrays: dict[str, Any] = {
        # Lengths of one byte and of two, of the tensor and of its name.
        "b": np.arange(3, dtype=np.float32),
        "n" * 256: NUMBERS,
        "labels": np.arange(400, dtype=np.int64),
    }
    for names in (list(arrays), list(arrays)[::-1], [list(arrays)[1]]):
        path.write_bytes(encode_tensors({name: arrays[name] for name in names}))
        assert identify_file(path) is FileKind.ARTIFACT
        found = read(path)
        assert list(found) == names
        for name, array in found.items():
            np.testing.assert_array_equal(array, arrays[name])
            assert array.dtype == arrays[name].dtype
    path.write_bytes(path.read_bytes()[:-1])
    assert "is a FedCoin artifact that is damaged" in refusal(path)
    for text in ("\n", "\n\n\n", "\n\x05\n\x01x", "\n\x08\n\x02ab\n"):
        path.write_text(text)
        assert "FedCoin artifact that" not in refusal(path)
