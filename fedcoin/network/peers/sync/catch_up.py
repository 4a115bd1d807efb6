"""Catching up: fetching the blocks that peers have and this node lacks.

As soon as a peer tells a greater height: headers and certificates from the best peer, checked
as far as the known validators vouch for them (`headers`); then the blocks of that run from
several peers at once (`block_source`), each put on the chain in order by the `Importer`,
which verifies it in full. And again, until nobody is ahead. A node without blocks that is told
to looks for a peer's snapshot first (`snapshot_joining`).

Peers are ranked by the blocks that they gave before. One that sends what is wrong is banned;
one that promised a height and does not keep to it is marked down and asked last.
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
from fedcoin.network.peers.sync.block_source import BlockSource, Fetched
from fedcoin.network.peers.sync.headers import Tip, certified_prefix
from fedcoin.network.peers.sync.snapshot_sync import Joining
from fedcoin.network.ports import ChainPort, Importer
from fedcoin.v1.block_gossip_service_pb2 import ListHeadersRequest

log = logging.getLogger(__name__)

MAX_SOURCES = 4
"""From how many peers blocks are fetched at once."""

GRACE_S = 0.3
"""A node that lacks a single block mostly gets it by voting; only after this it is fetched."""

PAUSE_S = 0.5
"""The pause after a run that brought nothing."""

CALL_S = 10.0


class Sync:
    """Keeps the chain up with the peers."""

    def __init__(
        self, chain: ChainPort, importer: Importer, peers: PeerSet, joining: Joining | None = None
    ) -> None:
        self._chain = chain
        self._importer = importer
        self._peers = peers
        self._joining = joining
        self._woken = asyncio.Event()
        peers.on_height.append(self._on_height)
        peers.on_linked.append(self._on_height)

    async def run(self) -> None:
        """Catch up whenever a peer is ahead, for ever."""
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
        """The peers to ask, the best first; not those that do not keep our next block."""
        height = self._chain.height()
        linked = [peer for peer in self._peers if peer.link is not None]
        peers = [peer for peer in linked if peer.lacks <= height < peer.height]
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
        """One run: headers, then their blocks."""
        before, ahead = self._chain.height(), self._ahead()
        if ahead and self._joining and self._joining.wanted(max(peer.height for peer in ahead)):
            self._chain.catching_up = True
            await self._joining.attempt(ahead)
            return
        for peer in ahead:
            tips = await self._headers(peer)
            if tips:
                # Not on a peer's word alone: somebody always boasts.
                self._chain.catching_up = True
                await self._fetch(tips)
                break
        if self._chain.height() == before:
            self._chain.catching_up = False
            await asyncio.sleep(PAUSE_S)
        else:
            log.info("caught up from height %d to %d", before, self._chain.height())

    async def _headers(self, peer: Peer) -> list[Tip]:
        """What follows on our chain, as certified as it can be known now."""
        link = peer.link
        if link is None:
            return []
        store = self._chain.store
        tip = Tip(store.height(), store.tip_hash())
        validators = self._chain.ledger.validators()
        request = ListHeadersRequest(from_height=tip.height + 1, page_size=MAX_HEADERS)
        try:
            reply = await link.call(link.gossip.ListHeaders, request, timeout=CALL_S)
            tips = await asyncio.to_thread(
                certified_prefix,
                tip,
                validators,
                self._chain.genesis.chain_id,
                reply.headers,
                self._chain.verified_votes,
            )
        except RpcError as error:
            log.debug("%s gave no headers: %s", peer, error)
            if error.code == NetworkCode.HISTORY_NOT_KEPT.value:
                peer.lacks = tip.height + 1
                log.warning("%s began from a snapshot and has no block %d", peer, peer.lacks)
                return []
            tips = []
        except RefusalError as refusal:
            self._peers.punish(peer, Offence.BAD_HEADERS, str(refusal))
            return []
        if not tips and self._chain.height() < peer.height:
            self._peers.punish(peer, Offence.BROKEN_PROMISE, f"has no height {tip.height + 1}")
            peer.height = min(peer.height, tip.height)
        return tips

    async def _fetch(self, tips: list[Tip]) -> None:
        source = BlockSource(tips, self._peers, self._chain.genesis.parameters.max_block_bytes)
        peers = [peer for peer in self._ahead() if peer.height >= tips[-1].height]
        async with BackgroundTasks("sync") as workers:
            for peer in peers[:MAX_SOURCES]:
                workers.start(source.work(peer), "fetch")
            # Each worker counts itself when it takes its first step.
            await asyncio.sleep(0)
            while (fetched := await source.take()) is not None:
                if not await self._import(fetched):
                    return

    async def _import(self, fetched: Fetched) -> bool:
        before = self._chain.height()
        try:
            await self._importer.import_block(fetched.block, fetched.certificate)
        except RefusalError as refusal:
            if isinstance(refusal.code, DataCode) or refusal.code is ConsensusCode.BAD_CERTIFICATE:
                self._peers.punish(fetched.peer, Offence.BAD_BLOCK, str(refusal))
            else:
                # More than two thirds signed it: it is not this peer who is wrong.
                log.warning("this node disagrees with a certified block: %s", refusal)
                await asyncio.sleep(PAUSE_S)
            return False
        if self._chain.height() > before:
            fetched.peer.useful_blocks += 1
        return True
