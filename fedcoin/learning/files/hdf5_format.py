"""Open Keras' files of weights: `.weights.h5`, the weights in `.keras`, and the older `.h5`.

Keras 3 numbers the variables of each layer (`layers/dense/vars/0`) under group names that it makes
of the classes. Only Keras knows which variable of a model a number is, so `model.weight_files` has
it read these files. The older `.h5` has the variables' names.

Attributes are not read: a damaged text among them can hold up the HDF5 library without end.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from fedcoin.learning.files.stored_arrays import (
    BFLOAT16,
    MAX_ARRAYS,
    MAX_BYTES,
    Array,
    StoredArray,
    StoredArrays,
    check_count,
    check_dimensions,
    refusing_damage,
    unreadable,
    widen_bfloat16,
)

KERAS_KIND = "Keras weights"
"""The kind of files whose variables are numbered."""

MAX_DEPTH = 64
"""The largest number of levels of nested groups."""

MAX_CONFIG_BYTES = 4 << 20
"""The largest size of the architecture in a `.keras` file, in bytes."""

_KIND = "an HDF5 file"

# Keras writes bfloat16 as two raw bytes for each number.
_RAW_BFLOAT16 = np.dtype("V2")
_WEIGHTS_MEMBER, _CONFIG_MEMBER = "model.weights.h5", "config.json"


@contextmanager
def open_hdf5(path: Path) -> Iterator[StoredArrays]:
    """Open a file of weights that Keras wrote in HDF5.

    Args:
        path: The HDF5 file.

    Yields:
        The model's weights; an optimizer's state is left out.

    Raises:
        RefusalError: UNREADABLE_FILE when the file is damaged, refers to other files or is not
            Keras'.
    """
    with _open(path, path) as stored:
        yield stored


@contextmanager
def open_keras(path: Path) -> Iterator[StoredArrays]:
    """Open the weights of a `.keras` file.

    Args:
        path: The `.keras` file.

    Yields:
        The model's weights, as `open_hdf5` gives them.

    Raises:
        RefusalError: UNREADABLE_FILE when the file is no Keras archive, or its weights are damaged.
    """
    with extract_weights(path) as weights, _open(weights, path) as stored:
        yield stored


@contextmanager
def extract_weights(path: Path) -> Iterator[Path]:
    """Copy the weights of a `.keras` file into a temporary file.

    Args:
        path: The `.keras` file.

    Yields:
        The path of a `.weights.h5` file, which is deleted at the end of the context.

    Raises:
        RefusalError: UNREADABLE_FILE when the file is no Keras archive or holds no weights.
    """
    with tempfile.TemporaryDirectory(prefix="fedcoin-keras-") as folder:
        target = Path(folder) / _WEIGHTS_MEMBER
        target.write_bytes(_read_member(path, _WEIGHTS_MEMBER, MAX_BYTES))
        yield target


def read_architecture(path: Path) -> str:
    """Read the architecture in a `.keras` file.

    Args:
        path: The `.keras` file.

    Returns:
        Keras' JSON, as `model.to_json()` gives it, without how the model was compiled.

    Raises:
        RefusalError: UNREADABLE_FILE when the file is no Keras archive or its architecture is
            damaged.
    """
    raw = _read_member(path, _CONFIG_MEMBER, MAX_CONFIG_BYTES)
    with refusing_damage(path, "a Keras file"):
        config = json.loads(raw, object_hook=_leave_out_memory)
        return json.dumps(config)


def _leave_out_memory(node: dict[str, Any]) -> dict[str, Any]:
    """Leave out what `model.to_json()` does not have: losses, and addresses of Python objects."""
    return {
        key: value
        for key, value in node.items()
        if key not in ("compile_config", "shared_object_id")
    }


@contextmanager
def _open(weights: Path, path: Path) -> Iterator[StoredArrays]:
    """Open a file; messages name `path`, from which it was taken."""
    import h5py

    with refusing_damage(path, _KIND):
        file = h5py.File(weights, "r")
    with file:
        with refusing_damage(path, _KIND):
            stored = _list_arrays(path, file)
        yield stored


def _read_member(path: Path, member: str, max_bytes: int) -> bytes:
    with refusing_damage(path, "a Keras file"), zipfile.ZipFile(path) as archive:
        # Keras does not compress; a member that expands is not Keras'.
        limit = min(max_bytes, path.stat().st_size)
        size = archive.getinfo(member).file_size
        if size > limit:
            raise unreadable(path, f"has {member} of {size} bytes; the limit is {limit}")
        return archive.read(member)


def _list_arrays(path: Path, file: Any) -> StoredArrays:
    weights = file.get("model_weights", file)
    if "layer_names" in weights.attrs:
        # The path within a layer's group is the variable's name.
        named = {
            name.partition("/")[2].removesuffix(":0"): array
            for name, array in _walk(path, weights, "", set())
        }
        check_count(path, len(named))
        return StoredArrays(path, "HDF5", named)
    if "layers" not in file and "_layer_checkpoint_dependencies" not in file:
        raise unreadable(
            path,
            f"is an HDF5 file, but not one of Keras' weights: it holds {', '.join(list(file)[:6])};"
            " save weights by `model.save_weights('NAME.weights.h5')`, data as .npz",
        )
    numbered = {
        name: array
        for name, array in _walk(path, file, "", set())
        if not name.startswith("optimizer/")
    }
    check_count(path, len(numbered))
    remarks = ("the optimizer's state left out",) if "optimizer" in file else ()
    return StoredArrays(path, KERAS_KIND, numbered, remarks)


def _walk(path: Path, group: Any, prefix: str, seen: set[Any]) -> Iterator[tuple[str, StoredArray]]:
    """List the arrays below a group; `seen` groups again would be a circle of links."""
    import h5py

    if group.id in seen or len(seen) > MAX_ARRAYS or prefix.count("/") > MAX_DEPTH:
        raise unreadable(
            path, f"is an HDF5 file of more than {MAX_ARRAYS} groups, or deeper than {MAX_DEPTH}"
        )
    seen.add(group.id)
    for key in group:
        child = _member(path, group, key)
        name = f"{prefix}{key}"
        if isinstance(child, h5py.Group):
            yield from _walk(path, child, name + "/", seen)
        else:
            yield name, _describe(path, name, child)


def _member(path: Path, group: Any, key: str) -> Any:
    """Get a member of a group, which must be in the same file."""
    import h5py

    if not isinstance(group.get(key, getlink=True), h5py.HardLink):
        raise unreadable(path, f"refers to another place for {key[:64]}; save the model again")
    return group[key]


def _describe(path: Path, name: str, dataset: Any) -> StoredArray:
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.external or dataset.is_virtual:
        raise unreadable(path, f"holds {name[:64]} elsewhere than in itself; save the model again")
    shape, dtype = tuple(int(size) for size in dataset.shape or ()), dataset.dtype
    if dtype.kind not in "biufV":
        raise unreadable(path, f"holds {name[:64]} as {dtype}, which is not a dtype of weights")
    check_dimensions(path, name, shape, dtype)
    is_bfloat16 = dtype == _RAW_BFLOAT16

    def load() -> Array:
        with refusing_damage(path, _KIND):
            array: Array = np.asarray(dataset[()])
            if is_bfloat16:
                return widen_bfloat16(array.tobytes(), shape)
            return array.astype(dtype.newbyteorder("="), copy=False)

    if is_bfloat16:
        return StoredArray(shape, np.dtype(np.float32), BFLOAT16, load)
    return StoredArray(shape, dtype.newbyteorder("="), dtype.name, load)
