"""Fetch artifacts from the peers that have them; a transfer resumes with another peer.

While nothing comes from the peers that were asked, a further one is asked beside them, and the late
ones are asked last for a time. Chunks that come twice are dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

from grpc import StatusCode

from fedcoin.data.artifacts.manifest import MAX_ARTIFACT_BYTES
from fedcoin.data.artifacts.reader_proofs import ReaderKey
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.sync.artifact_pace import ArtifactPace

log = logging.getLogger(__name__)

MAX_TRANSFERS = 16
"""The number of artifacts that are fetched at once; `ArtifactPace` allows fewer from one peer."""

MAX_WANTED = 1024
"""The number of artifacts that may be waited for; a request for more fails at once."""

SLOW_S = 10.0
"""A transfer that is cancelled after this time or later, in seconds, counts as a peer that does not
answer. A transfer is cancelled when no caller waits for the artifact any more."""

EARLY_S = 1.0
"""When no chunk comes for this long, in seconds, a further peer is asked as well."""

MAX_ASKED = 3
"""The number of peers that are asked for one artifact at once: on a slow line all that they send
takes longer."""

RETRY_S = 0.2
"""The pause before all peers are asked again, in seconds."""

_NOT_SENT = frozenset(
    code.name
    for code in (
        NetworkCode.ARTIFACT_NOT_FOUND,
        NetworkCode.BAD_READER_PROOF,
        NetworkCode.NOT_A_READER,
    )
)
"""With these codes a peer refuses the manifest, so that it is not asked for chunks."""

_Wanted = tuple[bytes, bytes]
"""The private campaign's id, empty for none, and the artifact's id."""


class ArtifactFetcher:
    """Fetches each artifact once, however many callers wait for it.

    Args:
        store: The artifacts of this node.
        peers: The connected peers.
        tasks: Owns the transfers.
        reader: Proves to peers who asks for artifacts of private campaigns.
    """

    def __init__(
        self, store: ArtifactStore, peers: PeerSet, tasks: BackgroundTasks, reader: ReaderKey
    ) -> None:
        self._store = store
        self._peers = peers
        self._tasks = tasks
        self._reader = reader
        self._pace = ArtifactPace(peers.now)
        self._slots = asyncio.Semaphore(MAX_TRANSFERS)
        self._running: dict[_Wanted, asyncio.Task[None]] = {}
        # For each artifact, the most bytes that each waiting caller accepts.
        self._waiting: dict[_Wanted, list[int]] = {}

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
        campaign_id: bytes = b"",
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
            campaign_id: The private campaign for which they are fetched, into its room, 32 bytes;
                empty for artifacts that are not private.

        Returns:
            True when the store holds all of them.
        """
        store = self._store.room(campaign_id)
        missing = [(campaign_id, id) for id in dict.fromkeys(ids) if not store.has(id)]
        if self.num_wanted + len(missing) > MAX_WANTED:
            log.warning("%d artifacts are being fetched already; no more are accepted", MAX_WANTED)
            return not missing
        allowed = {wanted: limits.get(wanted[1], MAX_ARTIFACT_BYTES) for wanted in missing}
        works = [self._join(wanted, preferred, allowed[wanted]) for wanted in missing]
        try:
            if works:
                await asyncio.wait(works, timeout=timeout_s)
        finally:
            for wanted in missing:
                self._leave(wanted, allowed[wanted])
        return all(store.has(id) for _, id in missing)

    def _join(self, wanted: _Wanted, preferred: Sequence[bytes], limit: int) -> asyncio.Task[None]:
        self._waiting.setdefault(wanted, []).append(limit)
        work = self._running.get(wanted)
        if work is None or work.done():
            name = f"fetch {wanted[1].hex()[:12]}"
            work = self._tasks.start(self._fetch(wanted, tuple(preferred)), name)
            self._running[wanted] = work
        return work

    def _leave(self, wanted: _Wanted, limit: int) -> None:
        self._waiting[wanted].remove(limit)
        if not self._waiting[wanted]:
            del self._waiting[wanted]
            work = self._running.pop(wanted)
            work.cancel()

    async def _fetch(self, wanted: _Wanted, preferred: tuple[bytes, ...]) -> None:
        # Asks all peers again and again, until `_leave` cancels this.
        store = self._store.room(wanted[0])
        while True:
            async with self._slots:
                if await self._ask_all(wanted, preferred):
                    return
            await asyncio.sleep(RETRY_S)
            if store.has(wanted[1]):
                return

    async def _ask_all(self, wanted: _Wanted, preferred: tuple[bytes, ...]) -> bool:
        """Ask one peer after another, and a further one beside those from which nothing comes."""
        running: dict[asyncio.Task[bool], bytes] = {}
        try:
            while True:
                for peer in self._ranked(preferred):
                    is_asked = peer.key in running.values() or len(running) == MAX_ASKED
                    if is_asked or not self._pace.begin(peer.key):
                        continue
                    running[self._start(wanted, peer)] = peer.key
                    if await self._wait_while_sent(wanted, running):
                        return True
                # Others may have the artifact, or be free again, before the late ones answer.
                if not running:
                    return False
                if await self._take_ended(running, RETRY_S):
                    return True
        finally:
            for attempt in running:
                attempt.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _wait_while_sent(
        self, wanted: _Wanted, running: dict[asyncio.Task[bool], bytes]
    ) -> bool:
        """Wait until the artifact is there (True), or a further peer may be asked."""
        campaign_id, id = wanted
        store = self._store.room(campaign_id)
        while running:
            before, num_asked = store.next_chunk(id), len(running)
            if await self._take_ended(running, EARLY_S):
                return True
            if len(running) == num_asked and store.next_chunk(id) == before:
                for key in running.values():
                    self._pace.note_late(key)
                return False
        return False

    async def _take_ended(self, running: dict[asyncio.Task[bool], bytes], timeout_s: float) -> bool:
        """Remove the attempts that ended in time; True when one has the artifact."""
        first = asyncio.FIRST_COMPLETED
        ended, _ = await asyncio.wait(running, timeout=timeout_s, return_when=first)
        for attempt in ended:
            del running[attempt]
        return any(attempt.result() for attempt in ended)

    def _start(self, wanted: _Wanted, peer: Peer) -> asyncio.Task[bool]:
        attempt = asyncio.ensure_future(self._from_peer(wanted, peer))
        # Not within the task, which may be cancelled before it begins.
        attempt.add_done_callback(lambda _: self._pace.end(peer.key))
        return attempt

    async def _from_peer(self, wanted: _Wanted, peer: Peer) -> bool:
        campaign_id, id = wanted
        link = peer.link
        if link is None:
            return False
        # No proof for artifacts that are not private: with one, a peer would send what it holds for
        # a private campaign, and this node would pass it on to everybody.
        prove = partial(self._reader.prove, peer.key, campaign_id) if campaign_id else None
        began = self._peers.now()
        try:
            limit = max(self._waiting.get(wanted, [MAX_ARTIFACT_BYTES]))
            store = self._store.room(campaign_id)
            chunks = await link.artifacts.download_into(store, id, limit, prove)
        except asyncio.CancelledError:
            # A peer that sends a chunk now and then must not be asked first again.
            if self._peers.now() - began >= SLOW_S:
                self._pace.note_silence(peer.key)
            raise
        except RefusalError as refusal:
            if refusal.code in (DataCode.BAD_CHUNK, DataCode.BAD_ARTIFACT):
                self._peers.punish(peer, Offence.BAD_CHUNK, str(refusal))
            else:
                log.warning("cannot store artifact %s: %s", id.hex(), refusal)
            return False
        except RpcError as error:
            if error.code in _NOT_SENT:
                self._pace.note_refused(peer.key)
            elif error.status is StatusCode.DEADLINE_EXCEEDED:
                self._pace.note_silence(peer.key)
            log.debug("%s did not send artifact %s: %s", peer, id.hex(), error)
            return False
        self._pace.note_sent(peer.key)
        log.debug("artifact %s: %s from %s", id.hex(), format_count(chunks, "chunk"), peer)
        return True

    def _ranked(self, preferred: tuple[bytes, ...]) -> list[Peer]:
        linked = [peer for peer in self._peers if peer.link is not None]
        late = {peer.key for peer in linked if self._pace.is_late(peer.key)}
        return sorted(linked, key=lambda peer: (peer.key in late, peer.key not in preferred))
