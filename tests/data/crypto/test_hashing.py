from __future__ import annotations

import hashlib

import pytest

from fedcoin.data.crypto.hashing import SigningContext, sha256, signing_digest
from tests.support.paths import read_vectors


def test_parts_are_concatenated() -> None:
    assert sha256(b"a", b"", b"bc") == hashlib.sha256(b"abc").digest()


def test_golden_digests() -> None:
    for vector in read_vectors("hashing"):
        network = vector["network"]
        if isinstance(network, dict):
            network = bytes.fromhex(network["genesis_hash"])
        digest = signing_digest(
            SigningContext(vector["context"]), network, bytes.fromhex(vector["body"])
        )
        assert digest.hex() == vector["digest"]


def test_contexts_and_chains_separate() -> None:
    digests = {signing_digest(c, chain, b"x") for c in SigningContext for chain in ("a", "b")}
    assert len(digests) == 2 * len(SigningContext)


def test_a_nul_cannot_blur_the_chain_id() -> None:
    with pytest.raises(ValueError, match="NUL"):
        signing_digest(SigningContext.TX, "a\0b", b"")


def test_a_genesis_hash_is_no_chain_id_and_has_32_bytes() -> None:
    name = "a" * 32
    digests = {signing_digest(SigningContext.VOTE, n, b"x") for n in (name, name.encode())}
    assert len(digests) == 2
    with pytest.raises(ValueError, match="32 bytes"):
        signing_digest(SigningContext.VOTE, b"short", b"")
