"""Indexes of the chain: where transactions, campaigns, tasks, reveals and payments are.

All rows follow from blocks and receipts, and are written in the same transaction as they are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from fedcoin.data.messages.transactions import Transaction, action_name
from fedcoin.data.storage.database import Database
from fedcoin.v1.block_pb2 import Receipt

_MAX_INTEGER: Final = 2**63 - 1
"""The largest integer that SQLite can hold."""


_TRANSACTION_TAG: Final = bytes((Receipt.DESCRIPTOR.fields_by_name["transaction"].number << 3 | 2,))
"""The first byte of a transaction's receipt. Most receipts are one, and need not be decoded."""


class Location(NamedTuple):
    """The position of a transaction or a receipt in the chain."""

    height: int
    """The height of its block."""
    position: int
    """Its index, from 0, among the block's transactions or receipts."""


class IndexEntry(NamedTuple):
    """A campaign or a task, and where the transaction is that opened it."""

    id: bytes
    """32 bytes: the hash of that transaction."""
    location: Location
    """The position of the transaction that opened it."""


class SnapshotTask(NamedTuple):
    """A task in the state of a snapshot, whose opening block is not stored."""

    opened_height: int
    """The height of the block that opened it."""
    id: bytes
    """The task's id, 32 bytes."""
    campaign_id: bytes
    """The campaign's id, 32 bytes."""


def write_index(
    connection: sqlite3.Connection,
    height: int,
    transactions: Sequence[Transaction],
    receipts: Sequence[bytes],
) -> None:
    """Write the index rows of a block.

    Args:
        connection: A connection inside the caller's write transaction.
        height: The block's height.
        transactions: The block's transactions, in order.
        receipts: The block's serialised receipts, in order.
    """
    connection.executemany(
        "INSERT INTO transactions VALUES (?, ?, ?, ?)",
        [
            (transaction.hash, height, index, transaction.sender)
            for index, transaction in enumerate(transactions)
        ],
    )
    for index, transaction in enumerate(transactions):
        _write_opened_or_revealed(connection, height, index, transaction)
    for index, raw in enumerate(receipts):
        if raw.startswith(_TRANSACTION_TAG):
            continue
        receipt = Receipt.FromString(raw)
        if receipt.WhichOneof("kind") == "payment":
            payment = receipt.payment
            connection.execute(
                "INSERT INTO payments VALUES (?, ?, ?, ?)",
                (height, index, payment.address, payment.task_id),
            )


def write_snapshot_index(
    connection: sqlite3.Connection,
    base_height: int,
    campaigns: Sequence[bytes],
    tasks: Sequence[SnapshotTask],
) -> None:
    """Write index rows for the campaigns and tasks in a snapshot's state.

    The blocks that opened them are not stored, so their exact locations are unknown. A campaign's
    row gets the snapshot's height, a task's row the height at which it was opened. The position in
    the block is replaced by the row's number, from 0: campaigns are sorted by id, tasks by height
    and id.

    Args:
        connection: A connection inside the caller's write transaction.
        base_height: The snapshot's height.
        campaigns: The ids of all campaigns in the state, 32 bytes each.
        tasks: All tasks in the state.
    """
    connection.executemany(
        "INSERT INTO campaigns VALUES (?, ?, ?)",
        [(base_height, position, id) for position, id in enumerate(sorted(campaigns))],
    )
    connection.executemany(
        "INSERT INTO tasks VALUES (?, ?, ?, ?)",
        [
            (task.opened_height, position, task.id, task.campaign_id)
            for position, task in enumerate(sorted(tasks))
        ],
    )


def _write_opened_or_revealed(
    connection: sqlite3.Connection, height: int, index: int, transaction: Transaction
) -> None:
    body = transaction.body
    action = action_name(body)
    if action == "open_campaign":
        row = (height, index, transaction.hash)
        connection.execute("INSERT INTO campaigns VALUES (?, ?, ?)", row)
    elif action == "open_task":
        connection.execute(
            "INSERT INTO tasks VALUES (?, ?, ?, ?)",
            (height, index, transaction.hash, body.open_task.campaign_id),
        )
    elif action == "reveal_shapley" and body.reveal_shapley.evidence.leaves:
        # Openings carry no evidence, so they are not indexed. The reveal of a later attempt
        # replaces that of an earlier one.
        connection.execute(
            "INSERT OR REPLACE INTO reveals VALUES (?, ?, ?, ?)",
            (body.reveal_shapley.task_id, transaction.sender, height, index),
        )


class BlockIndex:
    """Queries on the index tables; usable from several threads.

    Lists are in falling order of location. Where a method takes `before`, it lists only entries
    with a smaller (height, position); any integers from 0 on are accepted, as page tokens come
    from strangers.
    """

    def __init__(self, database: Database) -> None:
        """Use the index tables of a database.

        Args:
            database: The node's database.
        """
        self._database = database

    def find_transaction(self, hash: bytes) -> Location | None:
        """Find a transaction.

        Args:
            hash: The transaction's hash, 32 bytes.

        Returns:
            The transaction's location in the chain, or None when no stored block holds it.
        """
        return self._find("SELECT height, position FROM transactions WHERE hash = ?", (hash,))

    def list_hashes(self, lowest: bytes, highest: bytes, limit: int) -> list[bytes]:
        """List the hashes of transactions in a range, the lowest first.

        Args:
            lowest: 32 bytes.
            highest: 32 bytes.
            limit: The largest number of hashes.

        Returns:
            The hashes, 32 bytes each.
        """
        statement = "SELECT hash FROM transactions WHERE hash BETWEEN ? AND ? ORDER BY hash LIMIT ?"
        return [row[0] for row in self._database.rows(statement, (lowest, highest, limit))]

    def find_task(self, task_id: bytes, height: int) -> Location | None:
        """Find the transaction that opened a task.

        Args:
            task_id: The task's id, 32 bytes.
            height: The height at which it was opened.

        Returns:
            The location among transactions, or None when there is no such task.
        """
        return self._find(
            "SELECT height, position FROM tasks WHERE height = ? AND task_id = ?",
            (height, task_id),
        )

    def find_reveal(self, task_id: bytes, miner: bytes) -> Location | None:
        """Find the latest transaction in which a miner revealed evidence for a task.

        Args:
            task_id: The task's id, 32 bytes.
            miner: The miner's address, 20 bytes.

        Returns:
            The location among transactions, or None when there is none.
        """
        return self._find(
            "SELECT height, position FROM reveals WHERE task_id = ? AND miner = ?",
            (task_id, miner),
        )

    def list_transactions(
        self, sender: bytes, limit: int, before: tuple[int, int] | None = None
    ) -> list[Location]:
        """List the transactions that an address sent, the latest first.

        Args:
            sender: The address, 20 bytes.
            limit: The largest number to list.
            before: (height, index in the block): list only entries of earlier transactions; None
                starts with the latest.

        Returns:
            At most `limit` locations among transactions.
        """
        rows = self._database.rows(
            "SELECT height, position FROM transactions"
            " WHERE sender = ? AND (height, position) < (?, ?)"
            " ORDER BY height DESC, position DESC LIMIT ?",
            (sender, *_upper_bound(before), limit),
        )
        return [Location(*row) for row in rows]

    def list_campaigns(self, limit: int, before: tuple[int, int] | None = None) -> list[IndexEntry]:
        """List campaigns, the latest first.

        Args:
            limit: The largest number to list.
            before: (height, index in the block): list only entries of earlier transactions; None
                starts with the latest.

        Returns:
            Ids and locations of at most `limit` campaigns.
        """
        rows = self._database.rows(
            "SELECT campaign_id, height, position FROM campaigns WHERE (height, position) < (?, ?)"
            " ORDER BY height DESC, position DESC LIMIT ?",
            (*_upper_bound(before), limit),
        )
        return [IndexEntry(row[0], Location(row[1], row[2])) for row in rows]

    def list_tasks(
        self,
        limit: int,
        before: tuple[int, int] | None = None,
        campaign_id: bytes | None = None,
    ) -> list[IndexEntry]:
        """List tasks, the latest first.

        Args:
            limit: The largest number to list.
            before: (height, index in the block): list only entries of earlier transactions; None
                starts with the latest.
            campaign_id: List only tasks of this campaign, 32 bytes; None for all.

        Returns:
            Ids and locations of at most `limit` tasks.
        """
        condition = "" if campaign_id is None else "campaign_id = ? AND "
        arguments = () if campaign_id is None else (campaign_id,)
        rows = self._database.rows(
            f"SELECT task_id, height, position FROM tasks"
            f" WHERE {condition}(height, position) < (?, ?)"
            " ORDER BY height DESC, position DESC LIMIT ?",
            (*arguments, *_upper_bound(before), limit),
        )
        return [IndexEntry(row[0], Location(row[1], row[2])) for row in rows]

    def list_task_payments(self, task_id: bytes) -> list[Location]:
        """List all payments of a task, in the order in which they were made.

        Args:
            task_id: The task's id, 32 bytes.

        Returns:
            Locations among receipts.
        """
        rows = self._database.rows(
            "SELECT height, position FROM payments WHERE task_id = ? ORDER BY height, position",
            (task_id,),
        )
        return [Location(*row) for row in rows]

    def list_payments(
        self, address: bytes, limit: int, before: tuple[int, int] | None = None
    ) -> list[Location]:
        """List payments to an address, the latest first.

        Args:
            address: The address, 20 bytes.
            limit: The largest number to list.
            before: (height, index in the block): list only entries of earlier transactions; None
                starts with the latest.

        Returns:
            At most `limit` locations among receipts.
        """
        rows = self._database.rows(
            "SELECT height, position FROM payments"
            " WHERE address = ? AND (height, position) < (?, ?)"
            " ORDER BY height DESC, position DESC LIMIT ?",
            (address, *_upper_bound(before), limit),
        )
        return [Location(*row) for row in rows]

    def _find(self, statement: str, arguments: tuple[object, ...]) -> Location | None:
        row = self._database.row(statement, arguments)
        return None if row is None else Location(*row)


def _upper_bound(before: tuple[int, int] | None) -> tuple[int, int]:
    height, position = before or (_MAX_INTEGER, _MAX_INTEGER)
    return min(height, _MAX_INTEGER), min(position, _MAX_INTEGER)
