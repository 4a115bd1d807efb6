from __future__ import annotations

import hashlib

import pytest

from fedcoin.data.crypto.hashing import SigningContext, sha256, signing_digest
from tests.support.genesis import GENESIS_HASH, OTHER_GENESIS_HASH
from tests.support.paths import read_vectors


def test_parts_are_concatenated() -> None:
    assert sha256(b"a", b"", b"bc") == hashlib.sha256(b"abc").digest()


def test_golden_digests() -> None:
    for vector in read_vectors("hashing"):
        digest = signing_digest(
            SigningContext(vector["context"]),
            bytes.fromhex(vector["genesis_hash"]),
            bytes.fromhex(vector["body"]),
        )
        assert digest.hex() == vector["digest"]


def test_contexts_and_networks_separate() -> None:
    networks = (GENESIS_HASH, OTHER_GENESIS_HASH)
    digests = {signing_digest(c, network, b"x") for c in SigningContext for network in networks}
    assert len(digests) == 2 * len(SigningContext)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_genesis_hash_of_another_length_cannot_blur_the_body(length: int) -> None:
    with pytest.raises(ValueError, match=f"has {length} bytes"):
        signing_digest(SigningContext.TX, bytes(length), b"")
