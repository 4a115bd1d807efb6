"""Vectors of artifacts and of tensors in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fedcoin.data.artifacts.manifest import CHUNK_BYTES, build_manifest
from fedcoin.data.artifacts.reader_proofs import sign_reader_proof
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.crypto.hashing import SigningContext, sha256
from fedcoin.data.messages import canonical
from scripts.tools.vectors.samples import GENESIS_HASH, KEYS


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


def reader_proofs() -> list[dict[str, Any]]:
    """Ask a node and a coordinator for artifacts of a private campaign, each by its own proof."""
    made = []
    contexts = (SigningContext.READER, SigningContext.CLIENT_READER)
    for server, context in zip(KEYS[1:], contexts, strict=True):
        campaign, expires = sha256(b"campaign"), 1_800_000_000_000
        proof = sign_reader_proof(
            KEYS[0], GENESIS_HASH, server.public_key, campaign, expires, context
        )
        made.append(
            {
                "context": context.value,
                "seed": KEYS[0].seed.hex(),
                "genesis_hash": GENESIS_HASH.hex(),
                "server": server.public_key.hex(),
                "campaign_id": campaign.hex(),
                "expires_ms": expires,
                "body": proof.body.hex(),
                "signature": proof.signature.hex(),
                "raw": canonical.encode(proof).hex(),
                "address": KEYS[0].address.hex(),
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
