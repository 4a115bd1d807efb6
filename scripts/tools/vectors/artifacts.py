"""Vectors of artifacts and of tensors in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.data.artifacts.tensors import encode_tensors


def artifacts() -> list[dict[str, Any]]:
    """Cut artifacts of several sizes into chunks."""
    made = []
    for unit, times in ((b"x", 1), (b"fed", 1), (b"coin", CHUNK_BYTES // 4), (b"fedcoin", 200_000)):
        manifest = build_manifest(unit * times)
        made.append(
            {
                "unit": unit.hex(),
                "times": times,
                "size": manifest.size,
                "id": manifest.id.hex(),
                "chunk_hashes": [value.hex() for value in manifest.chunk_hashes],
            }
        )
    return made


def tensors() -> list[dict[str, Any]]:
    """Encode tensors of several types."""
    files: list[dict[str, np.ndarray[Any, Any]]] = [
        {"bias": np.array([0.5, -1.25], "<f4"), "kernel": np.arange(6, dtype="<f4").reshape(2, 3)},
        {"x": np.array([[0, 255]], "u1"), "y": np.array([7, -7], "<i8")},
        {"scalar": np.array(-5, "<i4")},
    ]
    return [
        {
            "tensors": [
                {
                    "name": name,
                    "dtype": array.dtype.str,
                    "shape": list(array.shape),
                    "values": array.ravel().tolist(),
                }
                for name, array in file.items()
            ],
            "raw": encode_tensors(file).hex(),
        }
        for file in files
    ]
