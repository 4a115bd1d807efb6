"""`verify` names the fault in a database in which single bytes were changed.

The changes cover every column of every table of a chain with settled tasks, and every region of its
blocks.
"""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.application.verification.replay import replay
from fedcoin.data.errors import RefusalError
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.schema import PRIMARY_KEYS, TABLES
from fedcoin.v1.block_pb2 import Block, BlockHeader
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody
from tests.support.database_edits import editing
from tests.support.settled_home import copy_home, settled_home

Row = tuple[Any, ...]

FILLED = TABLES - {"trusted_headers"}
"""The tables of a chain that began at genesis; test_snapshots.py is about restored chains."""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return asyncio.run(settled_home(tmp_path_factory.mktemp("settled")))


@pytest.fixture
def home(sound: Home, tmp_path: Path) -> Home:
    return copy_home(sound, tmp_path / "home")


def check(home: Home) -> Any:
    with ChainStore.open(home.chain_path, home.genesis()) as store:
        return replay(store, home.genesis(), lambda height: None)


def tamper(home: Home, statement: str, *values: object) -> int:
    with editing(home.chain_path) as connection:
        return connection.execute(statement, values).rowcount


def rows(home: Home, table: str) -> tuple[list[str], list[Row]]:
    with closing(sqlite3.connect(home.chain_path)) as connection:
        found = connection.execute(f"SELECT * FROM {table} ORDER BY {PRIMARY_KEYS[table]}")
        return [column[0] for column in found.description], found.fetchall()


def flipped(value: Any, rng: random.Random) -> Any:
    if isinstance(value, int):
        return value + 1_000
    if isinstance(value, str):
        return value + "x"
    if not value:
        return b"\0"
    place = rng.randrange(len(value))
    return value[:place] + bytes([value[place] ^ 1 << rng.randrange(8)]) + value[place + 1 :]


def named(home: Home) -> str:
    """Return the text with which verify reports the fault."""
    with pytest.raises(RefusalError) as caught:
        check(home)
    assert caught.value.code.value
    return caught.value.message


def tampered(home: Home, table: str, row: Row, column: str, value: Any) -> str:
    """Change one column of one row, verify, and undo the change; returns the reported fault."""
    columns, _ = rows(home, table)
    before = dict(zip(columns, row, strict=True))
    keys = PRIMARY_KEYS[table].split(", ")
    where = " AND ".join(f"{key} = ?" for key in keys)
    after = {**before, column: value}
    changed = tamper(
        home, f"UPDATE {table} SET {column} = ? WHERE {where}", value, *(before[k] for k in keys)
    )
    assert changed == 1
    complaint = named(home)
    tamper(
        home,
        f"UPDATE {table} SET {column} = ? WHERE {where}",
        before[column],
        *(after[k] for k in keys),
    )
    return complaint


def test_the_chain_is_sound(home: Home) -> None:
    found = check(home)
    assert (found.settlements, found.reveals) == (2, 6)
    assert all(rows(home, table)[1] for table in FILLED)


# Columns that neither the chain nor a vote depends on may differ.
HARMLESS = {("meta", "votes_floor")}
# Rows that are looked at when the file is opened, with sentences of their own.
OPENING = {"genesis_hash", "protocol_version", "state_layout"}


@pytest.mark.parametrize("table", sorted(FILLED))
def test_each_column_of_each_table(home: Home, table: str) -> None:
    rng = random.Random(table)
    columns, found = rows(home, table)
    for column in columns:
        row = rng.choice(found)
        if (table, row[0]) in HARMLESS:
            row = found[0]
        value = row[columns.index(column)]
        complaint = tampered(home, table, row, column, flipped(value, rng))
        named_table = table not in {"blocks", "state"} and row[0] not in OPENING
        assert not named_table or table in complaint, complaint
    check(home)


@pytest.mark.parametrize("table", sorted(FILLED - {"meta"}))
def test_rows_that_are_missing_or_too_many(home: Home, table: str) -> None:
    rng = random.Random(table)
    columns, found = rows(home, table)
    row = list(rng.choice(found))
    if table != "own_votes":
        where = " AND ".join(f"{name} = ?" for name in columns)
        assert tamper(home, f"DELETE FROM {table} WHERE {where}", *row) == 1
        named(home)
        tamper(home, f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
        check(home)
    for name in PRIMARY_KEYS[table].split(", "):
        row[columns.index(name)] = flipped(row[columns.index(name)], rng)
    if table == "blocks":
        row[1] = bytes(32)
    tamper(home, f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", *row)
    named(home)


def regions(raw: bytes) -> Iterator[tuple[str, int, int]]:
    """Return the named regions of a serialised block: their offsets and lengths."""
    block = Block.FromString(raw)
    header = BlockHeader.FromString(block.header)
    start = raw.index(block.header)
    yield "header", start, len(block.header)
    for name in ("parent_hash", "app_hash", "receipts_root", "next_validators_hash", "proposer"):
        value = getattr(header, name)
        yield f"header.{name}", start + block.header.index(value), len(value)
    if header.HasField("settlement"):
        written = header.settlement.SerializeToString()
        yield "header.settlement", start + block.header.index(written), len(written)
    if block.last_certificate:
        yield "last_certificate", raw.index(block.last_certificate), len(block.last_certificate)
    for transaction in block.transactions:
        envelope = SignedTransaction.FromString(transaction)
        body = TransactionBody.FromString(envelope.body)
        action = str(body.WhichOneof("action"))
        yield action, raw.index(transaction), len(transaction)
        yield f"{action}.signature", raw.index(envelope.signature), len(envelope.signature)
        if action == "reveal_shapley":
            evidence = body.reveal_shapley.evidence
            yield "evidence.root", raw.index(evidence.root), len(evidence.root)
            for name, nodes in (("leaf", evidence.leaves), ("sibling", evidence.siblings)):
                for part in (node.SerializeToString() for node in nodes):
                    yield f"evidence.{name}", raw.index(part), len(part)


def test_each_region_of_the_blocks(home: Home) -> None:
    """Change each kind of region in some block; the fault names the block."""
    rng = random.Random(3)
    _, blocks = rows(home, "blocks")
    places: dict[str, list[tuple[Row, int, int]]] = {}
    for row in blocks:
        for name, start, length in regions(row[3]):
            places.setdefault(name, []).append((row, start, length))
    assert {"header.settlement", "last_certificate", "evidence.sibling", "open_task"} <= set(places)
    for found in places.values():
        row, start, length = rng.choice(found)
        place = start + rng.randrange(length)
        raw = bytearray(row[3])
        raw[place] ^= 1 << rng.randrange(8)
        complaint = tampered(home, "blocks", row, "block", bytes(raw))
        assert f"block {row[0]}" in complaint, complaint


PLACES = {"blocks": "block", "state": "state", "meta": "chain"}
"""The words of a fault in a table, where they differ from the table's name."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_any_byte_of_any_row(home: Home) -> None:
    rng = random.Random(4)
    everything = {table: rows(home, table) for table in sorted(FILLED)}
    for table, (columns, found) in everything.items():
        for row in found:
            if (table, row[0]) in HARMLESS:
                continue
            for column, value in zip(columns, row, strict=True):
                for _ in range(4 if table == "blocks" and column == "block" else 1):
                    complaint = tampered(home, table, row, column, flipped(value, rng))
                    assert PLACES.get(table, table) in complaint or table in complaint, complaint
    check(home)
