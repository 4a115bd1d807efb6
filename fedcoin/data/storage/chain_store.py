"""A node's chain in one SQLite file: blocks, the state after the last one, indexes, own votes.

One write transaction carries a block with everything that follows from it, so that blocks and
state never come apart. The store checks that each block follows the one before it; the caller
checks that it is valid.

A chain that started from a snapshot has no blocks up to its base height, the snapshot's. Of those
it keeps the headers that `trusted_headers` describes. `block_reader` reads what is stored.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction, decode_stored_transaction
from fedcoin.data.protocol import PROTOCOL_VERSION, STATE_LAYOUT
from fedcoin.data.storage.block_index import BlockIndex, write_index
from fedcoin.data.storage.block_reader import BlockReader
from fedcoin.data.storage.block_tables import BlockEntry, check_blocks, write_block
from fedcoin.data.storage.database import Database
from fedcoin.data.storage.schema import TABLES, select_all_rows
from fedcoin.data.storage.state_table import (
    read_entry,
    replace_entries,
    scan_entries,
    write_changes,
)
from fedcoin.data.storage.state_view import StateView
from fedcoin.data.storage.trusted_headers import (
    SELECT_BASE_HEIGHT,
    SELECT_LAST_HEIGHT,
    SnapshotBase,
    select_last_block,
    write_snapshot_base,
)
from fedcoin.data.storage.vote_log import VoteLog, prune_votes

_INITIALISED: Final = "initialised"
_PROTOCOL: Final = "protocol_version"
_LAYOUT: Final = "state_layout"


class ChainStore(BlockReader):
    """The chain of one node; usable from several threads.

    Blocks are read by the methods of `BlockReader`. It is also the contract layer's
    `StateReader` (`get` and `scan`). Reads see committed data only.
    """

    def __init__(self, database: Database, genesis: Genesis) -> None:
        """Use a database that holds this genesis' chain; `open` checks that.

        Args:
            database: The open database.
            genesis: The network's genesis.
        """
        super().__init__(database)
        self.index: Final = BlockIndex(database)
        """Finds transactions, campaigns, tasks, reveals and payments."""
        self.votes: Final = VoteLog(database)
        """The votes that this node's validator signed."""
        self._append_lock = threading.Lock()
        self._base_height: int = database.rows(SELECT_BASE_HEIGHT)[0][0]
        row = database.row(select_last_block("height, hash"))
        self._tip: tuple[int, bytes] = (0, genesis.hash) if row is None else (row[0], row[1])

    @classmethod
    def open(cls, path: Path, genesis: Genesis) -> ChainStore:
        """Open the chain of a network, or create an empty one when the file is missing.

        Args:
            path: The database file.
            genesis: The network's genesis.

        Returns:
            The open store.

        Raises:
            RefusalError: BAD_STORE when the file is damaged or holds no chain, NEWER_STORE when
                a later version of the program wrote it, WRONG_CHAIN when it holds the chain of
                another genesis, OTHER_PROTOCOL when its chain follows another version of the
                protocol, OTHER_LAYOUT when its state has another layout.
        """
        meta = {
            "chain_id": genesis.chain_id.encode(),
            "genesis_hash": genesis.hash,
            _PROTOCOL: b"%d" % PROTOCOL_VERSION,
            _LAYOUT: b"%d" % STATE_LAYOUT,
        }
        database = Database.open(path, meta)
        try:
            stored_hash = database.meta("genesis_hash")
            if stored_hash != genesis.hash:
                chain = (database.meta("chain_id") or b"?").decode(errors="replace")
                raise RefusalError(
                    DataCode.WRONG_CHAIN,
                    f"{path} holds chain {chain!r} with genesis {(stored_hash or b'').hex()}; this "
                    f"is chain {genesis.chain_id!r} with genesis {genesis.hash.hex()}: use another "
                    "home folder, or the genesis file that belongs to it",
                    field="genesis_hash",
                    limit=genesis.hash.hex(),
                )
            _check_protocol(database, path)
            _check_layout(database, path)
            check_blocks(database, path)
            return cls(database, genesis)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Close the file. The store must not be used afterwards."""
        self._database.close()

    def __enter__(self) -> ChainStore:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    # Writing ------------------------------------------------------------------------------

    def initialise(self, changes: Mapping[bytes, bytes | None]) -> bool:
        """Write the state of genesis, once; later calls change nothing.

        Args:
            changes: All entries of the state, by key; none of the values is None.

        Returns:
            True when this call wrote them.
        """
        with self._database.write("genesis") as connection:
            query = "SELECT 1 FROM meta WHERE name = ?"
            if connection.execute(query, (_INITIALISED,)).fetchone():
                return False
            write_changes(connection, changes)
            connection.execute("INSERT INTO meta VALUES (?, ?)", (_INITIALISED, b"1"))
        return True

    def append(
        self,
        block: Block,
        certificate: bytes,
        receipts: Sequence[bytes],
        changes: Mapping[bytes, bytes | None],
        transactions: Sequence[Transaction] | None = None,
    ) -> None:
        """Store the next block with everything that follows from it.

        All of it is on disk when this returns.

        Args:
            block: The next block.
            certificate: The serialised Certificate that makes it final.
            receipts: The block's serialised receipts, in order.
            changes: The entries of the state that the block changes; None deletes a key.
            transactions: The block's transactions, decoded; None to read them from the block.

        Raises:
            ValueError: The block's height or parent hash does not follow the last block.
        """
        if transactions is None:
            transactions = [decode_stored_transaction(raw) for raw in block.transactions]
        self.append_all([BlockEntry(block, certificate, receipts, changes, transactions)])

    def append_all(self, blocks: Sequence[BlockEntry]) -> None:
        """Store consecutive blocks with everything that follows from them, in one transaction.

        All of it is on disk when this returns; after a crash before, none of it is.

        Args:
            blocks: The next blocks, in order.

        Raises:
            ValueError: The height or parent hash of one does not follow the one before it.
        """
        with self._append_lock:
            height, hash = self._tip
            for one in blocks:
                if one.block.height != height + 1 or one.block.header.parent_hash != hash:
                    raise ValueError(f"block {one.block.height} does not follow block {height}")
                height, hash = one.block.height, one.block.hash
            changes: dict[bytes, bytes | None] = {}
            with self._database.write("blocks") as connection:
                for one in blocks:
                    write_block(connection, one.block, one.certificate, one.receipts)
                    write_index(connection, one.block.height, one.transactions, one.receipts)
                    changes |= one.changes
                write_changes(connection, changes)
            self._tip = (height, hash)

    def restore(
        self, batches: Iterable[Iterable[tuple[bytes, bytes]]], base: Callable[[], SnapshotBase]
    ) -> None:
        """Start the chain from a snapshot instead of genesis.

        Replaces the whole state in one transaction: whatever `batches` or `base` raises leaves
        the store as it was. From here on this node signs no votes up to the snapshot's height.

        Args:
            batches: The entries of the state, in batches.
            base: Called once the batches have ended; returns the headers, campaigns and tasks of
                the snapshot that they came from.

        Raises:
            ValueError: When the store holds blocks.
        """
        with self._append_lock:
            if self._tip[0]:
                raise ValueError(f"the store has reached height {self._tip[0]}")
            with self._database.write("restore") as connection:
                replace_entries(connection, batches)
                snapshot_base = base()
                write_snapshot_base(connection, snapshot_base)
                connection.execute(
                    "INSERT OR REPLACE INTO meta VALUES (?, ?)", (_INITIALISED, b"1")
                )
                prune_votes(connection, snapshot_base.height + 1)
            self._base_height = snapshot_base.height
            self._tip = (snapshot_base.height, sha256(snapshot_base.headers[-1].header))

    # State --------------------------------------------------------------------------------

    def open_state_view(self) -> StateView:
        """Open a view of the state after the last block, isolated from later blocks.

        Returns:
            The view; close it after use.
        """
        return StateView(self._database.begin_read())

    def get(self, key: bytes) -> bytes | None:
        """Implement `StateReader.get` for the state after the last block."""
        return read_entry(self._database, key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Implement `StateReader.scan` for the state after the last block.

        Reads 1,024 entries at a time: a block that is appended meanwhile shows from the next
        page on.
        """
        return scan_entries(self._database, prefix)

    # Extent -------------------------------------------------------------------------------

    def base_height(self) -> int:
        """Return the height up to which no blocks are stored; 0 without a snapshot."""
        return self._base_height

    def height(self) -> int:
        """Return the height of the last block (or of the snapshot); 0 for genesis alone."""
        return self._tip[0]

    def tip_hash(self) -> bytes:
        """Return the hash of the last block, 32 bytes; the genesis hash at height 0."""
        return self._tip[1]

    # Maintenance --------------------------------------------------------------------------

    def backup(self, path: Path) -> int:
        """Copy the database to a new file while the node runs.

        The copy holds the own votes up to now: a validator that is restored from it must not
        vote before it has caught up.

        Args:
            path: The file to create.

        Returns:
            The height of the last block in the copy.

        Raises:
            FileExistsError: When `path` exists.
        """
        self._database.backup(path)
        with Database.open(path, {}) as copy:
            return int(copy.rows(SELECT_LAST_HEIGHT)[0][0])

    def integrity_faults(self) -> list[str]:
        """Check all pages and indexes of the file. Slow on large files.

        Returns:
            One sentence for each fault; an empty list for a sound file.
        """
        return self._database.integrity_faults()

    def table(self, name: str) -> Iterator[tuple[Any, ...]]:
        """Read a whole table without holding it in memory.

        Args:
            name: One of `schema.TABLES`.

        Returns:
            An iterator over the rows, all columns each, in the order of the primary key.

        Raises:
            ValueError: When there is no such table.
        """
        if name not in TABLES:
            raise ValueError(f"there is no table {name!r}")
        return self._database.iterate_rows(select_all_rows(name))


def _check_protocol(database: Database, path: Path) -> None:
    # Databases of version 1 have no such row.
    version = (database.meta(_PROTOCOL) or b"1").decode(errors="replace")
    if version != str(PROTOCOL_VERSION):
        raise RefusalError(
            DataCode.OTHER_PROTOCOL,
            f"{path} holds a chain of protocol version {version}; this program follows version "
            f"{PROTOCOL_VERSION}, whose blocks and rules differ: move the file away and start a "
            "new chain, or use the program that wrote it",
            field="store",
            limit=str(PROTOCOL_VERSION),
        )


def _check_layout(database: Database, path: Path) -> None:
    # Databases of layout 1 have no such row.
    layout = (database.meta(_LAYOUT) or b"1").decode(errors="replace")
    if layout != str(STATE_LAYOUT):
        raise RefusalError(
            DataCode.OTHER_LAYOUT,
            f"{path} holds a state of layout {layout}; this program reads layout {STATE_LAYOUT}: "
            "move the file away and start a new chain, or use the program that wrote it",
            field="store",
            limit=str(STATE_LAYOUT),
        )
