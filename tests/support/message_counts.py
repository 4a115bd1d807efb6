"""Counts how often messages are decoded, hashed and verified in this process.

The functions at the bottom are wrapped, below anything that could remember a result: protobuf's
parsers, SHA-256 as it makes transactions' ids, and libsodium's check of a signature.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from nacl import bindings

from fedcoin.data.crypto import hashing
from fedcoin.data.messages import transactions
from fedcoin.v1 import block_pb2, transaction_pb2, vote_pb2

SIGNATURE_BYTES = 64
_ID_CONTEXTS = (b"fedcoin/txid/v1\0", b"fedcoin/policy-txid/v1\0")


class MessageCounts:
    """How often each message was decoded or verified, by its bytes."""

    def __init__(self) -> None:
        self.envelopes: Counter[bytes] = Counter()
        self.bodies: Counter[bytes] = Counter()
        self.ids: Counter[bytes] = Counter()
        self.votes: Counter[bytes] = Counter()
        self.blocks: Counter[bytes] = Counter()
        self.verified: Counter[bytes] = Counter()
        """How often each signature was verified."""


@contextmanager
def counting() -> Iterator[MessageCounts]:
    """Count decodings, hashes and verifications while inside."""
    counts = MessageCounts()
    parsed = (
        (transaction_pb2.SignedTransaction, counts.envelopes),
        (transaction_pb2.TransactionBody, counts.bodies),
        (vote_pb2.Vote, counts.votes),
        (block_pb2.Block, counts.blocks),
    )
    with pytest.MonkeyPatch.context() as patch:
        for message, counter in parsed:
            patch.setattr(message, "FromString", staticmethod(_counted(message, counter)))
        open_signed, digest = bindings.crypto_sign_open, hashing.sha256

        def verify(signed: bytes, public_key: bytes) -> bytes:
            counts.verified[signed[:SIGNATURE_BYTES]] += 1
            return bytes(open_signed(signed, public_key))

        def sha256(*parts: bytes) -> bytes:
            if parts[0] in _ID_CONTEXTS:
                counts.ids[b"".join(parts[1:])] += 1
            return digest(*parts)

        patch.setattr(bindings, "crypto_sign_open", verify)
        patch.setattr(transactions, "sha256", sha256)
        yield counts


def _counted(message: Any, counter: Counter[bytes]) -> Callable[[bytes], Any]:
    parse = message.FromString

    def counted(raw: bytes) -> Any:
        counter[raw] += 1
        return parse(raw)

    return counted
