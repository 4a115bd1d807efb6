"""Check that a database's tables agree with its blocks.

`replay` compares blocks and state with an execution. The other tables either follow from the blocks
(columns beside each block, receipts, indexes) or hold what this node signed (own votes). The tables
that follow from blocks are built again in a temporary database, which spills to disk, and compared
row by row at the end.
"""

from __future__ import annotations

import sqlite3
from itertools import zip_longest
from types import TracebackType
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.consensus.lock_record import decode_lock
from fedcoin.consensus.validator_messages import decode_validators
from fedcoin.contract.blocks.execution import Execution
from fedcoin.contract.blocks.validator_history import TrustPath
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.data.messages.canonical import decode
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import PREVOTE, decode_proposal, decode_vote
from fedcoin.data.protocol import PROTOCOL_VERSION, STATE_LAYOUT
from fedcoin.data.storage.block_index import write_index, write_snapshot_index
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.schema import PRIMARY_KEYS, migrate, select_all_rows
from fedcoin.data.storage.trusted_headers import SnapshotBase
from fedcoin.v1.vote_pb2 import SignedProposal, SignedVote

_DERIVED: Final = ("receipts", "transactions", "campaigns", "tasks", "reveals", "payments")
"""The tables that follow from the blocks, and from the snapshot below the first block."""


def bad_chain(sentence: str) -> RefusalError:
    """Make the error for a database that disagrees with its own blocks.

    Args:
        sentence: The disagreement, as a sentence without a full stop.

    Returns:
        A refusal with code BAD_CHAIN, which the caller raises.
    """
    return RefusalError(
        ApplicationCode.BAD_CHAIN,
        f"{sentence}; move the database away and let the node fetch the chain again",
    )


class DerivedTables:
    """The tables that follow from blocks, built again in a temporary database.

    Args:
        base: The snapshot that the chain started from; None when it started from genesis.
    """

    def __init__(self, base: SnapshotBase | None = None) -> None:
        # SQLite keeps a nameless database in memory and spills it to a temporary file.
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        migrate(self._connection)
        if base is not None:
            write_snapshot_index(self._connection, base.height, base.campaigns, base.tasks)

    def __enter__(self) -> DerivedTables:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def add(self, height: int, execution: Execution) -> None:
        """Add the rows that one more block leads to.

        Args:
            height: The height of the block after those that were added before.
            execution: The result of executing the block.
        """
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO receipts VALUES (?, ?, ?)",
            [(height, index, raw) for index, raw in enumerate(execution.receipts)],
        )
        write_index(self._connection, height, execution.transactions, execution.receipts)
        self._connection.execute("COMMIT")

    def compare(self, store: ChainStore) -> None:
        """Compare all tables with those of a store.

        Args:
            store: The database to check.

        Raises:
            RefusalError: BAD_CHAIN, with the first row that differs.
        """
        for table in _DERIVED:
            made = self._connection.execute(select_all_rows(table))
            for stored, wanted in zip_longest(store.table(table), made):
                if stored != wanted:
                    keys = PRIMARY_KEYS[table].split(", ")
                    where = ", ".join(map(_format_key, (stored or wanted)[: len(keys)]))
                    what = (
                        "is missing" if stored is None else "differs from what the blocks lead to"
                    )
                    raise bad_chain(
                        f"table {table}: the row of {' and '.join(keys)} {where} {what}"
                    )


def check_block_columns(store: ChainStore, block: Block) -> None:
    """Check the hash and the header that are stored beside a block for faster reading.

    Args:
        store: The database that is checked.
        block: A block that the database holds, decoded.

    Raises:
        RefusalError: BAD_CHAIN when one of them is not the block's.
    """
    if store.header_bytes(block.height) != block.header_bytes:
        raise bad_chain(f"the header kept beside block {block.height} is not the block's")
    if store.block_height(block.hash) != block.height:
        raise bad_chain(f"the hash kept beside block {block.height} is not the block's")


def check_meta(store: ChainStore, genesis: Genesis) -> None:
    """Check the table `meta`: network, protocol, and the height below which nothing is signed.

    Args:
        store: The database that is checked.
        genesis: The network's genesis.

    Raises:
        RefusalError: BAD_CHAIN when a row is wrong.
    """
    stored = dict(store.table("meta"))
    wanted = {
        "chain_id": genesis.chain_id.encode(),
        "genesis_hash": genesis.hash,
        "protocol_version": b"%d" % PROTOCOL_VERSION,
        "state_layout": b"%d" % STATE_LAYOUT,
    }
    if store.height():
        wanted["initialised"] = b"1"
    for name, value in wanted.items():
        if stored.get(name) != value:
            raise bad_chain(f"table meta: {name} is {stored.get(name)!r}, not {value!r}")
    if not stored.get("votes_floor", b"0").isdigit():
        raise bad_chain(
            f"table meta: votes_floor is {stored['votes_floor']!r}, which is not a height"
        )


def check_trusted_headers(store: ChainStore, genesis: Genesis) -> None:
    """Check the table `trusted_headers`: headers that lead from genesis to the snapshot's block.

    Args:
        store: The database that is checked.
        genesis: The network's genesis.

    Raises:
        RefusalError: BAD_CHAIN when a header is not certified by the validators before it.
    """
    trust = TrustPath(genesis)
    rows = list(store.table("trusted_headers"))
    for height, hash, raw, certificate, next_validators in rows:
        where = f"table trusted_headers: the header of height {height}"
        try:
            if next_validators:
                validators = decode_validators(next_validators)
                header = trust.follow(raw, certificate, validators)
            else:
                header = trust.check_certified(raw, certificate)
                trust.check_next(header)
        except RefusalError as refusal:
            raise bad_chain(f"{where} is not valid ({refusal.message})") from None
        if (header.height, sha256(raw)) != (height, hash):
            raise bad_chain(f"{where} is stored under another height or hash")


def check_own_votes(store: ChainStore, genesis: Genesis) -> None:
    """Check the table `own_votes`: each row is signed, and stored under what it says.

    Args:
        store: The database that is checked.
        genesis: The network's genesis.

    Raises:
        RefusalError: BAD_CHAIN when a row cannot be read or is stored under another height, round,
            kind or block hash.
    """
    for height, round, kind, block_hash, envelope in store.table("own_votes"):
        where = f"table own_votes: the {kind} of height {height}, round {round}"
        try:
            signed = _read_signed(kind, envelope, genesis)
        except RefusalError as refusal:
            raise bad_chain(f"{where} cannot be read ({refusal.message})") from None
        if signed != (kind, height, round, block_hash):
            raise bad_chain(f"{where} is stored under another height, round or block hash")


def _read_signed(kind: str, envelope: bytes, genesis: Genesis) -> tuple[str, int, int, bytes]:
    if kind == "lock":
        max_bytes = genesis.parameters.max_block_bytes
        lock = decode_lock(envelope, genesis.hash, lambda raw: decode_block(raw, max_bytes))
        return kind, lock.height, lock.round, lock.block_hash
    if kind == "proposal":
        max_bytes = genesis.parameters.max_block_bytes
        proposal = decode_proposal(decode(SignedProposal, envelope), genesis.hash, max_bytes)
        return kind, proposal.height, proposal.round, proposal.block_hash
    vote = decode_vote(decode(SignedVote, envelope), genesis.hash)
    name = "prevote" if vote.kind == PREVOTE else "precommit"
    return name, vote.height, vote.round, vote.block_hash


def _format_key(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
