from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.blocks import build_block, decode_block, decode_header
from fedcoin.v1 import block_pb2
from tests.support.paths import read_vectors
from tests.support.sample_blocks import make_header

PARENT = b"p" * 32


def refused(raw: bytes, max_bytes: int = 1 << 20) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        decode_block(raw, max_bytes)
    return caught.value


def test_built_blocks_are_decoded() -> None:
    made = build_block(make_header(4, PARENT), b"certificate", [b"one", b"two"])
    read = decode_block(made.raw)
    assert read == made
    assert read.hash == sha256(read.header_bytes)
    assert read.height == 4
    assert read.transactions == (b"one", b"two")
    assert read.header.transactions_root == merkle.root([b"one", b"two"])
    assert read.header.last_certificate_hash == sha256(b"certificate")


def test_building_leaves_the_header_alone() -> None:
    header = make_header(4, PARENT)
    build_block(header, b"certificate", [b"one"])
    assert not header.transactions_root


def test_golden_blocks() -> None:
    for vector in read_vectors("blocks"):
        read = decode_block(bytes.fromhex(vector["raw"]))
        assert read.hash.hex() == vector["hash"]
        assert read.header_bytes.hex() == vector["header"]
        assert read.header.transactions_root.hex() == vector["transactions_root"]
        assert read.header.last_certificate_hash.hex() == vector["last_certificate_hash"]
        again = build_block(read.header, read.last_certificate, read.transactions)
        assert again.raw == read.raw


def test_too_large() -> None:
    raw = build_block(make_header(4, PARENT), b"", []).raw
    assert decode_block(raw, len(raw)).raw == raw
    assert refused(raw, len(raw) - 1).code is DataCode.TOO_LARGE


def test_too_many_transactions() -> None:
    raw = build_block(make_header(4, PARENT), b"", [b""] * 32_769).raw
    refusal = refused(raw)
    assert refusal.code is DataCode.TOO_LARGE
    assert refusal.field == "block.transactions"


def test_parts_that_do_not_fit() -> None:
    made = build_block(make_header(4, PARENT), b"certificate", [b"one", b"two"])
    for part, value, field in (
        ("transactions", [b"two", b"one"], "header.transactions_root"),
        ("transactions", [b"one"], "header.transactions_root"),
        ("transactions", [], "header.transactions_root"),
        ("last_certificate", b"", "header.last_certificate_hash"),
    ):
        parts: dict[str, Any] = {
            "header": made.header_bytes,
            "last_certificate": b"certificate",
            "transactions": [b"one", b"two"],
            part: value,
        }
        refusal = refused(canonical.encode(block_pb2.Block(**parts)))
        assert refusal.code is DataCode.BAD_ROOT
        assert refusal.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"height": 0}, "header.height"),
        ({"height": 2**63}, "header.height"),
        ({"time_ms": -1}, "header.time_ms"),
        ({"chain_id": ""}, "header.chain_id (characters)"),
        ({"chain_id": "x" * 65}, "header.chain_id (characters)"),
        ({"parent_hash": b""}, "header.parent_hash"),
        ({"receipts_root": b"r"}, "header.receipts_root"),
        ({"app_hash": b"r" * 33}, "header.app_hash"),
        ({"next_validators_hash": b"r" * 31}, "header.next_validators_hash"),
        ({"proposer": b"r" * 32}, "header.proposer"),
        ({"settlement": block_pb2.Settlement(winner=b"w" * 20)}, "header.settlement.task_id"),
        ({"settlement": block_pb2.Settlement(task_id=b"t" * 32)}, "header.settlement.winner"),
    ],
)
def test_headers_out_of_range(changes: dict[str, Any], field: str) -> None:
    header = make_header(4, PARENT)
    header.MergeFrom(block_pb2.BlockHeader(**{k: v for k, v in changes.items() if v}))
    for name, value in changes.items():
        if not value:
            header.ClearField(cast("Any", name))
    refusal = refused(build_block(header, b"", []).raw)
    assert refusal.code is DataCode.MALFORMED
    assert refusal.field == field


def test_padding_is_refused() -> None:
    made = build_block(make_header(4, PARENT), b"", [b"one"])
    assert refused(made.raw + b"\x7a\x04junk").code is DataCode.MALFORMED
    with pytest.raises(RefusalError):
        decode_header(made.header_bytes + b"\x7a\x04junk")


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(raw: bytes) -> None:
    assert refused(raw).code is DataCode.MALFORMED


GOOD = build_block(
    block_pb2.BlockHeader(
        chain_id="c",
        height=4,
        time_ms=5,
        parent_hash=PARENT,
        receipts_root=PARENT,
        app_hash=PARENT,
        next_validators_hash=PARENT,
        proposer=b"a" * 20,
    ),
    b"certificate",
    [b"one", b"two"],
)


@settings(max_examples=200)
@given(st.integers(0, len(GOOD.raw) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_another_block(place: int, flip: int) -> None:
    raw = bytearray(GOOD.raw)
    raw[place] ^= flip
    try:
        other = decode_block(bytes(raw))
    except RefusalError:
        return
    assert other.hash != GOOD.hash
