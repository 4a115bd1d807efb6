"""Where things stand in the chain: transactions, campaigns, tasks, reveals and payments.

All of it follows from blocks and receipts; it is written in the same transaction as they are.
A place is a height and a position, from 0, among the block's transactions or receipts.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final, NamedTuple

from fedcoin.data.crypto.addresses import address_of
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.transactions import transaction_hash
from fedcoin.data.storage.database import Database
from fedcoin.v1.block_pb2 import Receipt
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody

_END: Final = 2**63 - 1


class Place(NamedTuple):
    """A height, and a position from 0 among the block's transactions, or its receipts."""

    height: int
    position: int


class Opened(NamedTuple):
    """A campaign or a task, and the place of the transaction that opened it."""

    id: bytes
    place: Place


def write_index(connection: sqlite3.Connection, block: Block, receipts: Sequence[bytes]) -> None:
    """Add a block's rows to the index tables, inside the caller's transaction."""
    for index, raw in enumerate(block.transactions):
        _write_transaction(connection, block.height, index, raw)
    for index, raw in enumerate(receipts):
        receipt = Receipt.FromString(raw)
        if receipt.WhichOneof("kind") == "payment":
            payment = receipt.payment
            connection.execute(
                "INSERT INTO payments VALUES (?, ?, ?, ?)",
                (block.height, index, payment.address, payment.task_id),
            )


class OldTask(NamedTuple):
    """A task of which the state knows, but whose blocks are not kept."""

    opened_height: int
    id: bytes
    campaign_id: bytes


def write_old_index(
    connection: sqlite3.Connection, base: int, campaigns: Sequence[bytes], tasks: Sequence[OldTask]
) -> None:
    """Add what the state of a snapshot at height ``base`` tells, inside the caller's transaction.

    Positions in blocks that are not kept are made up, by id; campaigns stand at ``base``.
    """
    connection.executemany(
        "INSERT INTO campaigns VALUES (?, ?, ?)",
        [(base, place, id) for place, id in enumerate(sorted(campaigns))],
    )
    connection.executemany(
        "INSERT INTO tasks VALUES (?, ?, ?, ?)",
        [
            (task.opened_height, i, task.id, task.campaign_id)
            for i, task in enumerate(sorted(tasks))
        ],
    )


def _write_transaction(connection: sqlite3.Connection, height: int, index: int, raw: bytes) -> None:
    envelope = SignedTransaction.FromString(raw)
    body = TransactionBody.FromString(envelope.body)
    hash, sender = (
        transaction_hash(envelope.public_key, envelope.body),
        address_of(envelope.public_key),
    )
    connection.execute(
        "INSERT INTO transactions VALUES (?, ?, ?, ?)", (hash, height, index, sender)
    )
    action = body.WhichOneof("action")
    if action == "open_campaign":
        connection.execute("INSERT INTO campaigns VALUES (?, ?, ?)", (height, index, hash))
    elif action == "open_task":
        connection.execute(
            "INSERT INTO tasks VALUES (?, ?, ?, ?)",
            (height, index, hash, body.open_task.campaign_id),
        )
    elif action == "reveal_shapley" and body.reveal_shapley.evidence.leaves:
        # An opening shows nothing. A later attempt's reveal takes the place of an earlier one's.
        connection.execute(
            "INSERT OR REPLACE INTO reveals VALUES (?, ?, ?, ?)",
            (body.reveal_shapley.task_id, sender, height, index),
        )


def _bound(before: tuple[int, int] | None) -> tuple[int, int]:
    # SQLite has no integers beyond 63 bits, and page tokens come from strangers.
    height, position = before or (_END, _END)
    return min(height, _END), min(position, _END)


class BlockIndex:
    """Queries on the index tables."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def transaction(self, hash: bytes) -> Place | None:
        """Where a transaction stands, by its 32-byte hash."""
        return self._place("SELECT height, place FROM transactions WHERE hash = ?", (hash,))

    def task(self, task_id: bytes, height: int) -> Place | None:
        """Where a task stands that was opened at a height."""
        return self._place(
            "SELECT height, place FROM tasks WHERE height = ? AND task_id = ?", (height, task_id)
        )

    def reveal(self, task_id: bytes, miner: bytes) -> Place | None:
        """Where a miner (20 bytes) last revealed for a task (32 bytes)."""
        return self._place(
            "SELECT height, place FROM reveals WHERE task_id = ? AND miner = ?", (task_id, miner)
        )

    def transactions_of(
        self, sender: bytes, limit: int, before: tuple[int, int] | None = None
    ) -> list[Place]:
        """An address' transactions, the latest first, at most `limit`, all before a place."""
        rows = self._database.rows(
            "SELECT height, place FROM transactions WHERE sender = ? AND (height, place) < (?, ?)"
            " ORDER BY height DESC, place DESC LIMIT ?",
            (sender, *_bound(before), limit),
        )
        return [Place(*row) for row in rows]

    def campaigns(self, limit: int, before: tuple[int, int] | None = None) -> list[Opened]:
        """Campaigns, the latest first, at most `limit`, all opened before a place."""
        rows = self._database.rows(
            "SELECT campaign_id, height, place FROM campaigns WHERE (height, place) < (?, ?)"
            " ORDER BY height DESC, place DESC LIMIT ?",
            (*_bound(before), limit),
        )
        return [Opened(row[0], Place(row[1], row[2])) for row in rows]

    def tasks(
        self,
        limit: int,
        before: tuple[int, int] | None = None,
        campaign_id: bytes | None = None,
    ) -> list[Opened]:
        """Tasks, of one campaign if given, the latest first, as `campaigns` does it."""
        chosen = "" if campaign_id is None else "campaign_id = ? AND "
        arguments = () if campaign_id is None else (campaign_id,)
        rows = self._database.rows(
            f"SELECT task_id, height, place FROM tasks WHERE {chosen}(height, place) < (?, ?)"
            " ORDER BY height DESC, place DESC LIMIT ?",
            (*arguments, *_bound(before), limit),
        )
        return [Opened(row[0], Place(row[1], row[2])) for row in rows]

    def payments_of_task(self, task_id: bytes) -> list[Place]:
        """The places, among their blocks' receipts, of all that a task paid, in order."""
        rows = self._database.rows(
            "SELECT height, place FROM payments WHERE task_id = ? ORDER BY height, place",
            (task_id,),
        )
        return [Place(*row) for row in rows]

    def payments_to(
        self, address: bytes, limit: int, before: tuple[int, int] | None = None
    ) -> list[Place]:
        """The places of payments to an address, the latest first, as `campaigns` does it."""
        rows = self._database.rows(
            "SELECT height, place FROM payments WHERE address = ? AND (height, place) < (?, ?)"
            " ORDER BY height DESC, place DESC LIMIT ?",
            (address, *_bound(before), limit),
        )
        return [Place(*row) for row in rows]

    def _place(self, statement: str, arguments: tuple[object, ...]) -> Place | None:
        row = self._database.row(statement, arguments)
        return None if row is None else Place(*row)
