"""Whether a store's tables say what its blocks say.

Blocks and state are held against an execution by ``replay``. What else lies in the database follows
from the blocks (columns beside them, receipts, indexes), or was signed by this node (own votes).
The tables that follow are made anew in a database of their own, which spills to disk, and compared
row by row at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import zip_longest
from types import TracebackType
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.consensus.locks import decode_lock
from fedcoin.consensus.validator_messages import decode_validators
from fedcoin.contract.blocks.validator_history import TrustPath
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.data.messages.canonical import decode
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import PREVOTE, decode_proposal, decode_vote
from fedcoin.data.storage.block_index import write_index, write_old_index
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.schema import PRIMARY_KEYS, every_row, migrate
from fedcoin.data.storage.trusted_headers import Base
from fedcoin.v1.vote_pb2 import SignedProposal, SignedVote

_DERIVED: Final = ("receipts", "transactions", "campaigns", "tasks", "reveals", "payments")
"""Tables that follow from blocks and the first one's base alone."""


def broken(sentence: str) -> RefusalError:
    """The store is not what its own blocks lead to."""
    return RefusalError(
        ApplicationCode.BAD_CHAIN,
        f"{sentence}; move the database away and let the node fetch the chain again",
    )


class Derived:
    """The tables that follow from the blocks which were added so far, and from a snapshot's
    state where the chain began from one."""

    def __init__(self, base: Base | None = None) -> None:
        # Without a name it lies in memory as far as it fits, then in a temporary file.
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = OFF")
        self._connection.execute("PRAGMA synchronous = OFF")
        migrate(self._connection)
        if base is not None:
            write_old_index(self._connection, base.height, base.campaigns, base.tasks)

    def __enter__(self) -> Derived:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()

    def add(self, block: Block, receipts: Sequence[bytes]) -> None:
        """Write down what the next block leads to."""
        self._connection.execute("BEGIN")
        self._connection.executemany(
            "INSERT INTO receipts VALUES (?, ?, ?)",
            [(block.height, place, raw) for place, raw in enumerate(receipts)],
        )
        write_index(self._connection, block, receipts)
        self._connection.execute("COMMIT")

    def compare(self, store: ChainStore) -> None:
        """Raises BAD_CHAIN at the first row that differs."""
        for table in _DERIVED:
            made = self._connection.execute(every_row(table))
            for stored, wanted in zip_longest(store.table(table), made):
                if stored != wanted:
                    keys = PRIMARY_KEYS[table].split(", ")
                    where = ", ".join(map(_shown, (stored or wanted)[: len(keys)]))
                    what = "is missing" if stored is None else "is not what the blocks lead to"
                    raise broken(f"table {table}: the row of {' and '.join(keys)} {where} {what}")


def check_block_columns(store: ChainStore, block: Block) -> None:
    """Hash and header that lie beside a block, and are read instead of it, are its own."""
    if store.header_bytes(block.height) != block.header_bytes:
        raise broken(f"the header kept beside block {block.height} is not the block's")
    if store.block_height(block.hash) != block.height:
        raise broken(f"the hash kept beside block {block.height} is not the block's")


def check_meta(store: ChainStore, genesis: Genesis) -> None:
    """What the database says of itself."""
    found = dict(store.table("meta"))
    wanted = {"chain_id": genesis.chain_id.encode(), "genesis_hash": genesis.hash}
    if store.height():
        wanted["initialised"] = b"1"
    for name, value in wanted.items():
        if found.get(name) != value:
            raise broken(f"table meta: {name} is {found.get(name)!r}, not {value!r}")
    if not found.get("votes_floor", b"0").isdigit():
        raise broken(f"table meta: votes_floor is {found['votes_floor']!r}, which is no height")


def check_past(store: ChainStore, genesis: Genesis) -> None:
    """The headers from before the first block lead from genesis to the one that it stands on."""
    trust = TrustPath(genesis)
    rows = list(store.table("past"))
    for height, hash, raw, certificate, next_validators in rows:
        where = f"table past: the header of height {height}"
        try:
            if next_validators:
                validators = decode_validators(next_validators)
                header = trust.follow(raw, certificate, validators)
            else:
                header = trust.certified(raw, certificate)
                trust.check_next(header)
        except RefusalError as refusal:
            raise broken(f"{where} does not hold ({refusal.message})") from None
        if (header.height, sha256(raw)) != (height, hash):
            raise broken(f"{where} is filed under another height or hash than its own")


def check_own_votes(store: ChainStore, genesis: Genesis) -> None:
    """Each word of this node's validator is signed, and filed under what it says."""
    for height, round, kind, block_hash, envelope in store.table("own_votes"):
        where = f"table own_votes: the {kind} of height {height}, round {round}"
        try:
            said = _said(kind, envelope, genesis)
        except RefusalError as refusal:
            raise broken(f"{where} cannot be read ({refusal.message})") from None
        if said != (kind, height, round, block_hash):
            raise broken(f"{where} says something else than where it is kept")


def _said(kind: str, envelope: bytes, genesis: Genesis) -> tuple[str, int, int, bytes]:
    if kind == "lock":
        lock = decode_lock(envelope, genesis.chain_id)
        if decode_block(lock.raw, genesis.parameters.max_block_bytes).hash != lock.block_hash:
            raise broken("the block is another one than its prevotes are for")
        return kind, lock.height, lock.round, lock.block_hash
    if kind == "proposal":
        most = genesis.parameters.max_block_bytes
        proposal = decode_proposal(decode(SignedProposal, envelope), genesis.chain_id, most)
        return kind, proposal.height, proposal.round, proposal.block_hash
    vote = decode_vote(decode(SignedVote, envelope), genesis.chain_id)
    name = "prevote" if vote.kind == PREVOTE else "precommit"
    return name, vote.height, vote.round, vote.block_hash


def _shown(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
