"""Open and write files of named arrays, whatever their format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.artifact_format import open_artifact
from fedcoin.learning.files.file_kinds import FileKind, identify_file
from fedcoin.learning.files.hdf5_format import open_hdf5, open_keras
from fedcoin.learning.files.npz_format import open_npz, write_npz
from fedcoin.learning.files.safetensors_format import open_safetensors, write_safetensors
from fedcoin.learning.files.stored_arrays import Array, ArrayFormat, StoredArrays, unreadable
from fedcoin.learning.files.torch_format import open_torch, write_torch

_FORMATS: dict[FileKind, ArrayFormat] = {
    FileKind.NPZ: open_npz,
    FileKind.SAFETENSORS: open_safetensors,
    FileKind.TORCH: open_torch,
    FileKind.KERAS: open_keras,
    FileKind.HDF5: open_hdf5,
    FileKind.ARTIFACT: open_artifact,
}
_WRITERS: dict[str, Callable[[Path, dict[str, Array]], None]] = {
    ".npz": write_npz,
    ".safetensors": write_safetensors,
    ".pt": write_torch,
    ".pth": write_torch,
}

WRITTEN_SUFFIXES = tuple(_WRITERS)
"""The endings of files that `write_arrays` writes."""


@contextmanager
def open_arrays(path: Path) -> Iterator[StoredArrays]:
    """Open a file of named arrays: npz, safetensors, PyTorch, Keras weights or an artifact.

    Args:
        path: The file. Its content decides, not its name.

    Yields:
        The arrays, which must be read before the context ends.

    Raises:
        RefusalError: NO_FILE when there is no file; UNREADABLE_FILE when it is damaged or in
            another format; MISSING_PACKAGE when its format needs a package that is not installed,
            such as PyTorch.
    """
    kind = identify_file(path)
    if kind not in _FORMATS:
        raise unreadable(path, f"is a table ({kind.value}), not a file of named arrays")
    with _FORMATS[kind](path) as stored:
        yield stored


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write named arrays in the format that the file's ending names.

    Args:
        path: The file, which ends in one of `WRITTEN_SUFFIXES`; an existing one is replaced.
        arrays: Arrays of bool, integers or floating-point numbers by name.

    Raises:
        RefusalError: BAD_FORMAT for another ending; WRONG_DTYPE for arrays that are no numbers;
            MISSING_PACKAGE for a PyTorch file without PyTorch.
        OSError: The file cannot be written.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise RefusalError(
            LearningCode.BAD_FORMAT,
            f"{path.name} has the ending {path.suffix!r}; files are written as "
            f"{', '.join(WRITTEN_SUFFIXES)}",
            field="out",
            limit=", ".join(WRITTEN_SUFFIXES),
        )
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise RefusalError(
                LearningCode.WRONG_DTYPE,
                f"{name} is {array.dtype}, which is not written; give numbers of up to 64 bits",
                field=name,
            )
    writer(path, {name: np.asarray(array) for name, array in arrays.items()})
