"""Snapshot files, and stores that began from one."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.block_index import IndexEntry, Location, SnapshotTask
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.schema import MIGRATIONS, migrate
from fedcoin.data.storage.snapshot_files import (
    MAX_PART_BYTES,
    SnapshotFolder,
    SnapshotWriter,
    count_parts,
    read_parts,
    read_parts_with_ends,
    read_raw_parts,
)
from fedcoin.data.storage.trusted_headers import SnapshotBase, TrustedHeader
from fedcoin.data.storage.vote_log import OwnVote
from fedcoin.v1.block_pb2 import BlockHeader
from fedcoin.v1.snapshot_pb2 import (
    SnapshotChunk,
    SnapshotHead,
    SnapshotPart,
    StateEntry,
    ValidatorChange,
)
from tests.support.database_edits import editing
from tests.support.sample_blocks import next_block

PARTS = [
    SnapshotPart(change=ValidatorChange(header=b"4")),
    SnapshotPart(change=ValidatorChange(header=b"8")),
    SnapshotPart(head=SnapshotHead(header=b"9")),
    *(SnapshotPart(chunk=SnapshotChunk(before=b"%d" % n)) for n in (1, 2, 3)),
]


def write(path: Path, contents: list[SnapshotPart]) -> Path:
    writer = SnapshotWriter(path)
    for part in contents:
        writer.add(part)
    writer.close()
    return path


# Files ----------------------------------------------------------------------------------------


def test_parts_come_back(tmp_path: Path) -> None:
    path = write(tmp_path / "x", PARTS)
    assert list(read_parts(path)) == PARTS
    assert count_parts(path) == len(PARTS)
    raws = [canonical.encode(part) for part in PARTS]
    assert list(read_raw_parts(path)) == raws
    for first in (1, 2, 3):
        assert list(read_raw_parts(path, first)) == raws[2 + first :]
    assert list(read_raw_parts(path, 4)) == []
    assert [end for _, end in read_parts_with_ends(path)][-1] == path.stat().st_size


def test_a_file_is_gone_on_with(tmp_path: Path) -> None:
    path = write(tmp_path / "x", PARTS[:2])
    assert list(read_parts(write(path, PARTS[2:]))) == PARTS


def test_a_part_that_no_message_could_carry(tmp_path: Path) -> None:
    chunk = SnapshotChunk(entries=[StateEntry(key=b"k", value=bytes(MAX_PART_BYTES))])
    writer = SnapshotWriter(tmp_path / "x")
    with pytest.raises(RefusalError) as caught:
        writer.add(SnapshotPart(chunk=chunk))
    assert caught.value.code is DataCode.TOO_LARGE
    writer.close()


def test_what_is_no_part(tmp_path: Path) -> None:
    path = tmp_path / "x"
    for tail in (b"\0\0\0\2\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0", b"\0\0\0\5ab"):
        path.unlink(missing_ok=True)
        with write(path, PARTS[:1]).open("ab") as file:
            file.write(tail)
        with pytest.raises(RefusalError) as caught:
            list(read_parts(path))
        assert caught.value.code is DataCode.BAD_SNAPSHOT
        assert "part 1" in caught.value.message


# Folders --------------------------------------------------------------------------------------


def test_a_folder_keeps_the_latest(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "snapshots")
    assert folder.heights() == []
    for height in (900, 1_000, 2_000, 30_000):
        path = folder.publish(write(folder.making, PARTS), height)
        assert list(read_parts(path)) == PARTS
    (tmp_path / "snapshots" / "other.snapshot").touch()
    assert folder.heights() == [30_000, 2_000, 1_000, 900]
    folder.prune(2, always=900)
    assert folder.heights() == [30_000, 2_000, 900]
    assert not folder.making.exists()


def test_of_other_downloads_the_latest_is_kept(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "snapshots")
    assert folder.list_incoming() == set()
    for number, height in enumerate((5, 6)):
        write(folder.incoming(height, bytes(32)), PARTS)
        os.utime(folder.incoming(height, bytes(32)), (number, number))
    assert folder.list_incoming() == {(5, bytes(32)), (6, bytes(32))}
    assert not folder.incoming(7, bytes(32)).exists()
    assert folder.list_incoming() == {(6, bytes(32))}
    folder.publish(write(folder.making, PARTS), 8)
    assert folder.list_incoming() == set()


# Stores ---------------------------------------------------------------------------------------

STATE = {b"a": b"1", b"b": b"2", b"c": b"3"}


def header(height: int, next_validators: bytes = b"") -> TrustedHeader:
    return TrustedHeader(height, b"header %d" % height, b"certificate %d" % height, next_validators)


BASE = SnapshotBase(
    headers=(header(3, b"validators"), header(9)),
    campaigns=(b"y" * 32, b"x" * 32),
    tasks=(SnapshotTask(8, b"t" * 32, b"y" * 32), SnapshotTask(2, b"u" * 32, b"x" * 32)),
)


@pytest.fixture
def empty(tmp_path: Path, genesis: Genesis) -> Iterator[ChainStore]:
    with ChainStore.open(tmp_path / "chain.sqlite", genesis) as store:
        store.initialise({b"genesis": b"state"})
        yield store


def test_a_store_that_began_from_a_snapshot(
    empty: ChainStore, tmp_path: Path, genesis: Genesis
) -> None:
    empty.votes.record(OwnVote("prevote", 7, 0, bytes(32), b"said before"))
    batches = (((b"a", b"1"),), (), tuple({b"b": b"2", b"c": b"3"}.items()))
    empty.restore(batches, lambda: BASE)
    for store in (empty, ChainStore.open(tmp_path / "chain.sqlite", genesis)):
        assert dict(store.scan(b"")) == STATE
        assert (store.base_height(), store.height()) == (9, 9)
        assert store.tip_hash() == sha256(b"header 9")
        assert store.trusted_headers() == list(BASE.headers)
        assert store.block(9) is store.block(3) is None
        assert store.header_bytes(9) == b"header 9"
        assert store.certificate(3) == b"certificate 3"
        assert store.header_bytes(4) is None
        assert store.block_height(sha256(b"header 3")) == 3
        assert store.index.list_campaigns(9) == [
            IndexEntry(b"y" * 32, Location(9, 1)),
            IndexEntry(b"x" * 32, Location(9, 0)),
        ]
        assert store.index.list_tasks(9) == [
            IndexEntry(b"t" * 32, Location(8, 1)),
            IndexEntry(b"u" * 32, Location(2, 0)),
        ]
        assert store.index.find_task(b"t" * 32, 8) == Location(8, 1)
        # Votes below the snapshot's height do not count, and are not repeated.
        assert store.votes.list_at(7) == []
        with pytest.raises(RefusalError) as caught:
            store.votes.record(OwnVote("prevote", 9, 0, bytes(32), b"vote"))
        assert caught.value.code is DataCode.CONFLICTING_VOTE
        store.votes.record(OwnVote("prevote", 10, 0, bytes(32), b"vote"))
        assert not store.initialise({b"genesis": b"again"})
        assert store.integrity_faults() == []
        if store is not empty:
            store.close()
    with pytest.raises(ValueError, match="has reached height 9"):
        empty.restore(batches, lambda: BASE)
    assert empty.backup(tmp_path / "copy.sqlite") == 9


def test_it_goes_on_from_there(empty: ChainStore, tmp_path: Path, genesis: Genesis) -> None:
    header = canonical.encode(BlockHeader(chain_id=genesis.chain_id, height=9))
    base = SnapshotBase((TrustedHeader(9, header, b"c", b""),), (), ())
    empty.restore([STATE.items()], lambda: base)
    block = next_block(empty)
    empty.append(block, b"certificate", (), {b"a": None})
    assert (empty.base_height(), empty.height()) == (9, 10)
    assert empty.block(10) is not None
    empty.close()
    with ChainStore.open(tmp_path / "chain.sqlite", genesis) as store:
        assert (store.base_height(), store.height(), store.tip_hash()) == (9, 10, block.hash)
        assert store.backup(tmp_path / "copy.sqlite") == 10


def test_a_restore_that_fails_changes_nothing(empty: ChainStore) -> None:
    def broken() -> Iterator[list[tuple[bytes, bytes]]]:
        yield [(b"a", b"1")]
        raise RefusalError(DataCode.BAD_SNAPSHOT, "it ends here", field="snapshot")

    def unfit() -> SnapshotBase:
        raise RefusalError(DataCode.MALFORMED, "it does not fit", field="snapshot")

    for batches, base in ((broken(), lambda: BASE), (iter([list(STATE.items())]), unfit)):
        with pytest.raises(RefusalError):
            empty.restore(batches, base)
        assert dict(empty.scan(b"")) == {b"genesis": b"state"}
        assert (empty.base_height(), empty.height(), empty.trusted_headers()) == (0, 0, [])


def test_a_chain_with_a_gap_above_its_base(
    empty: ChainStore, tmp_path: Path, genesis: Genesis
) -> None:
    empty.restore([STATE.items()], lambda: BASE)
    empty.close()
    with editing(tmp_path / "chain.sqlite") as connection:
        connection.execute("INSERT INTO blocks VALUES (11, x'00', x'00', x'00', x'00')")
    with pytest.raises(RefusalError) as caught:
        ChainStore.open(tmp_path / "chain.sqlite", genesis)
    assert caught.value.code is DataCode.BAD_STORE


def test_a_store_from_before_there_were_snapshots(tmp_path: Path, genesis: Genesis) -> None:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, MIGRATIONS[:1])
        connection.execute("INSERT INTO meta VALUES ('genesis_hash', ?)", (genesis.hash,))
        connection.execute("INSERT INTO meta VALUES ('protocol_version', x'32')")
        connection.execute("INSERT INTO meta VALUES ('state_layout', x'32')")
        connection.execute("INSERT INTO state VALUES (x'61', x'62')")
    with ChainStore.open(path, genesis) as store:
        assert (store.base_height(), store.height(), store.get(b"a")) == (0, 0, b"b")
        assert store.trusted_headers() == []


def test_a_store_of_the_schema_before_keeps_its_rows(tmp_path: Path, genesis: Genesis) -> None:
    path = tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        migrate(connection, MIGRATIONS[:2])
        connection.execute("INSERT INTO meta VALUES ('genesis_hash', ?)", (genesis.hash,))
        connection.execute("INSERT INTO meta VALUES ('protocol_version', x'32')")
        connection.execute("INSERT INTO meta VALUES ('state_layout', x'32')")
        connection.execute("INSERT INTO past VALUES (9, ?, x'68', x'63', x'76')", (sha256(b"h"),))
        connection.execute("INSERT INTO transactions VALUES (x'74', 10, 3, x'73')")
        connection.execute("INSERT INTO payments VALUES (10, 4, x'61', x'78')")
    with ChainStore.open(path, genesis) as store:
        assert store.trusted_headers() == [TrustedHeader(9, b"h", b"c", b"v")]
        assert store.index.find_transaction(b"t") == Location(10, 3)
        assert store.index.list_payments(b"a", 9) == [Location(10, 4)]


def test_pinned_state_is_in_the_order_asked_for(empty: ChainStore, tmp_path: Path) -> None:
    with editing(tmp_path / "chain.sqlite") as connection:
        connection.executemany("INSERT INTO state VALUES (?, ?)", STATE.items())
    with empty.open_state_view() as state:
        with editing(tmp_path / "chain.sqlite") as connection:
            connection.execute("DELETE FROM state")
        keys = [key for key, _ in state.sorted_entries(lambda key: -key[0])]
        assert keys == [b"genesis", b"c", b"b", b"a"]
        assert state.height == 0
