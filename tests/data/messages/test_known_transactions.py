"""A transaction is the same object wherever it waits, and as long as peers may still send it."""

from __future__ import annotations

import pytest

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.known_transactions import KnownTransactions
from tests.support.node_core import make_network_genesis
from tests.support.transfers import sign_transfer

GENESIS = make_network_genesis()
FIRST, SECOND, THIRD = (sign_transfer(nonce, genesis_hash=GENESIS.hash) for nonce in (1, 2, 3))


@pytest.fixture
def known() -> KnownTransactions:
    return KnownTransactions(GENESIS.identity, GENESIS.parameters.max_transaction_bytes, 1 << 20)


def test_what_was_decoded_is_found(known: KnownTransactions) -> None:
    assert known.find(FIRST.raw) is None
    decoded = known.find_or_decode(FIRST.raw)
    assert decoded == FIRST
    assert known.find(FIRST.raw) is decoded is known.find_or_decode(FIRST.raw)


def test_the_mempool_is_asked_first(known: KnownTransactions) -> None:
    known.find_or_decode(FIRST.raw)
    known.use_mempool({FIRST.raw: FIRST, SECOND.raw: SECOND}.get)
    assert known.find_or_decode(FIRST.raw) is FIRST
    assert known.find_or_decode(SECOND.raw) is SECOND


def test_a_final_block_takes_the_place_of_all_before(known: KnownTransactions) -> None:
    known.keep_final([FIRST])
    known.find_or_decode(SECOND.raw)
    known.keep_final([THIRD])
    assert [known.find(one.raw) for one in (FIRST, SECOND, THIRD)] == [None, None, THIRD]


def test_what_is_refused_is_not_remembered(known: KnownTransactions) -> None:
    other = sign_transfer(1, genesis_hash=bytes(32))
    with pytest.raises(RefusalError) as caught:
        known.find_or_decode(other.raw)
    assert caught.value.code == DataCode.BAD_SIGNATURE
    assert known.find(other.raw) is None
