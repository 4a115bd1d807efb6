from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.verification.replay import Replay, replay
from fedcoin.consensus.errors import ConsensusCode
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.storage.chain_store import ChainStore
from tests.support.database_edits import editing
from tests.support.keys import ALICE
from tests.support.one_validator_home import FUNDS, make_home

BLOCKS = 5


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home", BLOCKS)


def check(home: Home) -> Replay:
    seen: list[int] = []
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        found = replay(store, home.genesis(), seen.append)
    assert seen == list(range(1, BLOCKS + 1))
    return found


def tamper(home: Home, statement: str, *values: object) -> None:
    with editing(home.chain_path) as connection:
        assert connection.execute(statement, values).rowcount > 0


def refusal_of(home: Home) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        check(home)
    return caught.value


def test_a_sound_chain(home: Home) -> None:
    found = check(home)
    assert (found.height, found.transactions, found.settlements) == (BLOCKS, BLOCKS, 0)
    assert found.supply == FUNDS + 10**9
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        header = store.header(BLOCKS)
        assert header is not None
        assert header.app_hash.hex() == found.app_hash


def test_coins_made_in_the_state(home: Home) -> None:
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        key = next(key for key, _ in store.scan(b"") if ALICE.address in key)
    tamper(home, "UPDATE state SET value = ? WHERE key = ?", b"\x08\xff\xff\x7f", key)
    refusal = refusal_of(home)
    assert refusal.code is ApplicationCode.BAD_CHAIN
    assert key.hex() in refusal.message


def test_a_changed_receipt(home: Home) -> None:
    tamper(home, "UPDATE receipts SET receipt = ? WHERE height = 3", b"")
    refusal = refusal_of(home)
    assert refusal.code is ApplicationCode.BAD_CHAIN
    assert "block 3" in refusal.message


def test_another_blocks_certificate(home: Home) -> None:
    tamper(
        home,
        "UPDATE blocks SET certificate = (SELECT certificate FROM blocks WHERE height = 1) "
        "WHERE height = 4",
    )
    refusal = refusal_of(home)
    assert refusal.code is ConsensusCode.BAD_CERTIFICATE
    assert refusal.message.startswith("block 4: ")


def test_a_forged_transaction(home: Home) -> None:
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        stored = store.block(2)
    assert stored is not None
    forged = bytearray(stored.raw)
    forged[-1] ^= 1
    tamper(home, "UPDATE blocks SET block = ? WHERE height = 2", bytes(forged))
    refusal = refusal_of(home)
    assert refusal.code in (DataCode.BAD_ROOT, DataCode.MALFORMED)
    assert refusal.message.startswith("block 2: ")
