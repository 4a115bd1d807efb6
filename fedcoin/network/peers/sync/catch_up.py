"""Catch up: fetch the blocks that peers have and this node lacks.

When a peer reports a greater height, this module asks the best peer for headers and certificates,
checks them as far as the known validators allow (`headers`), fetches the blocks from several peers
at once (`block_source`), and hands each one in order to the `Importer`, which verifies it in full.
It repeats this until no peer is ahead. A node without blocks that is configured to looks for a
snapshot first (`snapshot_sync`).

Peers are ranked by the blocks that they sent before. A peer that sends wrong data is banned; a peer
that reports a height and does not have it is asked last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.background_tasks import BackgroundTasks, run_within
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.sync.block_service import MAX_HEADERS
from fedcoin.network.peers.sync.block_source import BlockSource, FetchedBlock
from fedcoin.network.peers.sync.headers import ChainTip, certified_prefix
from fedcoin.network.peers.sync.snapshot_sync import SnapshotSync
from fedcoin.network.ports.chain_port import ChainPort, Importer
from fedcoin.v1.block_gossip_service_pb2 import ListHeadersRequest

log = logging.getLogger(__name__)

MAX_SOURCES = 4
"""The number of peers that blocks are fetched from at once."""

GRACE_S = 0.3
"""The time to wait for a single missing block, which usually arrives by voting, in seconds."""

PAUSE_S = 0.5
"""The pause after a run without progress, in seconds."""

CALL_S = 10.0
"""The deadline of a request for headers, in seconds."""


class CatchUp:
    """Keeps the chain up to date with the peers.

    Args:
        chain: This node's chain.
        importer: Verifies and appends blocks.
        peers: The connected peers.
        snapshot_sync: Starts the chain from a snapshot; None replays every block.
    """

    def __init__(
        self,
        chain: ChainPort,
        importer: Importer,
        peers: PeerSet,
        snapshot_sync: SnapshotSync | None = None,
    ) -> None:
        self._chain = chain
        self._importer = importer
        self._peers = peers
        self._snapshot_sync = snapshot_sync
        self._woken = asyncio.Event()
        peers.on_height.append(self._on_height)
        peers.on_linked.append(self._on_height)

    async def run(self) -> None:
        """Catch up whenever a peer is ahead. Runs until cancelled."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._ahead():
                if not await self._grows_by_itself():
                    await self._catch_up()
            self._chain.catching_up = False

    def _on_height(self, peer: Peer) -> None:
        if peer.height > self._chain.height():
            self._woken.set()

    def _ahead(self) -> list[Peer]:
        # The peers that keep the next block, the best first.
        height = self._chain.height()
        linked = [peer for peer in self._peers if peer.link is not None]
        peers = [peer for peer in linked if peer.max_missing_height <= height < peer.height]
        random.shuffle(peers)
        now = self._peers.now()
        return sorted(peers, key=lambda peer: (peer.score.value(now) >= 1, -peer.useful_blocks))

    async def _grows_by_itself(self) -> bool:
        height = self._chain.height()
        if max(peer.height for peer in self._ahead()) > height + 1:
            return False
        with contextlib.suppress(asyncio.TimeoutError):
            await run_within(GRACE_S, self._chain.wait_above(height))
        return self._chain.height() > height

    async def _catch_up(self) -> None:
        before, ahead = self._chain.height(), self._ahead()
        if (
            ahead
            and self._snapshot_sync
            and self._snapshot_sync.wanted(max(peer.height for peer in ahead))
        ):
            self._chain.catching_up = True
            await self._snapshot_sync.attempt(ahead)
            return
        for peer in ahead:
            tips = await self._headers(peer)
            if tips:
                # Only proved headers count: a peer may report any height.
                self._chain.catching_up = True
                await self._fetch(tips)
                break
        if self._chain.height() == before:
            self._chain.catching_up = False
            await asyncio.sleep(PAUSE_S)
        else:
            log.info("caught up from height %d to %d", before, self._chain.height())

    async def _headers(self, peer: Peer) -> list[ChainTip]:
        # The headers after this node's last block that are proved to be final.
        link = peer.link
        if link is None:
            return []
        store = self._chain.store
        tip = ChainTip(store.height(), store.tip_hash())
        validators = self._chain.ledger.validators()
        request = ListHeadersRequest(from_height=tip.height + 1, page_size=MAX_HEADERS)
        try:
            reply = await link.call(link.gossip.ListHeaders, request, timeout=CALL_S)
            tips = await asyncio.to_thread(
                certified_prefix,
                tip,
                validators,
                self._chain.genesis,
                reply.headers,
                self._chain.verified_votes,
            )
        except RpcError as error:
            log.debug("%s did not send headers: %s", peer, error)
            if error.code == NetworkCode.HISTORY_NOT_KEPT.value:
                peer.max_missing_height = tip.height + 1
                log.warning("%s started from a snapshot and has no block %d", peer, tip.height + 1)
                return []
            tips = []
        except RefusalError as refusal:
            self._peers.punish(peer, Offence.BAD_HEADERS, str(refusal))
            return []
        if not tips and self._chain.height() < peer.height:
            self._peers.punish(peer, Offence.BROKEN_PROMISE, f"has no height {tip.height + 1}")
            peer.height = min(peer.height, tip.height)
        return tips

    async def _fetch(self, tips: list[ChainTip]) -> None:
        source = BlockSource(tips, self._peers, self._chain.genesis.parameters.max_block_bytes)
        peers = [peer for peer in self._ahead() if peer.height >= tips[-1].height]
        async with BackgroundTasks("sync") as workers:
            for peer in peers[:MAX_SOURCES]:
                workers.start(source.work(peer), "fetch")
            # Each worker counts itself in its first step.
            await asyncio.sleep(0)
            while (fetched := await source.take()) is not None:
                if not await self._import(fetched):
                    return

    async def _import(self, fetched: FetchedBlock) -> bool:
        before = self._chain.height()
        try:
            await self._importer.import_block(fetched.block, fetched.certificate)
        except RefusalError as refusal:
            if isinstance(refusal.code, DataCode) or refusal.code is ConsensusCode.BAD_CERTIFICATE:
                self._peers.punish(fetched.peer, Offence.BAD_BLOCK, str(refusal))
            else:
                # More than 2/3 of the power signed the block, so the peer is not at fault.
                log.warning("this node disagrees with a certified block: %s", refusal)
                await asyncio.sleep(PAUSE_S)
            return False
        if self._chain.height() > before:
            fetched.peer.useful_blocks += 1
        return True
