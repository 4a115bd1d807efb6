"""Catch up: fetch the blocks that peers have and this node lacks.

When a peer reports a greater height, this module asks for headers and certificates
(`header_source`), checks them as far as the known validators allow (`headers`), fetches the blocks
from several peers at once (`block_source`), and hands each one in order to the `Importer`, which
verifies it in full. It repeats this until no peer is ahead. A node without blocks first looks for a
snapshot, if its settings allow one (`snapshot_sync`).

Peers are ranked by how fast they sent blocks before. While there are more of them than places, one
more is tried, and the slowest makes room. A peer that sends wrong data is banned; a peer that
reports a height and does not have it is asked last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from statistics import median_high

from fedcoin.consensus.errors import ConsensusCode
from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.background_tasks import BackgroundTasks, run_within
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.sync.block_source import BlockSource, FetchedBlock
from fedcoin.network.peers.sync.header_source import HeaderSource
from fedcoin.network.peers.sync.headers import CertifiedRun, ChainTip
from fedcoin.network.peers.sync.snapshot_sync import SnapshotSync
from fedcoin.network.peers.sync.sync_pace import SyncPace
from fedcoin.network.ports.chain_port import ChainPort, Importer
from fedcoin.network.ports.consensus_port import EARLY_HEIGHTS
from fedcoin.network.ports.peers_port import SyncProgress

log = logging.getLogger(__name__)

MAX_SOURCES = 4
"""The number of peers that blocks are fetched from at once, beside one that is tried."""

REVIEW_S = 0.5
"""How often slow peers are looked for while blocks are fetched, in seconds."""

GRACE_S = 0.3
"""The time to wait for a missing block, in seconds: the next few usually arrive by voting."""

PAUSE_S = 0.5
"""The pause after a run without progress, in seconds."""

MAX_RUN_BLOCKS = 20_000
"""After this many blocks, the peers are ranked anew."""

MAX_STEP_BLOCKS, MAX_STEP_BYTES = 64, 256 * 1024
"""The largest number of blocks that are stored in one transaction, and their largest size in bytes:
about 0.1 s of work, in which no other block can be checked."""


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
        self._headers = HeaderSource(chain, peers)
        self._progress = SyncPace()
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
            self._progress.clear()

    def progress(self) -> SyncProgress | None:
        """Say how far fetching is.

        Returns:
            The target, the rate and the time left; None while no blocks are fetched.
        """
        ahead = self._ahead()
        if not self._chain.catching_up or not ahead:
            return None
        # The median: a peer may report any height.
        target = median_high(peer.height for peer in ahead)
        return self._progress.estimate(self._chain.height(), target)

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
        return sorted(peers, key=lambda peer: (peer.score.value(now) >= 1, -peer.blocks_per_second))

    async def _grows_by_itself(self) -> bool:
        height = self._chain.height()
        if max(peer.height for peer in self._ahead()) > height + EARLY_HEIGHTS:
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
        store, validators = self._chain.store, self._chain.ledger.validators()
        tip = ChainTip(store.height(), store.tip_hash())
        run = await self._headers.fetch(tip, validators, ahead)
        if run is not None:
            # Only proved headers count: a peer may report any height.
            self._chain.catching_up = True
            await self._fetch(run, validators)
        if self._chain.height() == before:
            self._chain.catching_up = False
            await asyncio.sleep(PAUSE_S)
        else:
            log.info("caught up from height %d to %d", before, self._chain.height())

    async def _fetch(self, run: CertifiedRun, validators: ValidatorSet) -> None:
        source = BlockSource(run.tips, self._peers, self._chain.genesis.parameters.max_block_bytes)
        top, asked = run.tips[-1].height, set[bytes]()
        async with BackgroundTasks("sync") as workers:
            self._ask_more(source, workers, top, asked)
            # Each worker counts itself in its first step.
            await asyncio.sleep(0)
            workers.start(self._extend(source, run, validators), "headers")
            workers.start(self._review(source, workers, top, asked), "review")
            while fetched := await source.take(MAX_STEP_BLOCKS, MAX_STEP_BYTES):
                if not await self._import(fetched):
                    return
                self._progress.note(self._chain.height(), self._peers.now())

    async def _review(
        self, source: BlockSource, workers: BackgroundTasks, top: int, asked: set[bytes]
    ) -> None:
        """Bench slow peers and try others, among them those that came meanwhile.

        So a run of many blocks does not depend on the peers that were there first.
        """
        while True:
            await asyncio.sleep(REVIEW_S)
            source.leave_slow_peers(MAX_SOURCES)
            self._ask_more(source, workers, top, asked)

    def _ask_more(
        self, source: BlockSource, workers: BackgroundTasks, top: int, asked: set[bytes]
    ) -> None:
        """Fetch from the best peers that were not asked, as far as there is room for more."""
        room = MAX_SOURCES + 1 - source.num_workers
        peers = [each for each in self._ahead() if each.height >= top and each.key not in asked]
        for peer in peers[: max(0, room)]:
            asked.add(peer.key)
            workers.start(source.work(peer), "fetch")

    async def _extend(
        self, source: BlockSource, run: CertifiedRun, validators: ValidatorSet
    ) -> None:
        """Fetch further headers while blocks are fetched, as long as the validators stay."""
        known, first = run, run.tips[0].height
        try:
            while not known.is_last and known.tips[-1].height - first < MAX_RUN_BLOCKS:
                await source.wait_for_room()
                tip = known.tips[-1]
                ahead = [peer for peer in self._ahead() if peer.height > tip.height]
                following = await self._headers.fetch(tip, validators, ahead)
                if following is None:
                    return
                known = following
                source.extend(known.tips)
        finally:
            source.finish()

    async def _import(self, fetched: Sequence[FetchedBlock]) -> bool:
        before = self._chain.height()
        try:
            await self._importer.import_blocks([(one.block, one.certificate) for one in fetched])
        except RefusalError as refusal:
            refused = self._chain.height() + 1
            if isinstance(refusal.code, DataCode) or refusal.code is ConsensusCode.BAD_CERTIFICATE:
                sender = next(one.peer for one in fetched if one.block.height == refused)
                self._peers.punish(sender, Offence.BAD_BLOCK, str(refusal))
            else:
                # More than 2/3 of the power signed the block, so the peer is not at fault.
                log.warning("this node disagrees with a certified block: %s", refusal)
                await asyncio.sleep(PAUSE_S)
            return False
        for one in fetched:
            one.peer.useful_blocks += one.block.height > before
        return True
