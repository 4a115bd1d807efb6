from __future__ import annotations

import pytest

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.storage.block_tables import StoredBlock
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.trusted_headers import SnapshotBase, TrustedHeader
from tests.support.sample_blocks import make_header, make_receipt, next_block
from tests.support.transfers import sign_transfer


def test_all_parts_of_a_block_are_read(store: ChainStore) -> None:
    transactions = [sign_transfer(0), sign_transfer(1)]
    receipts = [make_receipt(transaction) for transaction in transactions]
    block = next_block(store, transactions, receipts)
    store.append(block, b"certificate", receipts, {})
    assert store.block(1) == StoredBlock(block.raw, b"certificate")
    assert store.header(1) == block.header
    assert store.header_bytes(1) == block.header_bytes
    assert store.certificate(1) == b"certificate"
    assert store.receipts(1) == tuple(receipts)
    assert store.block_height(block.hash) == 1
    assert store.block_height(bytes(32)) is None
    assert store.trusted_headers() == []


def test_of_a_snapshots_past_only_trusted_headers_are_read(store: ChainStore) -> None:
    header = make_header(7, b"p" * 32)
    trusted = TrustedHeader(7, header.SerializeToString(), b"certificate", b"")
    store.restore([{b"a": b"1"}.items()], lambda: SnapshotBase((trusted,), (), ()))
    block = next_block(store)
    store.append(block, b"of the block", [], {})
    assert store.trusted_headers() == [trusted]
    assert store.header(7) == header
    assert store.header_bytes(7) == trusted.header
    assert store.certificate(7) == b"certificate"
    assert store.block_height(sha256(trusted.header)) == 7
    assert store.block(7) is None
    assert store.header(6) is None
    assert store.certificate(6) is None
    assert (store.header(8), store.certificate(8)) == (block.header, b"of the block")


@pytest.mark.parametrize("height", [-1, 0, 2**63, 2**64 - 1])
def test_nothing_is_read_at_heights_that_cannot_be(store: ChainStore, height: int) -> None:
    store.append(next_block(store), b"certificate", [], {})
    assert store.block(height) is None
    assert store.header(height) is None
    assert store.certificate(height) is None
    assert store.receipts(height) == ()
