"""Joining a network by a peer's snapshot, on a node that has no blocks yet.

::

    peers ahead ── ListSnapshots ──> the highest one that is far enough ahead
    its owners  ── StreamSnapshot ─> changes, head, chunks: each checked, then kept on disk
    the file    ── Importer ───────> state and past, in one write

Changes and head come from one peer alone: only they could be told in more than one way. Chunks
are the same from everybody; where one peer breaks off or lies, another goes on. What was kept is
there after a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from fedcoin.contract.snapshots.verifier import SnapshotVerifier
from fedcoin.data.crypto.hashing import HASH_BYTES, sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages import canonical
from fedcoin.data.plurals import format_count
from fedcoin.data.storage.snapshot_files import SnapshotFolder, SnapshotWriter, read_parts_with_ends
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.sync.snapshot_server import MAX_LISTED
from fedcoin.network.ports import ChainPort, Importer
from fedcoin.v1.block_gossip_service_pb2 import (
    ListSnapshotsRequest,
    ListSnapshotsResponse,
    StreamSnapshotRequest,
)
from fedcoin.v1.snapshot_pb2 import SnapshotPart

log = logging.getLogger(__name__)

ASKED = 3
"""How often peers are asked for a snapshot before the chain is replayed instead."""

PAUSE_S = 1.0
LIST_S = 5.0
GRACE_S = 15.0
SLOWEST = 64 * 1024
"""Bytes a second that a peer has to give in the long run; it may stay behind by `GRACE_S`."""

_BENIGN = frozenset(
    {
        NetworkCode.SNAPSHOT_NOT_FOUND.value,
        NetworkCode.NO_ROOM.value,
        NetworkCode.RATE_LIMITED.value,
        NetworkCode.TOO_MANY_CALLS.value,
        NetworkCode.SHUTTING_DOWN.value,
    }
)
"""What an honest peer may refuse with at any time."""


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Where a node keeps snapshots, and when it takes one from its peers."""

    folder: SnapshotFolder
    join_behind: int = 0
    """Take one when peers are ahead by more blocks than this; 0: never."""


@dataclass(frozen=True, slots=True)
class Target:
    """One snapshot."""

    height: int
    block_hash: bytes


class Incoming:
    """A snapshot as far as it has come. Its methods read and write the disk."""

    def __init__(self, path: Path, chain: ChainPort, target: Target) -> None:
        self._path = path
        self._genesis = chain.genesis
        self._target = target
        self.check = SnapshotVerifier(self._genesis)
        self._writer: SnapshotWriter | None = None

    def resume(self) -> None:
        """Take what was kept before a restart, as far as it is right."""
        good = 0
        with contextlib.suppress(RefusalError, FileNotFoundError):
            for part, end in read_parts_with_ends(self._path):
                self.check.take(part)
                good = end
        if self.check.head is None:
            self.begin_anew()
            return
        os.truncate(self._path, good)
        self._writer = SnapshotWriter(self._path)

    def begin_anew(self) -> None:
        """Forget all of it."""
        self.close()
        self._path.unlink(missing_ok=True)
        self.check = SnapshotVerifier(self._genesis)
        self._writer = SnapshotWriter(self._path)

    def take(self, raw: bytes) -> None:
        """Check a serialised part and keep it. Raises Refusal; then it is not kept."""
        part = canonical.decode(SnapshotPart, raw)
        if part.HasField("head") and sha256(part.head.header) != self._target.block_hash:
            raise RefusalError(
                NetworkCode.MALFORMED, "head: it is of another block than was told", field="head"
            )
        self.check.take(part)
        assert self._writer is not None, "a part before the file was opened"
        self._writer.add(part)

    def close(self) -> None:
        """Have what was kept on disk."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Joining:
    """Takes a snapshot from peers, once, if there is one worth it."""

    def __init__(
        self, chain: ChainPort, importer: Importer, peers: PeerSet, snapshots: Snapshots
    ) -> None:
        self._chain = chain
        self._importer = importer
        self._peers = peers
        self._folder = snapshots.folder
        self._behind = snapshots.join_behind
        self._left = ASKED

    def wanted(self, highest: int) -> bool:
        """Should one be looked for? ``highest`` is the greatest height that a peer told."""
        new = self._behind > 0 and self._chain.height() == 0
        return new and highest > self._behind and self._left > 0

    async def attempt(self, ahead: list[Peer]) -> None:
        """Look for a snapshot with these peers and take it; after a few times, no more."""
        self._left -= 1
        for target, owners in await self._offers(ahead):
            peers = format_count(len(owners), "peer")
            log.info("taking the snapshot of height %d from %s", target.height, peers)
            if await self._take(target, owners):
                return
        if self._left:
            await asyncio.sleep(PAUSE_S)
        else:
            log.warning("no peer gave a snapshot: replaying the chain from genesis")

    async def _offers(self, ahead: list[Peer]) -> list[tuple[Target, list[Peer]]]:
        """The snapshots that are far enough ahead, the highest first, and who has them."""
        found: dict[Target, list[Peer]] = {}
        for peer, reply in await asyncio.gather(*map(self._ask, ahead)):
            for info in reply.snapshots[:MAX_LISTED]:
                if info.height > self._behind and len(info.block_hash) == HASH_BYTES:
                    owners = found.setdefault(Target(info.height, info.block_hash), [])
                    owners.append(peer)
        return sorted(found.items(), key=lambda one: (-one[0].height, -len(one[1])))

    async def _ask(self, peer: Peer) -> tuple[Peer, ListSnapshotsResponse]:
        if peer.link is None:
            return peer, ListSnapshotsResponse()
        try:
            method = peer.link.gossip.ListSnapshots
            reply = await peer.link.call(method, ListSnapshotsRequest(), timeout=LIST_S)
        except RpcError as error:
            log.debug("%s told no snapshots: %s", peer, error)
            return peer, ListSnapshotsResponse()
        return peer, reply

    async def _take(self, target: Target, owners: list[Peer]) -> bool:
        path = await asyncio.to_thread(self._folder.incoming, target.height, target.block_hash)
        incoming = Incoming(path, self._chain, target)
        try:
            await asyncio.to_thread(incoming.resume)
            for peer in owners:
                if not incoming.check.complete:
                    await self._fetch(peer, target, incoming)
        finally:
            incoming.close()
        if not incoming.check.complete:
            return False
        try:
            kept = await asyncio.to_thread(self._folder.publish, path, target.height)
            await self._importer.import_snapshot(kept)
        except RefusalError as refusal:
            # It was checked as it came: more than two thirds signed what is wrong in it.
            log.warning("the snapshot of height %d is no good: %s", target.height, refusal)
            self._folder.path(target.height).unlink(missing_ok=True)
            return False
        return True

    async def _fetch(self, peer: Peer, target: Target, incoming: Incoming) -> None:
        """Take what this peer gives, up to the end or the first wrong part."""
        if peer.link is None:
            return
        first = incoming.check.chunks + 1
        if incoming.check.head is None:
            await asyncio.to_thread(incoming.begin_anew)
            first = 0
        request = StreamSnapshotRequest(height=target.height, first_chunk=first)
        try:
            replies = peer.link.open_stream(peer.link.gossip.StreamSnapshot, request)
        except RpcError:
            return
        try:
            began, got = self._peers.now(), 0
            with replies:
                while not incoming.check.complete:
                    late_s = self._peers.now() - began - got / SLOWEST
                    reply = await replies.read(max(GRACE_S - late_s, 0.0))
                    if reply is None:
                        self._peers.punish(peer, Offence.BROKEN_PROMISE, "a snapshot broke off")
                        return
                    await asyncio.to_thread(incoming.take, reply.part)
                    got += len(reply.part)
        except RpcError as error:
            log.debug("%s gave no more of a snapshot: %s", peer, error)
            if error.code not in _BENIGN:
                self._peers.punish(peer, Offence.SLOW, "a snapshot broke off")
        except RefusalError as refusal:
            self._peers.punish(peer, Offence.BAD_CHUNK, f"snapshot {target.height}: {refusal}")
