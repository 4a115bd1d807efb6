"""New nodes that begin from a snapshot, and the nodes that have it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.contract.snapshots import verifier, writer
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import read_raw_parts
from fedcoin.v1.snapshot_pb2 import SnapshotPart
from tests.support.keys import ALICE, CAROL
from tests.support.ledger_snapshots import chain_in, file_of, snapshot_of
from tests.support.peer_nodes import PeerNode
from tests.support.transfers import transfer_to
from tests.support.waiting import until

KEYS = [KeyPair.from_seed(bytes([i]) * 32) for i in range(60, 66)]
AT = 12
"""The snapshot's height."""


def shrink_chunks(patch: pytest.MonkeyPatch) -> None:
    """Have snapshots made and checked in chunks of 300 bytes."""
    patch.setattr(verifier, "CHUNK_BYTES", 300)
    patch.setattr(writer, "CHUNK_BYTES", 300)


class Grown:
    """A chain with blocks above its snapshot."""

    def __init__(self, folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            shrink_chunks(patch)
            self.chain = chain_in(folder / "origin", AT)
            self.file = snapshot_of(self.store, self.chain.genesis, folder / "snapshot")
        for _ in range(5):
            self.produce()

    @property
    def store(self) -> ChainStore:
        assert self.chain.store is not None
        return self.chain.store

    def produce(self) -> None:
        self.chain.produce(self.chain.sign(ALICE, transfer_to((CAROL.address, 1_000))))


async def source(folder: Path, grown: Grown, number: int, *, snapshot: bool = True) -> PeerNode:
    """A node with the whole chain and its snapshot."""
    node = PeerNode(folder / str(number), grown.chain.genesis, KEYS[number], votes=False)
    for block, certificate in zip(grown.chain.blocks, grown.chain.certificates, strict=True):
        await node.chain.import_block(block, certificate)
    if snapshot:
        place(node, list(read_raw_parts(grown.file)))
    return node


def place(node: PeerNode, raws: list[bytes], height: int = AT) -> None:
    """Store these parts as a node's snapshot."""
    contents = [SnapshotPart.FromString(raw) for raw in raws]
    node.snapshots.publish(file_of(node.snapshots.making, contents), height)


def new_node(folder: Path, grown: Grown, number: int = 5, join_behind: int = 3) -> PeerNode:
    return PeerNode(
        folder / str(number),
        grown.chain.genesis,
        KEYS[number],
        votes=False,
        join_behind=join_behind,
    )


async def joined(node: PeerNode, grown: Grown, base: int = AT, timeout_s: float = 20) -> None:
    """Wait until a node has the chain, and check that it began from the snapshot."""
    height = grown.chain.height
    await asyncio.wait_for(node.chain.wait_above(height - 1), timeout_s)
    assert node.store.tip_hash() == grown.chain.hash
    assert node.chain.ledger.app_hash == grown.chain.ledger.app_hash
    assert node.store.base_height() == base
    await until(lambda: not node.chain.catching_up)


def score(node: PeerNode, number: int) -> float:
    peer = node.network.peer_set.get(KEYS[number].public_key)
    return 100.0 if peer is None else peer.score.value(node.network.peer_set.now())
