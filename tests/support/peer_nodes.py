"""Real nodes without a miner: chain, mempool, consensus, artifacts and peers, on loopback."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.snapshot_files import SnapshotFolder
from fedcoin.network.client.channels import open_channel
from fedcoin.network.peer_options import PEER_MESSAGE_BYTES, PeerOptions
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.link import Introduction, Link, open_link
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.security import Security
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.network.peers.sync.snapshot_sync import SnapshotOptions
from tests.support.keys import MINERS, STRANGER
from tests.support.node_core import NodeCore

FAST = PeerOptions(
    listen="127.0.0.1:0",
    first_backoff_s=0.05,
    max_backoff_s=0.4,
    ping_interval_s=0.5,
    status_interval_s=0.3,
    exchange_interval_s=1.0,
)


class PeerNode(NodeCore):
    """One node in a folder; `key` may be a validator's or not."""

    def __init__(
        self,
        folder: Path,
        genesis: Genesis,
        key: KeyPair,
        seeds: Sequence[str] = (),
        *,
        votes: bool = True,
        options: PeerOptions = FAST,
        join_behind: int = 0,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.key = key
        self.genesis = genesis
        is_miner = votes and key in MINERS
        super().__init__(folder / "chain.sqlite", genesis, key if is_miner else None)
        self.artifacts = ArtifactStore(folder / "artifacts", 1 << 30)
        self.snapshots = SnapshotFolder(folder / "snapshots")
        self.network = PeerNetwork(
            replace(options, seeds=tuple(seeds)),
            key,
            "test/1",
            chain=self.chain,
            pool=self.pool,
            agreement=self.agreement,
            importer=self.chain,
            artifacts=self.artifacts,
            book_path=folder / "peers.json",
            snapshots=SnapshotOptions(self.snapshots, join_behind),
        )
        self.pool.on_admitted(self.network.transaction_relay.relay)
        self.chain.on_block(
            lambda new: self.network.announcer.announce(new.block.height, new.block.hash)
        )

    @property
    def address(self) -> str:
        """The listener as host:port, without the key."""
        return self.network.endpoint

    def peer(self, other: PeerNode | KeyPair) -> Peer:
        key = other.key if isinstance(other, PeerNode) else other
        found = self.network.peer_set.get(key.public_key)
        assert found is not None
        return found

    def score(self, other: PeerNode | KeyPair) -> float:
        """Return a connected peer's penalty score: 0 for a good peer, 100 for one to be banned."""
        return self.peer(other).score.value(self.network.peer_set.now())

    def clock_difference_ms(self) -> int | None:
        """Return how far its first peer's clock is ahead, in ms; None before that has told."""
        return self.network.peers()[0].clock_difference_ms

    def linked(self) -> int:
        """Return the number of peers that this node can call."""
        return sum(peer.link is not None for peer in self.network.peer_set)

    async def start(self) -> None:
        await self.network.start()
        self.agreement.start(self.network.consensus)

    async def stop(self) -> None:
        await self.network.stop(0)
        await super().stop()


@asynccontextmanager
async def running(*nodes: PeerNode) -> AsyncIterator[None]:
    """Start the nodes in order; stop those that still run."""
    async with contextlib.AsyncExitStack() as stack:
        for node in nodes:
            await node.start()
            stack.push_async_callback(node.stop)
        yield


def introduction(genesis: Genesis, key: KeyPair = STRANGER, **changes: Any) -> Introduction:
    """Return the introduction of a peer that does not listen."""
    made = Introduction(genesis, key, "stranger/1", lambda: "", lambda: 0)
    return replace(made, **changes)


@asynccontextmanager
async def visiting(node: PeerNode, key: KeyPair = STRANGER, **changes: Any) -> AsyncIterator[Link]:
    """Shake hands with a node as a peer that a test controls."""
    link = await open_link(
        parse_endpoint(node.address),
        introduction(node.genesis, key, **changes),
        Security(None, insecure=False),
        5.0,
    )
    try:
        yield link
    finally:
        await link.close()


@asynccontextmanager
async def channel_to(node: PeerNode) -> AsyncIterator[grpc.aio.Channel]:
    """Open a channel without a handshake."""
    async with open_channel(node.address, max_message_bytes=PEER_MESSAGE_BYTES) as channel:
        yield channel
