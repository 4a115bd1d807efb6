"""Open PyTorch's files of tensors by its loader that runs no code (`weights_only=True`)."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.files.stored_arrays import (
    Array,
    StoredArray,
    StoredArrays,
    check_count,
    check_dimensions,
    refusing_damage,
    unreadable,
)

_KIND = "a PyTorch file"
_NESTED = ("state_dict", "model_state_dict", "model", "module", "net")
"""The entries of a checkpoint under which training programs keep the state dict."""


@contextmanager
def open_torch(path: Path) -> Iterator[StoredArrays]:
    """Open a file of `torch.save(model.state_dict(), path)`, or a checkpoint that holds one.

    Args:
        path: The file of tensors.

    Yields:
        The tensors of the state dict.

    Raises:
        RefusalError: MISSING_PACKAGE without PyTorch; UNREADABLE_FILE when the file is damaged or
            holds something else than tensors, such as a whole network.
    """
    torch = _import_torch(path)
    is_zip = zipfile.is_zipfile(path)
    if is_zip:
        _check_sizes(path)
    with refusing_damage(path, _KIND):
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
        except Exception as error:
            if "weights_only" not in str(error).lower():
                raise
            raise unreadable(
                path,
                "is a PyTorch file that holds more than tensors, such as a whole network, which "
                "could run code; save `model.state_dict()` instead",
            ) from error
        tensors, remarks = _find_state_dict(torch, path, content)
        check_count(path, len(tensors))
        arrays = {
            str(name): _describe(torch, path, str(name), tensor) for name, tensor in tensors.items()
        }
    yield StoredArrays(path, "PyTorch", arrays, remarks)


def write_torch(path: Path, arrays: dict[str, Array]) -> None:
    """Write arrays as a state dict.

    Args:
        path: The file; an existing one is replaced.
        arrays: The arrays by name.

    Raises:
        RefusalError: MISSING_PACKAGE without PyTorch.
        OSError: The file cannot be written.
    """
    torch = _import_torch(path)
    tensors = {name: torch.from_numpy(np.array(array, order="C")) for name, array in arrays.items()}
    with path.open("wb") as file:
        torch.save(tensors, file)


def _import_torch(path: Path) -> Any:
    try:
        import torch
    except ImportError as error:
        raise RefusalError(
            LearningCode.MISSING_PACKAGE,
            f"{path} is a PyTorch file, for which PyTorch must be installed here (pip install "
            "torch); or save it as safetensors (safetensors.torch.save_file)",
            field=path.name,
        ) from error
    return torch


def _check_sizes(path: Path) -> None:
    with refusing_damage(path, _KIND), zipfile.ZipFile(path) as archive:
        size = sum(info.file_size for info in archive.infolist())
        # PyTorch does not compress; a file that expands is not PyTorch's.
        if size > os.path.getsize(path):
            raise unreadable(path, f"expands to {size} bytes, which no file of PyTorch does")


def _find_state_dict(
    torch: Any, path: Path, content: Any
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    remarks: tuple[str, ...] = ()
    if isinstance(content, Mapping) and not _holds_tensors(torch, content):
        inner = [key for key in _NESTED if _holds_tensors(torch, content.get(key))]
        if inner:
            remarks = (f"read from the entry {inner[0]!r} of a checkpoint",)
            content = content[inner[0]]
    if not _holds_tensors(torch, content):
        raise unreadable(
            path,
            f"is a PyTorch file of a {type(content).__name__}, not of tensors by name; save "
            "`model.state_dict()`",
        )
    named = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    return named, remarks


def _holds_tensors(torch: Any, value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) for name in value)
        and any(isinstance(item, torch.Tensor) for item in value.values())
    )


def _describe(torch: Any, path: Path, name: str, tensor: Any) -> StoredArray:
    stored_as = str(tensor.dtype).removeprefix("torch.")
    if tensor.is_quantized or tensor.is_sparse or tensor.dtype.is_complex:
        raise unreadable(
            path, f"holds {name[:64]} as a quantised, sparse or complex tensor ({stored_as})"
        )
    shape = tuple(int(size) for size in tensor.shape)
    is_widened = tensor.dtype.is_floating_point and tensor.dtype not in (
        torch.float16, torch.float32, torch.float64,
    )  # fmt: skip
    dtype = np.dtype(np.float32 if is_widened else stored_as)
    check_dimensions(path, name, shape, dtype)

    def load() -> Array:
        with refusing_damage(path, _KIND):
            detached = tensor.detach()
            plain: Array = (detached.float() if is_widened else detached).contiguous().numpy()
            return plain

    return StoredArray(shape, dtype, stored_as, load)
