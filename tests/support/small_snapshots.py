"""Snapshots in chunks of 400 bytes: of a real chain, or of any state without a chain."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedcoin.consensus.certificates import make_certificate
from fedcoin.contract.snapshots import verifier, writer
from fedcoin.contract.snapshots.verifier import SnapshotVerifier, read_verified_entries
from fedcoin.contract.snapshots.writer import ChunkCutter
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.contract.state.state_tree import StateTree, bucket_index
from fedcoin.contract.state.validators import genesis_validators
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.votes import PRECOMMIT, sign_vote
from fedcoin.data.protocol import STATE_LAYOUT
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.trusted_headers import SnapshotBase
from fedcoin.v1.block_pb2 import BlockHeader
from fedcoin.v1.snapshot_pb2 import SnapshotHead, SnapshotPart
from tests.support.genesis import CHAIN_ID, FDC, make_genesis
from tests.support.keys import ALICE, MINERS
from tests.support.ledger_chain import LedgerChain

GENESIS = make_genesis({MINERS[0]: 10 * FDC}, {ALICE: FDC})
GENESIS_STATE = {k: v for k, v in genesis_changes(GENESIS).items() if v is not None}
HEIGHT = 7
"""Of the block that heads made by `cut_state` belong to."""


@dataclass(frozen=True)
class ChainSnapshot:
    """A chain, its database, and the file and parts of its snapshot."""

    chain: LedgerChain
    store: ChainStore
    path: Path
    parts: list[SnapshotPart] = field(repr=False)


def use_small_chunks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifier, "CHUNK_BYTES", 400)
    patch.setattr(writer, "CHUNK_BYTES", 400)


def read_snapshot(path: Path, genesis: Genesis) -> tuple[dict[bytes, bytes], SnapshotBase]:
    """Verify a snapshot file; returns its entries and where it lets a node begin."""
    found = SnapshotVerifier(genesis)
    entries = {key: value for batch in read_verified_entries(path, found) for key, value in batch}
    return entries, found.finish()


def refusal_of(path: Path, genesis: Genesis) -> RefusalError:
    """Verify a snapshot file that must be refused."""
    with pytest.raises(RefusalError) as caught:
        read_snapshot(path, genesis)
    assert caught.value.message
    return caught.value


def head_index(parts: list[SnapshotPart]) -> int:
    return next(index for index, part in enumerate(parts) if part.HasField("head"))


def in_order(state: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    """Return a state's entries in the order in which a snapshot lists them."""
    return sorted(state.items(), key=lambda entry: (bucket_index(entry[0]), entry[0]))


def cut_state(state: dict[bytes, bytes]) -> list[SnapshotPart]:
    """Return the snapshot of a state: a certified head and the chunks."""
    cutter = ChunkCutter()
    chunks = [SnapshotPart(chunk=chunk) for chunk in cutter.cut(in_order(state))]
    return [SnapshotPart(head=head_of(state, cutter)), *chunks]


def head_of(state: dict[bytes, bytes], cutter: ChunkCutter) -> SnapshotHead:
    """Return the head of a block that leaves this state, certified by the only validator."""
    header = BlockHeader(
        chain_id=CHAIN_ID,
        height=HEIGHT,
        parent_hash=bytes(32),
        last_certificate_hash=bytes(32),
        transactions_root=bytes(32),
        receipts_root=bytes(32),
        app_hash=StateTree.load(state.items()).root,
        next_validators_hash=genesis_validators(GENESIS).hash(),
        proposer=bytes(20),
    )
    raw = canonical.encode(header)
    vote = sign_vote(PRECOMMIT, HEIGHT, 0, sha256(raw), MINERS[0], GENESIS.hash)
    return SnapshotHead(
        header=raw,
        certificate=make_certificate([vote]),
        bucket_hashes=b"".join(cutter.bucket_hashes),
        genesis_hash=GENESIS.hash,
        state_layout=STATE_LAYOUT,
    )
