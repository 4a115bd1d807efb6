"""Open `.npz` files: zip archives of NumPy arrays, without pickles."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from fedcoin.learning.files.stored_arrays import (
    BFLOAT16,
    Array,
    StoredArray,
    StoredArrays,
    check_count,
    check_dimensions,
    refusing_damage,
    unreadable,
    widen_bfloat16,
)

_KIND = "an .npz file"

# NumPy 2.2, the last one for Python 3.10, gives these functions no types.
_npy: Any = npy_format

# NumPy writes arrays of ml_dtypes' bfloat16 as two raw bytes for each number.
_RAW_BFLOAT16 = np.dtype("V2")


@contextmanager
def open_npz(path: Path) -> Iterator[StoredArrays]:
    """Open an `.npz` file.

    Args:
        path: The `.npz` file.

    Yields:
        Its arrays. An array of Python objects is listed, but refused when it is read.

    Raises:
        RefusalError: UNREADABLE_FILE when the file is no zip archive of arrays, or is damaged.
    """
    with refusing_damage(path, _KIND):
        archive = zipfile.ZipFile(path)
    with archive:
        with refusing_damage(path, _KIND):
            members = [info for info in archive.infolist() if info.filename.endswith(".npy")]
            check_count(path, len(members))
            arrays = {
                info.filename.removesuffix(".npy"): _describe(path, archive, info)
                for info in members
            }
        left_out = len(archive.infolist()) - len(members)
        remarks = (f"{left_out} members of the archive that are no arrays left out",)
        yield StoredArrays(path, "npz", arrays, remarks if left_out else ())


def write_npz(path: Path, arrays: dict[str, Array]) -> None:
    """Write arrays as an `.npz` file.

    Args:
        path: The file; an existing one is replaced.
        arrays: The arrays by name.

    Raises:
        OSError: The file cannot be written.
    """
    # Not by `savez`: a name could be that of one of its parameters.
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _npy.write_array(member, np.asarray(array), allow_pickle=False)


def _describe(path: Path, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> StoredArray:
    name = info.filename.removesuffix(".npy")
    with archive.open(info) as member:
        shape, is_fortran, dtype = _read_header(path, name, member)
    check_dimensions(path, name, shape, dtype)
    is_bfloat16 = dtype == _RAW_BFLOAT16

    def load() -> Array:
        if dtype.hasobject:
            raise unreadable(
                path,
                f"holds Python objects in {name[:64]}, which could run code; save numbers "
                "(`np.asarray(values, dtype=...)`)",
            )
        with refusing_damage(path, _KIND), archive.open(info) as member:
            _read_header(path, name, member)
            num_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
            raw = member.read(num_bytes)
            if len(raw) < num_bytes or member.read(1):
                raise unreadable(
                    path, f"is an .npz file that is damaged: {name[:64]} has another size"
                )
            if is_bfloat16:
                array = widen_bfloat16(raw, shape[::-1] if is_fortran else shape)
            else:
                numbers = np.frombuffer(raw, dtype) if num_bytes else np.empty(0, dtype)
                array = numbers.reshape(shape[::-1] if is_fortran else shape)
                array = array.astype(dtype.newbyteorder("="), copy=False)
            return array.T if is_fortran else array

    read_as = np.dtype(np.float32) if is_bfloat16 else dtype.newbyteorder("=")
    return StoredArray(shape, read_as, BFLOAT16 if is_bfloat16 else _dtype_name(dtype), load)


def _read_header(
    path: Path, name: str, member: IO[bytes]
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    readers = {(1, 0): _npy.read_array_header_1_0, (2, 0): _npy.read_array_header_2_0}
    version = _npy.read_magic(member)
    if version not in readers:
        raise unreadable(
            path, f"has {name[:64]} in version {version} of NumPy's format; save it again"
        )
    shape, is_fortran, dtype = readers[version](member)
    return shape, is_fortran, dtype


def _dtype_name(dtype: np.dtype[Any]) -> str:
    return dtype.name if dtype.isnative or dtype.itemsize < 2 else dtype.str
