"""A node's chain: blocks, the state after them, indexes and own votes, in one SQLite file.

A chain that began from a snapshot has no blocks up to its base, the snapshot's height: of these
it has the base's header, and the headers after which others decided.

One write transaction carries a block with everything that follows from it, so that block and
state never come apart. The store checks that a block stands on the one before it and nothing
more: that it is valid is for the caller to know.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.block_index import BlockIndex, Place, write_index
from fedcoin.data.storage.database import Database
from fedcoin.data.storage.schema import TABLES, every_row
from fedcoin.data.storage.state_view import StateView
from fedcoin.data.storage.trusted_headers import (
    BASE_HEIGHT,
    LAST_HEIGHT,
    Base,
    PastHeader,
    last_block,
    write_base,
)
from fedcoin.data.storage.vote_log import OwnVote, VoteLog, prune
from fedcoin.v1.block_pb2 import BlockHeader

_PAGE: Final = 1_024
_INITIALISED: Final = "initialised"


@dataclass(frozen=True, slots=True)
class StoredBlock:
    """A serialised Block, and the serialised Certificate that made it final."""

    raw: bytes = field(repr=False)
    certificate: bytes = field(repr=False)


class ChainStore:
    """The store of one node; usable from several threads.

    `index` answers where transactions, campaigns, tasks and payments stand. Reads see
    everything that was committed and nothing else.
    """

    def __init__(self, database: Database, genesis: Genesis) -> None:
        self.index: Final = BlockIndex(database)
        self._genesis = genesis
        self._database = database
        self._votes = VoteLog(database)
        self._append_lock = threading.Lock()
        self._base: int = database.rows(BASE_HEIGHT)[0][0]
        row = database.row(last_block("height, hash"))
        self._tip: tuple[int, bytes] = (0, genesis.hash) if row is None else (row[0], row[1])

    @classmethod
    def open(cls, path: Path, genesis: Genesis) -> ChainStore:
        """Open the chain of this genesis, or begin it when there is no file at `path`.

        Raises `Refusal`: BAD_STORE when the file is damaged or not a chain, NEWER_STORE when
        a later version of the program wrote it, WRONG_CHAIN when it has another genesis.
        """
        meta = {"chain_id": genesis.chain_id.encode(), "genesis_hash": genesis.hash}
        database = Database.open(path, meta)
        try:
            found = database.meta("genesis_hash")
            if found != genesis.hash:
                chain = (database.meta("chain_id") or b"?").decode(errors="replace")
                raise RefusalError(
                    DataCode.WRONG_CHAIN,
                    f"{path} holds chain {chain!r} with genesis {(found or b'').hex()}; this is "
                    f"chain {genesis.chain_id!r} with genesis {genesis.hash.hex()}: use another "
                    "home folder, or the genesis file that belongs to it",
                    field="genesis_hash",
                    limit=genesis.hash.hex(),
                )
            _check_tip(database, path)
            return cls(database, genesis)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the file. The store must not be used after."""
        self._database.close()

    def __enter__(self) -> ChainStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Writing ------------------------------------------------------------------------------

    def initialise(self, changes: Mapping[bytes, bytes | None]) -> bool:
        """Write the state that genesis makes, once; later calls change nothing.

        Returns whether this call wrote it.
        """
        with self._database.write() as connection:
            query = "SELECT 1 FROM meta WHERE name = ?"
            if connection.execute(query, (_INITIALISED,)).fetchone():
                return False
            connection.executemany(_PUT, _puts(changes))
            connection.execute("INSERT INTO meta VALUES (?, ?)", (_INITIALISED, b"1"))
        return True

    def append(
        self,
        block: Block,
        certificate: bytes,
        receipts: Sequence[bytes],
        changes: Mapping[bytes, bytes | None],
    ) -> None:
        """Add the next block, its receipts and its changes of state (None deletes a key).

        All of it is on disk when this returns. Raises `ValueError` when the block does not
        stand on the last one.
        """
        with self._append_lock:
            height, hash = self._tip
            if block.height != height + 1 or block.header.parent_hash != hash:
                raise ValueError(f"block {block.height} does not stand on block {height}")
            with self._database.write() as connection:
                connection.execute(
                    "INSERT INTO blocks VALUES (?, ?, ?, ?, ?)",
                    (block.height, block.hash, block.header_bytes, block.raw, certificate),
                )
                connection.executemany(
                    "INSERT INTO receipts VALUES (?, ?, ?)",
                    [(block.height, place, raw) for place, raw in enumerate(receipts)],
                )
                connection.executemany(_PUT, _puts(changes))
                connection.executemany(
                    "DELETE FROM state WHERE key = ?",
                    [(key,) for key, value in changes.items() if value is None],
                )
                write_index(connection, block, receipts)
            self._tip = (block.height, block.hash)

    def restore(
        self, batches: Iterable[Iterable[tuple[bytes, bytes]]], base: Callable[[], Base]
    ) -> None:
        """Begin from a snapshot instead of genesis: all of its state, or nothing changes.

        `base` is asked once the batches have ended, for what their entries stand on. Whatever
        either of them raises leaves the store as it was. No vote up to the base's height is
        ever cast from here. Raises `ValueError` when the store has blocks.
        """
        with self._append_lock:
            if self._tip[0]:
                raise ValueError(f"the store has reached height {self._tip[0]}")
            with self._database.write() as connection:
                connection.execute("DELETE FROM state")
                for batch in batches:
                    connection.executemany("INSERT INTO state VALUES (?, ?)", batch)
                found = base()
                write_base(connection, found)
                connection.execute(
                    "INSERT OR REPLACE INTO meta VALUES (?, ?)", (_INITIALISED, b"1")
                )
                prune(connection, found.height + 1)
            self._base = found.height
            self._tip = (found.height, sha256(found.past[-1].header))

    # State (contract's StateReader) -------------------------------------------------------

    def pinned(self) -> StateView:
        """The state after the last block, which later blocks do not change for the reader."""
        return StateView(self._database.pin())

    def get(self, key: bytes) -> bytes | None:
        """The value of a key after the last block."""
        row = self._database.row("SELECT value FROM state WHERE key = ?", (key,))
        return None if row is None else bytes(row[0])

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin with `prefix` and their values, in rising order of keys.

        Read in pages of 1,024: a block that is appended in between shows from the next page on.
        """
        comparison, start, end = ">=", prefix, _after(prefix)
        bound = "" if end is None else " AND key < ?"
        while True:
            rows = self._database.rows(
                f"SELECT key, value FROM state WHERE key {comparison} ?{bound}"
                f" ORDER BY key LIMIT {_PAGE}",
                (start,) if end is None else (start, end),
            )
            yield from rows
            if len(rows) < _PAGE:
                return
            comparison, start = ">", rows[-1][0]

    # Blocks -------------------------------------------------------------------------------

    def base(self) -> int:
        """The height up to which blocks are not kept; 0 for a chain that is whole."""
        return self._base

    def past(self) -> list[PastHeader]:
        """What is kept of the chain up to its base, by height."""
        rows = self._database.rows(
            "SELECT height, header, certificate, next_validators FROM past ORDER BY height"
        )
        return [PastHeader(*row) for row in rows]

    def height(self) -> int:
        """The height of the last block, the base's where there is none; 0 for genesis alone."""
        return self._tip[0]

    def tip_hash(self) -> bytes:
        """The hash of that block; the genesis hash at height 0."""
        return self._tip[1]

    def block(self, height: int) -> StoredBlock | None:
        """The block at a height and its certificate."""
        row = self._at("SELECT block, certificate FROM blocks WHERE height = ?", height)
        return None if row is None else StoredBlock(row[0], row[1])

    def header_bytes(self, height: int) -> bytes | None:
        """The serialised header at a height: what its hash is over; of `past` ones too."""
        row = self._certified(height)
        return None if row is None else bytes(row[0])

    def header(self, height: int) -> BlockHeader | None:
        """The header at a height."""
        raw = self.header_bytes(height)
        return None if raw is None else BlockHeader.FromString(raw)

    def certificate(self, height: int) -> bytes | None:
        """The serialised certificate of the block at a height; of `past` ones too."""
        row = self._certified(height)
        return None if row is None else bytes(row[1])

    def block_height(self, hash: bytes) -> int | None:
        """The height of the block with this hash; of `past` ones too."""
        row = self._database.row(
            "SELECT height FROM blocks WHERE hash = ?"
            " UNION ALL SELECT height FROM past WHERE hash = ?",
            (hash, hash),
        )
        return None if row is None else int(row[0])

    def receipts(self, height: int) -> tuple[bytes, ...]:
        """The serialised receipts of a block, in order; none when there is no such block."""
        rows = self._database.rows(
            "SELECT receipt FROM receipts WHERE height = ? ORDER BY place", (height,)
        )
        return tuple(row[0] for row in rows)

    def transaction_location(self, hash: bytes) -> Place | None:
        """(height, index) of a transaction, by its 32-byte hash."""
        return self.index.transaction(hash)

    def task_reveal(self, task_id: bytes, miner: bytes) -> Place | None:
        """(height, index) of a miner's latest reveal for a task."""
        return self.index.reveal(task_id, miner)

    # Own votes ----------------------------------------------------------------------------

    def record_vote(
        self, kind_key: str, height: int, round: int, block_hash: bytes, envelope: bytes
    ) -> None:
        """Write down what this validator is about to say; see `VoteLog.record`."""
        self._votes.record(OwnVote(kind_key, height, round, block_hash, envelope))

    def own_votes(self, height: int) -> list[OwnVote]:
        """What this validator said at a height, by round and then kind."""
        return self._votes.at(height)

    def prune_votes(self, below_height: int) -> None:
        """Forget own votes below a height, and never vote there again."""
        self._votes.prune(below_height)

    # Care ---------------------------------------------------------------------------------

    def backup(self, path: Path) -> int:
        """Copy the database to a new file while the node runs; returns the copy's height.

        The copy holds the own votes up to now: a validator that goes back to it must not
        vote before it has caught up. Raises `FileExistsError`.
        """
        self._database.backup(path)
        with Database.open(path, {}) as copy:
            return int(copy.rows(LAST_HEIGHT)[0][0])

    def integrity_faults(self) -> list[str]:
        """What a full check of the file finds; empty when it is sound. Slow on large files."""
        return self._database.integrity_faults()

    def table(self, name: str) -> Iterator[tuple[Any, ...]]:
        """Every row of one of `schema.TABLES`, all its columns, by its primary key.

        Raises `ValueError` when there is no such table.
        """
        if name not in TABLES:
            raise ValueError(f"there is no table {name!r}")
        return self._database.every(every_row(name))

    def _certified(self, height: int) -> tuple[bytes, ...] | None:
        row = self._at("SELECT header, certificate FROM blocks WHERE height = ?", height)
        if row is None and height <= self._base:
            row = self._at("SELECT header, certificate FROM past WHERE height = ?", height)
        return row

    def _at(self, statement: str, height: int) -> tuple[bytes, ...] | None:
        # SQLite has no integers beyond 63 bits, and strangers ask for any height. What is in
        # the database counts, not _tip: the index shows a block as soon as it is committed.
        if not 0 < height < 1 << 63:
            return None
        return self._database.row(statement, (height,))


_PUT: Final = (
    "INSERT INTO state VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)


def _puts(changes: Mapping[bytes, bytes | None]) -> list[tuple[bytes, bytes]]:
    return [(key, value) for key, value in changes.items() if value is not None]


def _after(prefix: bytes) -> bytes | None:
    """The least key above all keys with this prefix; None when there is none."""
    trimmed = prefix.rstrip(b"\xff")
    return trimmed[:-1] + bytes((trimmed[-1] + 1,)) if trimmed else None


def _check_tip(database: Database, path: Path) -> None:
    count, first, last = database.rows("SELECT count(*), min(height), max(height) FROM blocks")[0]
    base = database.rows(BASE_HEIGHT)[0][0]
    row = database.row(last_block("hash, header"))
    whole = count == 0 or (first == base + 1 and last == base + count)
    if not whole or (row is not None and sha256(row[1]) != row[0]):
        raise RefusalError(
            DataCode.BAD_STORE,
            f"{path} does not hold a whole chain up to its last block; restore it from a backup, "
            "or move it away to fetch the chain again",
            field="store",
        )
