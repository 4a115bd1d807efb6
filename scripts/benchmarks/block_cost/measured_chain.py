"""A chain in a real store, each of whose blocks can be measured as a validator meets it."""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import check_block
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import verify_signature
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.v1.vote_pb2 import Certificate
from scripts.benchmarks.block_cost.cost_allowance import BlockCost
from tests.support.genesis import FDC
from tests.support.keys import ALICE
from tests.support.ledger_chain import LedgerChain

BALANCE = 1_000_000 * FDC
"""What each account of the genesis owns, in sap."""
_HEADER_BYTES = 1_024
_TAG_BYTES = 6


@dataclass(frozen=True)
class Scale:
    """How large blocks, tasks and the validator set are."""

    block_bytes: int = 2 << 20
    """The largest size of a block, in bytes."""
    clients: int = 128
    """The most clients of a task."""
    miners: int = 100
    """The number of validators, which is also the largest one."""
    payers: int = 1_000
    """The number of accounts that pay each other."""
    turns: int = 3
    """How often each block is checked, and written to a copy of the database; of each the quickest
    time counts."""


QUICK = Scale(block_bytes=1 << 17, clients=8, miners=8, payers=100, turns=1)
"""Small blocks, tasks and sets, to see that the benchmark works."""


class MeasuredChain(LedgerChain):
    """A chain whose full blocks are measured."""

    scale: Scale

    @classmethod
    @contextmanager
    def begin(
        cls, scale: Scale, *, validators: int = 4, users: Iterable[str] = (), **parameters: Any
    ) -> Iterator[MeasuredChain]:
        """Create a chain in a folder that is deleted afterwards.

        Args:
            scale: The sizes.
            validators: The number of validators, each with a bond of 10 FDC.
            users: Names of accounts with coins, beside `alice` and `bob`.
            parameters: Further network parameters.

        Yields:
            The chain before its first block.
        """
        limits = {
            "max_block_bytes": scale.block_bytes,
            "max_clients": scale.clients,
            "max_validators": max(scale.miners, validators),
            "max_transaction_bytes": scale.block_bytes // 2,
        }
        with tempfile.TemporaryDirectory() as folder:
            chain = cls.create(
                validators,
                users=("alice", "bob", *users),
                balance=BALANCE,
                folder=Path(folder),
                **limits | parameters,
            )
            assert isinstance(chain, MeasuredChain)
            chain.scale = scale
            yield chain
            assert chain.store is not None
            chain.store.close()

    def fill(self, transactions: Iterable[Transaction]) -> list[Transaction]:
        """Take the first transactions that fit in a block.

        Args:
            transactions: Signed transactions; no more are taken than needed.

        Returns:
            Those that fit by their bytes and by what they add to the state.
        """
        room = self.scale.block_bytes - _HEADER_BYTES
        room -= len(self.certificates[-1]) if self.certificates else 0
        taken = []
        for transaction in transactions:
            room -= len(transaction.raw) + _TAG_BYTES
            if room < 0:
                break
            taken.append(transaction)
        # A block also has little room for new entries of the state.
        built = self.ledger.build(self.context(), taken, self.scale.block_bytes)
        assert not built.refused, built.refused[0]
        return list(built.transactions)

    def play(self, transactions: Iterable[Transaction]) -> None:
        """Make final all of these transactions, in as many blocks as they need.

        Args:
            transactions: Signed transactions, in order.
        """
        waiting = list(transactions)
        while waiting:
            taken = self.fill(waiting)
            self.produce(*taken)
            done = {transaction.hash for transaction in taken}
            waiting = [transaction for transaction in waiting if transaction.hash not in done]

    def measure(
        self, kind: str, transactions: Iterable[Transaction] = (), *, after_ms: int = 10
    ) -> BlockCost:
        """Make a block of these transactions final, and measure what it costs a validator.

        The ledger that checks it has read its state anew, and remembers no transaction. Decoding,
        the signatures, the rules, the hash of the state and the writes to the database count. The
        checks are repeated, and so are the writes, each into a fresh copy of the database.

        Args:
            kind: What the block is full of.
            transactions: Signed transactions; those that fit are taken.
            after_ms: The time since the block before, in ms.

        Returns:
            What the block holds and costs.
        """
        taken = self.fill(transactions)
        block = self.draft(*taken, after_ms=after_ms)
        certificate = self.certify(block)
        assert self.store is not None
        checked = written = float("inf")
        for _ in range(self.scale.turns):
            ledger = Ledger(self.store, self.genesis)
            gc.collect()
            start = time.process_time()
            raw = decode_block(block.raw, self.scale.block_bytes)
            execution = check_block(raw, self.header, self.genesis, ledger, round=0)
            checked = min(checked, time.process_time() - start)
            with self._copy_store() as store:
                gc.collect()
                start = time.process_time()
                store.append(block, certificate, execution.receipts, execution.changes)
                ledger.adopt(execution)
                written = min(written, time.process_time() - start)
        self.store.append(block, certificate, execution.receipts, execution.changes)
        seconds = checked + written
        signatures = sum(map(count_signatures, taken))
        if self.certificates:
            signatures += len(Certificate.FromString(self.certificates[-1]).precommits)
        self.ledger = ledger
        self.blocks.append(block)
        self.certificates.append(certificate)
        self.executions.append(execution)
        return BlockCost(kind, len(taken), len(block.raw), signatures, seconds * 1e3)

    @contextmanager
    def _copy_store(self) -> Iterator[ChainStore]:
        """Open a copy of the database, which is deleted afterwards."""
        assert self.store is not None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "chain.sqlite"
            self.store.backup(path)
            with ChainStore.open(path, self.genesis) as store:
                yield store


def count_signatures(transaction: Transaction) -> int:
    """Count the signatures of a transaction, and of what it holds.

    Args:
        transaction: A decoded transaction.

    Returns:
        The number of signatures that a validator verifies.
    """
    body = transaction.body
    own = len(transaction.signers) or 1
    if body.HasField("open_task"):
        return own + len(body.open_task.updates)
    if body.HasField("register_receipt") or body.HasField("report_equivocation"):
        return own + 2
    return own


def time_signature(count: int = 500, turns: int = 4) -> float:
    """Measure how long one signature takes to verify.

    Args:
        count: How many are verified in each turn.
        turns: How often that is measured; the quickest turn counts.

    Returns:
        Processor time of one, in ms.
    """
    context, genesis_hash, body = SigningContext.TX, bytes(32), bytes(100)
    signature = ALICE.sign(context, genesis_hash, body)
    best = float("inf")
    for _ in range(turns):
        start = time.process_time()
        for _ in range(count):
            verify_signature(ALICE.public_key, context, genesis_hash, body, signature)
        best = min(best, time.process_time() - start)
    return best * 1e3 / count
