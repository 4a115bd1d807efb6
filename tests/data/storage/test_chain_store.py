from __future__ import annotations

import shutil
import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.vote_log import OwnVote
from tests.support.sample_blocks import genesis_of, make_receipt, next_block
from tests.support.transfers import sign_transfer


def refused(path: Path, genesis: Genesis) -> RefusalError:
    with pytest.raises(RefusalError) as caught:
        ChainStore.open(path, genesis)
    return caught.value


def test_tables_whole(store: ChainStore) -> None:
    store.initialise({b"b": b"2", b"a": b"1"})
    assert list(store.table("state")) == [(b"a", b"1"), (b"b", b"2")]
    assert list(store.table("blocks")) == []
    assert {name for name, _ in store.table("meta")} == {
        "chain_id",
        "genesis_hash",
        "initialised",
        "protocol_version",
        "state_layout",
    }
    with pytest.raises(ValueError, match="no table"):
        store.table("sqlite_master")


def test_a_new_store_is_at_genesis(store: ChainStore, genesis: Genesis) -> None:
    assert store.height() == 0
    assert store.tip_hash() == genesis.hash
    assert store.block(0) is None
    assert store.block(1) is None
    assert store.header(1) is None
    assert store.certificate(1) is None
    assert store.receipts(1) == ()
    assert store.votes.list_at(1) == []
    assert list(store.scan(b"")) == []


def test_genesis_state_is_written_once(store: ChainStore) -> None:
    assert store.initialise({b"a": b"1", b"b": None})
    assert not store.initialise({b"a": b"2"})
    assert list(store.scan(b"")) == [(b"a", b"1")]


def test_a_block_brings_everything_with_it(store: ChainStore) -> None:
    store.initialise({b"a": b"1", b"b": b"2"})
    first, second = sign_transfer(0), sign_transfer(1)
    receipts = [make_receipt(first), make_receipt(second)]
    block = next_block(store, [first, second], receipts)
    store.append(block, b"certificate", receipts, {b"a": b"3", b"b": None, b"c": b"", b"d": None})
    assert store.height() == 1
    assert store.tip_hash() == block.hash
    stored = store.block(1)
    assert stored is not None
    assert (stored.raw, stored.certificate) == (block.raw, b"certificate")
    assert store.receipts(1) == tuple(receipts)
    assert store.index.find_transaction(second.hash) == (1, 1)
    assert store.index.find_transaction(bytes(32)) is None
    assert list(store.scan(b"")) == [(b"a", b"3"), (b"c", b"")]
    assert store.get(b"c") == b""
    assert store.get(b"b") is None


def test_everything_is_there_after_a_restart(tmp_path: Path, genesis: Genesis) -> None:
    path = tmp_path / "chain.sqlite"
    with ChainStore.open(path, genesis) as store:
        store.initialise({b"a": b"1"})
        block = next_block(store, [sign_transfer(0)])
        store.append(block, b"certificate", [], {b"a": b"2"})
        store.votes.record(OwnVote("prevote", 2, 0, b"h" * 32, b"envelope"))
    with ChainStore.open(path, genesis) as store:
        assert (store.height(), store.tip_hash()) == (1, block.hash)
        assert store.get(b"a") == b"2"
        assert not store.initialise({})
        vote = store.votes.list_at(2)[0]
        assert (vote.kind, vote.round, vote.envelope) == ("prevote", 0, b"envelope")
        with pytest.raises(RefusalError):
            store.votes.record(OwnVote("prevote", 2, 0, b"", b"envelope"))
        store.votes.prune(3)
        assert store.votes.list_at(2) == []


def test_blocks_with_another_parent_are_refused(store: ChainStore) -> None:
    block = next_block(store)
    store.append(block, b"", [], {})
    with pytest.raises(ValueError, match="does not follow"):
        store.append(block, b"", [], {b"x": b"1"})
    orphan = next_block(store)
    store.append(next_block(store, [sign_transfer(0)]), b"", [], {})
    with pytest.raises(ValueError, match="does not follow"):
        store.append(orphan, b"", [], {b"x": b"1"})
    assert store.height() == 2
    assert store.get(b"x") is None


def test_a_failed_append_changes_nothing(store: ChainStore) -> None:
    twice = sign_transfer(0)
    store.append(next_block(store, [twice]), b"", [], {b"a": b"1"})
    with pytest.raises(sqlite3.IntegrityError):
        store.append(next_block(store, [twice]), b"", [b""], {b"a": b"2", b"b": b"2"})
    assert store.height() == 1
    assert list(store.scan(b"")) == [(b"a", b"1")]
    assert store.receipts(2) == ()
    store.append(next_block(store, [sign_transfer(1)]), b"", [], {b"a": b"3"})
    assert store.height() == 2


KEYS = st.binary(max_size=3) | st.sampled_from([b"\xff", b"\xff\xff", b"a\xff", b"b"])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.dictionaries(KEYS, st.none() | st.binary(max_size=3), max_size=6), max_size=4),
    st.lists(KEYS, max_size=5),
)
def test_state_is_a_sorted_map(
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[dict[bytes, bytes | None]],
    prefixes: list[bytes],
) -> None:
    model: dict[bytes, bytes] = {}
    path = tmp_path_factory.mktemp("store") / "chain.sqlite"
    with ChainStore.open(path, genesis_of()) as store:
        for change in changes:
            store.append(next_block(store), b"", [], change)
            model.update({key: value for key, value in change.items() if value is not None})
            for key, value in change.items():
                if value is None:
                    model.pop(key, None)
        for prefix in [b"", *prefixes]:
            expected = [(key, model[key]) for key in sorted(model) if key.startswith(prefix)]
            assert list(store.scan(prefix)) == expected
            assert store.get(prefix) == model.get(prefix)


def test_long_scans_come_in_pages(store: ChainStore) -> None:
    entries = {b"p" + i.to_bytes(4, "big"): b"v" for i in range(3_000)}
    store.initialise({**entries, b"o": b"v", b"q": b"v"})
    assert list(store.scan(b"p")) == sorted(entries.items())
    assert len(list(store.scan(b""))) == 3_002


@pytest.mark.parametrize("version", [None, b"1", b"3"])
def test_a_chain_of_another_protocol_version_is_refused(
    tmp_path: Path, genesis: Genesis, version: bytes | None
) -> None:
    """Databases of version 1 do not say their version."""
    path = tmp_path / "chain.sqlite"
    ChainStore.open(path, genesis).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM meta WHERE name = 'protocol_version'")
        if version:
            connection.execute("INSERT INTO meta VALUES ('protocol_version', ?)", (version,))
    connection.close()
    refusal = refused(path, genesis)
    assert refusal.code is DataCode.OTHER_PROTOCOL
    assert f"protocol version {(version or b'1').decode()}" in refusal.message
    assert refusal.limit == "2"


@pytest.mark.parametrize("layout", [None, b"1", b"3"])
def test_a_state_of_another_layout_is_refused(
    tmp_path: Path, genesis: Genesis, layout: bytes | None
) -> None:
    """Databases of layout 1 do not say their layout."""
    path = tmp_path / "chain.sqlite"
    ChainStore.open(path, genesis).close()
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM meta WHERE name = 'state_layout'")
        if layout:
            connection.execute("INSERT INTO meta VALUES ('state_layout', ?)", (layout,))
    connection.close()
    refusal = refused(path, genesis)
    assert refusal.code is DataCode.OTHER_LAYOUT
    assert f"layout {(layout or b'1').decode()}" in refusal.message
    assert refusal.limit == "2"


def test_another_genesis(tmp_path: Path, genesis: Genesis) -> None:
    path = tmp_path / "chain.sqlite"
    ChainStore.open(path, genesis).close()
    refusal = refused(path, genesis_of("another"))
    assert refusal.code is DataCode.WRONG_CHAIN
    assert genesis.chain_id in refusal.message
    assert "another" in refusal.message
    ChainStore.open(path, genesis).close()


def test_damage_is_refused(tmp_path: Path, genesis: Genesis) -> None:
    path = tmp_path / "chain.sqlite"
    with ChainStore.open(path, genesis) as store:
        for nonce in range(20):
            store.append(next_block(store, [sign_transfer(nonce)]), b"", [], {})
    raw = path.read_bytes()
    path.write_bytes(raw[: len(raw) // 2])
    assert refused(path, genesis).code is DataCode.BAD_STORE
    path.write_bytes(b"garbage" * 1_000)
    assert refused(path, genesis).code is DataCode.BAD_STORE
    path.write_bytes(raw)
    ChainStore.open(path, genesis).close()


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM blocks WHERE height = 2",
        "DELETE FROM blocks WHERE height = 1",
        "UPDATE blocks SET header = x'00' WHERE height = 3",
        "UPDATE blocks SET height = 9 WHERE height = 3",
    ],
)
def test_a_chain_with_holes_is_refused(tmp_path: Path, genesis: Genesis, damage: str) -> None:
    path = tmp_path / "chain.sqlite"
    with ChainStore.open(path, genesis) as store:
        for _ in range(3):
            store.append(next_block(store), b"", [], {})
    connection = sqlite3.connect(path)
    connection.execute(damage)
    connection.commit()
    connection.close()
    assert refused(path, genesis).code is DataCode.BAD_STORE


def test_a_backup_can_take_over(store: ChainStore, tmp_path: Path, genesis: Genesis) -> None:
    store.append(next_block(store), b"certificate", [], {b"a": b"1"})
    copy = tmp_path / "copy.sqlite"
    assert store.backup(copy) == 1
    store.append(next_block(store), b"certificate", [], {b"a": b"2"})
    with ChainStore.open(copy, genesis) as restored:
        assert restored.height() == 1
        assert restored.get(b"a") == b"1"
        assert restored.integrity_faults() == []
    with pytest.raises(FileExistsError):
        store.backup(copy)


def test_reading_while_writing(store: ChainStore) -> None:
    store.initialise({b"height": b"0"})
    errors: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            low = store.height()
            found = int(store.get(b"height") or b"-1")
            high = store.height() + 1  # Committed, but not announced yet.
            if not low <= found <= high:
                errors.append(f"{low} {found} {high}")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for height in range(1, 60):
        store.append(next_block(store), b"", [], {b"height": b"%d" % height})
    done.set()
    for reader in readers:
        reader.join()
    assert errors == []


def test_a_copy_of_a_running_store_with_its_log_is_whole(
    store: ChainStore, tmp_path: Path, genesis: Genesis
) -> None:
    for _ in range(5):
        store.append(next_block(store), b"", [], {})
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"chain.sqlite{suffix}", tmp_path / f"copy.sqlite{suffix}")
    with ChainStore.open(tmp_path / "copy.sqlite", genesis) as copy:
        assert copy.height() == 5
