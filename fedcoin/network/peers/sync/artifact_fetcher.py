"""Fetch artifacts from the peers that have them; a transfer resumes with another peer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fedcoin.data.artifacts.manifest import MAX_ARTIFACT_BYTES
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence

log = logging.getLogger(__name__)

MAX_TRANSFERS = 4
"""The number of artifacts that are fetched at once."""

MAX_WANTED = 1024
"""The number of artifacts that may be waited for; a request for more fails at once."""

RETRY_S = 0.2
"""The pause before all peers are asked again, in seconds."""


class ArtifactFetcher:
    """Fetches each artifact once, however many callers wait for it.

    Args:
        store: The artifacts of this node.
        peers: The connected peers.
        tasks: Owns the transfers.
    """

    def __init__(self, store: ArtifactStore, peers: PeerSet, tasks: BackgroundTasks) -> None:
        self._store = store
        self._peers = peers
        self._tasks = tasks
        self._slots = asyncio.Semaphore(MAX_TRANSFERS)
        self._running: dict[bytes, asyncio.Task[None]] = {}
        # For each artifact, the most bytes that each waiting caller accepts.
        self._waiting: dict[bytes, list[int]] = {}

    @property
    def num_wanted(self) -> int:
        """The number of artifacts that are being fetched."""
        return len(self._running)

    async def ensure(
        self,
        ids: Sequence[bytes],
        timeout_s: float,
        preferred: Sequence[bytes] = (),
        limits: Mapping[bytes, int] = MappingProxyType({}),
    ) -> bool:
        """Wait until the store holds artifacts.

        A transfer that no caller waits for is cancelled; the chunks that arrived are kept.

        Args:
            ids: The artifacts' ids, 32 bytes each.
            timeout_s: How long to wait, in seconds.
            preferred: Node keys of peers to ask first.
            limits: The largest size of an artifact in bytes, by id; `MAX_ARTIFACT_BYTES` by
                default. When callers with different limits wait for one artifact, the largest
                limit holds.

        Returns:
            True when the store holds all of them.
        """
        missing = [id for id in dict.fromkeys(ids) if not self._store.has(id)]
        if self.num_wanted + len(missing) > MAX_WANTED:
            log.warning("%d artifacts are being fetched already; no more are accepted", MAX_WANTED)
            return not missing
        allowed = {id: limits.get(id, MAX_ARTIFACT_BYTES) for id in missing}
        works = [self._join(id, preferred, allowed[id]) for id in missing]
        try:
            if works:
                await asyncio.wait(works, timeout=timeout_s)
        finally:
            for id in missing:
                self._leave(id, allowed[id])
        return all(self._store.has(id) for id in missing)

    def _join(self, id: bytes, preferred: Sequence[bytes], limit: int) -> asyncio.Task[None]:
        self._waiting.setdefault(id, []).append(limit)
        work = self._running.get(id)
        if work is None or work.done():
            work = self._tasks.start(self._fetch(id, tuple(preferred)), f"fetch {id.hex()[:12]}")
            self._running[id] = work
        return work

    def _leave(self, id: bytes, limit: int) -> None:
        self._waiting[id].remove(limit)
        if not self._waiting[id]:
            del self._waiting[id]
            work = self._running.pop(id)
            work.cancel()

    async def _fetch(self, id: bytes, preferred: tuple[bytes, ...]) -> None:
        # Asks one peer after another, until `_leave` cancels this.
        while True:
            for peer in self._ranked(preferred):
                async with self._slots:
                    if await self._from_peer(id, peer):
                        return
            await asyncio.sleep(RETRY_S)
            if self._store.has(id):
                return

    async def _from_peer(self, id: bytes, peer: Peer) -> bool:
        link = peer.link
        if link is None:
            return False
        try:
            limit = max(self._waiting.get(id, [MAX_ARTIFACT_BYTES]))
            chunks = await link.artifacts.download_into(self._store, id, limit)
        except RefusalError as refusal:
            if refusal.code in (DataCode.BAD_CHUNK, DataCode.BAD_ARTIFACT):
                self._peers.punish(peer, Offence.BAD_CHUNK, str(refusal))
            else:
                log.warning("cannot store artifact %s: %s", id.hex(), refusal)
            return False
        except RpcError as error:
            log.debug("%s did not send artifact %s: %s", peer, id.hex(), error)
            return False
        log.debug("artifact %s: %s from %s", id.hex(), format_count(chunks, "chunk"), peer)
        return True

    def _ranked(self, preferred: tuple[bytes, ...]) -> list[Peer]:
        linked = [peer for peer in self._peers if peer.link is not None]
        return sorted(linked, key=lambda peer: peer.key not in preferred)
