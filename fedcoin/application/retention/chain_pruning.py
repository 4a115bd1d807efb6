"""Delete the blocks of a home up to a snapshot, when its operator asks.

A second database is started from the snapshot, and the later blocks are checked and executed into
it. It replaces the first one when it has reached the same state: the home is then as if its node
had started from the snapshot, and answers requests for older blocks with `HISTORY_NOT_KEPT`. After
a crash the home has either database, whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.consensus.certificates import verify_certificate
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.blocks.validation import check_block
from fedcoin.contract.snapshots.verifier import SnapshotVerifier, read_verified_entries
from fedcoin.data.atomic_files import sync_folder
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import decode_block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder

_VOTE_HEIGHTS = 2
"""How many heights above the last block may have votes of this node."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """What was deleted from a home."""

    first_height: int
    """The height of the first block that is kept."""
    height: int
    """The height of the last block."""
    bytes_before: int
    """The size of the database before, in bytes."""
    bytes_after: int
    """Its size now, in bytes."""


def prune_chain(home: Home, on_block: Callable[[int], None] = lambda height: None) -> Pruning:
    """Delete the blocks up to the latest snapshot of a home. Hold the home's lock.

    Args:
        home: The folder of a node that does not run.
        on_block: Called with the height of each block that is executed into the new database.

    Returns:
        What was deleted.

    Raises:
        RefusalError: NO_SNAPSHOT when there is no snapshot above the first stored block;
            BAD_SNAPSHOT or a code of `SnapshotVerifier` when it is damaged or not valid; BAD_CHAIN
            when the blocks above it lead to another state.
    """
    genesis, path = home.genesis(), home.chain_path
    draft = path.with_name("pruned.sqlite")
    _remove(draft)
    before = path.stat().st_size
    try:
        with ChainStore.open(path, genesis) as old, ChainStore.open(draft, genesis) as new:
            snapshot = _find_snapshot(home, old)
            check = SnapshotVerifier(genesis)
            new.restore(read_verified_entries(snapshot, check), check.finish)
            _copy_blocks(old, new, genesis, on_block)
            _copy_votes(old, new)
            first, height = new.base_height() + 1, new.height()
        _refuse_journal(path)
        _refuse_journal(draft)
        os.replace(draft, path)
        sync_folder(path.parent)
    finally:
        _remove(draft)
    return Pruning(first, height, before, path.stat().st_size)


def _find_snapshot(home: Home, store: ChainStore) -> Path:
    folder = SnapshotFolder(home.snapshots_path)
    for height in folder.heights():
        if store.base_height() < height <= store.height():
            return folder.path(height)
    raise RefusalError(
        ApplicationCode.NO_SNAPSHOT,
        f"{home.snapshots_path} has no snapshot between the first block that is stored, "
        f"{store.base_height() + 1}, and the last one, {store.height()}: a running node makes one "
        "every snapshots.every blocks",
        field="snapshot",
    )


def _copy_blocks(
    old: ChainStore, new: ChainStore, genesis: Genesis, on_block: Callable[[int], None]
) -> None:
    ledger = Ledger(new, genesis)
    parent = new.header(new.height())
    for height in range(new.height() + 1, old.height() + 1):
        stored = old.block(height)
        if stored is None:
            raise _bad_chain(f"block {height} is missing")
        block = decode_block(stored.raw, genesis.parameters.max_block_bytes)
        decided = verify_certificate(
            stored.certificate, ledger.validators(), genesis.hash, height, block.hash
        )
        execution = check_block(block, parent, genesis, ledger, round=decided)
        new.append(
            block, stored.certificate, execution.receipts, execution.changes, execution.transactions
        )
        ledger.adopt(execution)
        parent = block.header
        on_block(height)
    if new.tip_hash() != old.tip_hash():
        raise _bad_chain("the snapshot is not one of this chain")


def _copy_votes(old: ChainStore, new: ChainStore) -> None:
    # Votes below the next height are never signed again, so that none can contradict another.
    for height in range(new.height() + 1, new.height() + 1 + _VOTE_HEIGHTS):
        for vote in old.votes.list_at(height):
            new.votes.record(vote)
    new.votes.prune(new.height() + 1)


def _refuse_journal(path: Path) -> None:
    # A write-ahead log that is left belongs to the database beside it and to no other.
    journal = path.with_name(path.name + "-wal")
    if journal.exists() and journal.stat().st_size:
        raise RefusalError(
            ApplicationCode.HOME_IN_USE,
            f"{journal} is in use: stop all programs that read {path}",
            field="home",
        )


def _remove(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _bad_chain(reason: str) -> RefusalError:
    return RefusalError(ApplicationCode.BAD_CHAIN, reason, field="chain")
