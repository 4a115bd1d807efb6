"""Getting artifacts from peers: whoever has them, going on where another broke off."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

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
"""How many artifacts are fetched at once."""

MAX_WANTED = 1024
"""How many may be waited for; what is beyond fails at once."""

RETRY_S = 0.2
"""The pause before all peers are asked again."""


class ArtifactFetcher:
    """Fetches each artifact once, however many ask for it."""

    def __init__(self, store: ArtifactStore, peers: PeerSet, tasks: BackgroundTasks) -> None:
        self._store = store
        self._peers = peers
        self._tasks = tasks
        self._slots = asyncio.Semaphore(MAX_TRANSFERS)
        self._running: dict[bytes, asyncio.Task[None]] = {}
        self._waiting: dict[bytes, int] = {}

    async def ensure(
        self, ids: Sequence[bytes], timeout_s: float, preferred: Sequence[bytes] = ()
    ) -> bool:
        """True when the store holds all of them, within so many seconds.

        `preferred` are node keys of peers to ask first. What nobody waits for any longer is
        given up; what had arrived of it stays for the next time.
        """
        missing = [id for id in dict.fromkeys(ids) if not self._store.has(id)]
        if len(self._running) + len(missing) > MAX_WANTED:
            log.warning("%d artifacts are waited for already; not fetching more", MAX_WANTED)
            return not missing
        works = [self._join(id, preferred) for id in missing]
        try:
            if works:
                await asyncio.wait(works, timeout=timeout_s)
        finally:
            for id in missing:
                self._leave(id)
        return all(self._store.has(id) for id in missing)

    def _join(self, id: bytes, preferred: Sequence[bytes]) -> asyncio.Task[None]:
        self._waiting[id] = self._waiting.get(id, 0) + 1
        work = self._running.get(id)
        if work is None or work.done():
            work = self._tasks.start(self._fetch(id, tuple(preferred)), f"fetch {id.hex()[:12]}")
            self._running[id] = work
        return work

    def _leave(self, id: bytes) -> None:
        self._waiting[id] -= 1
        if self._waiting[id] == 0:
            del self._waiting[id]
            work = self._running.pop(id)
            work.cancel()

    async def _fetch(self, id: bytes, preferred: tuple[bytes, ...]) -> None:
        """Ask peer after peer until one has it, for as long as somebody waits."""
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
            chunks = await link.artifacts.download_into(self._store, id)
        except RefusalError as refusal:
            if refusal.code in (DataCode.BAD_CHUNK, DataCode.BAD_ARTIFACT):
                self._peers.punish(peer, Offence.BAD_CHUNK, str(refusal))
            else:
                log.warning("cannot store artifact %s: %s", id.hex(), refusal)
            return False
        except RpcError as error:
            log.debug("%s does not give artifact %s: %s", peer, id.hex(), error)
            return False
        log.debug("artifact %s: %s from %s", id.hex(), format_count(chunks, "chunk"), peer)
        return True

    def _ranked(self, preferred: tuple[bytes, ...]) -> list[Peer]:
        linked = [peer for peer in self._peers if peer.link is not None]
        return sorted(linked, key=lambda peer: peer.key not in preferred)
