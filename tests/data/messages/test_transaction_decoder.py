"""Each transaction is decoded once, in whichever thread it comes first."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import transaction_decoder
from fedcoin.data.messages.transaction_decoder import TransactionDecoder
from fedcoin.data.messages.transactions import Transaction, decode_transaction
from tests.support.node_core import make_network_genesis
from tests.support.transfers import sign_transfer

GENESIS = make_network_genesis()
TRANSFERS = [sign_transfer(nonce, genesis_hash=GENESIS.hash) for nonce in range(1, 6)]
SIZE = len(TRANSFERS[0].raw)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is decoded, in order."""
    raws: list[bytes] = []

    def count(raw: bytes, *rest: Any) -> Transaction:
        raws.append(raw)
        return decode_transaction(raw, *rest)

    monkeypatch.setattr(transaction_decoder, "decode_transaction", count)
    return raws


def decoder(remembered: int = 100) -> TransactionDecoder:
    max_bytes = GENESIS.parameters.max_transaction_bytes
    return TransactionDecoder(GENESIS.identity, max_bytes, remembered * SIZE)


def test_threads_that_come_at_the_same_moment_share_one_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, calls, all_wait = decoder(), 0, threading.Event()

    def decode_slowly(raw: bytes, *rest: Any) -> Transaction:
        nonlocal calls
        calls += 1
        assert all_wait.wait(10)
        return decode_transaction(raw, *rest)

    monkeypatch.setattr(transaction_decoder, "decode_transaction", decode_slowly)
    with ThreadPoolExecutor(4) as threads:
        results = [threads.submit(made.decode, TRANSFERS[0].raw) for _ in range(4)]
        assert made.find(TRANSFERS[0].raw) is None
        all_wait.set()
        found = {id(result.result(10)) for result in results}
    assert calls == len(found) == 1


def test_what_was_decoded_is_found_until_it_is_forgotten(decoded: list[bytes]) -> None:
    made, raw = decoder(), TRANSFERS[0].raw
    first = made.decode(raw)
    assert made.decode(raw) is made.find(raw) is first
    assert (len(decoded), made.num_bytes) == (1, SIZE)
    made.forget()
    assert (made.find(raw), made.num_bytes) == (None, 0)
    assert made.decode(raw).hash == first.hash
    assert len(decoded) == 2


def test_the_oldest_makes_room(decoded: list[bytes]) -> None:
    made = decoder(remembered=3)
    for transfer in TRANSFERS:
        made.decode(transfer.raw)
    assert [made.find(one.raw) is not None for one in TRANSFERS] == [False] * 2 + [True] * 3
    assert made.num_bytes <= 3 * SIZE
    assert len(decoded) == 5


def test_what_is_no_transaction_is_not_remembered(decoded: list[bytes]) -> None:
    made, failures = decoder(), []
    for _ in range(2):
        with pytest.raises(RefusalError) as caught:
            made.decode(b"x")
        failures.append(caught.value)
    assert {failure.code for failure in failures} == {DataCode.MALFORMED}
    assert failures[0] is not failures[1]
    assert (len(decoded), made.find(b"x"), made.num_bytes) == (2, None, 0)
