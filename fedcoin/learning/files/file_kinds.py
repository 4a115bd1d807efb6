"""Tell what a file is from its first bytes, and name what is not read."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.artifact_format import is_artifact
from fedcoin.learning.files.stored_arrays import refusing_damage, unreadable


class FileKind(Enum):
    """The formats that are read; the value names the format for messages."""

    NPZ = "npz"
    """NumPy's archive of arrays."""
    SAFETENSORS = "safetensors"
    """A header in JSON, then the bytes of the arrays."""
    TORCH = "PyTorch"
    """A state dict, as `torch.save` writes it."""
    KERAS = "Keras model"
    """Keras' archive of a model, `.keras`."""
    HDF5 = "HDF5"
    """Datasets by path, which Keras' `.h5` files are too."""
    ARTIFACT = "FedCoin artifact"
    """Named arrays as nodes store them, such as a campaign's averages."""
    CSV = "CSV"
    """A table as text, with commas, tabs or other separators."""
    PARQUET = "Parquet"
    """A table by columns."""


_HEAD_BYTES = 512
_TORCH_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")
_STARTS = (
    (b"\x89HDF\r\n\x1a\n", FileKind.HDF5),
    (b"PAR1", FileKind.PARQUET),
    (_TORCH_LEGACY, FileKind.TORCH),
)
_TABLES = {".csv": FileKind.CSV, ".tsv": FileKind.CSV, ".txt": FileKind.CSV}
_SAVE_NUMBERS = "save numbers as .npz or .safetensors"
_UNREAD = (
    (b"\x93NUMPY", "is a single array (.npy); save arrays by name, `np.savez`"),
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file; run `git lfs pull`"),
    (b"\x1f\x8b", "is compressed by gzip; unpack it first"),
    (b"BZh", "is compressed by bzip2; unpack it first"),
    (b"\xfd7zXZ\x00", "is compressed by xz; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd; unpack it first"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it first"),
    (b"Rar!", "is a RAR archive; unpack it first"),
    (b"MATLAB", "is a MATLAB file; " + _SAVE_NUMBERS),
    (b"%PDF", "is a PDF document; " + _SAVE_NUMBERS),
    (b"SQLite format 3", "is an SQLite database; " + _SAVE_NUMBERS),
    (b"\x89PNG", "is a picture; " + _SAVE_NUMBERS),
    (b"\xff\xd8\xff", "is a picture; " + _SAVE_NUMBERS),
    (b"ARROW1", "is an Arrow file; save the table as CSV or Parquet"),
)  # fmt: skip


def identify_file(path: Path) -> FileKind:
    """Tell in which format a file is, by its content.

    Args:
        path: The file to look into.

    Returns:
        The format; the file may still be damaged.

    Raises:
        RefusalError: NO_FILE when there is no file; UNREADABLE_FILE when it cannot be opened, is a
            folder, is empty or in a format that is not read, which the message names.
    """
    if path.is_dir():
        raise unreadable(path, "is a folder; give a file")
    if not path.exists():
        raise RefusalError(
            LearningCode.NO_FILE, f"there is no file {path}; check the path", field=path.name
        )
    if not path.is_file():
        raise unreadable(path, "is not a regular file; give a file")
    with refusing_damage(path, "a file"), path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        size = os.fstat(file.fileno()).st_size
    if not head:
        raise unreadable(path, "is empty; it was not written to its end")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _identify_zip(path)
    for start, kind in _STARTS:
        if head.startswith(start):
            return kind
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return FileKind.SAFETENSORS
    if is_artifact(head):
        return FileKind.ARTIFACT
    _refuse_known(path, head)
    if path.suffix.lower() in _TABLES and _is_text(head):
        return _TABLES[path.suffix.lower()]
    raise unreadable(
        path,
        f"is {'a text file' if _is_text(head) else 'in an unknown format'} (it begins with "
        f"{head[:8]!r}), not one of {', '.join(kind.value for kind in FileKind)}",
    )


def _identify_zip(path: Path) -> FileKind:
    with refusing_damage(path, "a zip archive"), zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if "model.weights.h5" in names:
        return FileKind.KERAS
    if any(name.endswith(".npy") for name in names):
        return FileKind.NPZ
    if any(name.rpartition("/")[2] in ("data.pkl", "constants.pkl") for name in names):
        return FileKind.TORCH
    raise unreadable(path, f"is {_describe_zip(names)}; {_SAVE_NUMBERS}")


def _describe_zip(names: Sequence[str]) -> str:
    if not names:
        return "a zip archive without members"
    if "[Content_Types].xml" in names:
        return "an office document (such as a spreadsheet; export it as CSV)"
    if any(name.endswith(".pkl") for name in names):
        return "a zip archive of pickles, which could run code"
    return f"a zip archive, but no .npz: it holds {', '.join(name[:40] for name in names[:4])}"


def _refuse_known(path: Path, head: bytes) -> None:
    """Refuse a format that is recognised, but not read."""
    for start, sentence in _UNREAD:
        if head.startswith(start):
            raise unreadable(path, sentence)
    if head[257:262] == b"ustar":
        raise unreadable(path, "is a tar archive; unpack it first")
    if head[0] == 0x80 and len(head) > 1 and head[1] in range(2, 6):
        raise unreadable(
            path, f"is a pickle, which could run code when it is read; {_SAVE_NUMBERS}"
        )
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise unreadable(path, "is a web page, perhaps of a download that failed; fetch it again")
    if text.startswith((b"{", b"[")):
        raise unreadable(path, f"is JSON, not arrays; {_SAVE_NUMBERS}")
    if path.suffix.lower() == ".onnx":
        raise unreadable(path, "is an ONNX graph; give it as the model (--model)")


def _is_text(head: bytes) -> bool:
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        # The last character could be cut.
        if error.start < len(head) - 4:
            return False
    return b"\x00" not in head
