"""Snapshot files of small chains."""

from __future__ import annotations

from pathlib import Path

from fedcoin.contract.blocks.validator_history import ValidatorHistory
from fedcoin.contract.snapshots.writer import write_snapshot
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotWriter, read_parts
from fedcoin.v1.snapshot_pb2 import SnapshotPart
from fedcoin.v1.transaction_pb2 import Bond, Unbond
from tests.support.genesis import FDC
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ledger_chain import LedgerChain
from tests.support.transfers import transfer_to


def chain_in(folder: Path, blocks: int = 12) -> LedgerChain:
    """Create a chain with transfers, whose validators change twice."""
    folder.mkdir(parents=True, exist_ok=True)
    chain = LedgerChain.create(folder=folder)
    for number in range(blocks):
        actions = [chain.sign(ALICE, transfer_to((key_of(f"user {number}").address, 1000)))]
        if number == 3:
            actions.append(chain.sign(BOB, Bond(amount=50 * FDC)))
        if number == 7:
            actions.append(chain.sign(BOB, Unbond(amount=20 * FDC)))
        chain.produce(*actions)
        chain.keys[BOB.address] = BOB
    return chain


def snapshot_of(store: ChainStore, genesis: Genesis, path: Path) -> Path:
    """Write the snapshot of a store's latest state."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with store.open_state_view() as state:
        write_snapshot(path, state, store, genesis.hash, ValidatorHistory(store, genesis))
    return path


def parts(path: Path) -> list[SnapshotPart]:
    """Read all parts of a snapshot file."""
    return list(read_parts(path))


def file_of(path: Path, contents: list[SnapshotPart]) -> Path:
    """Write these parts into a snapshot file."""
    path.unlink(missing_ok=True)
    writer = SnapshotWriter(path)
    for part in contents:
        writer.add(part)
    writer.close()
    return path
