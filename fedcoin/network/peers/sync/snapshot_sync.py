"""Start the chain of a node without blocks from a peer's snapshot.

    peers ahead  ── ListSnapshots ──> the highest snapshot that is far enough ahead
    its owners   ── StreamSnapshot ─> changes, head, chunks: each is checked, then kept on disk
    the file     ── Importer ───────> state and headers, in one write

A peer that is much slower than another one gives way to it, and a node goes on with the snapshot
of which it has parts as long as a peer has it. Changes and head come from a single peer, since only
they have more than one valid form. Chunks are the same from every peer: where one stops or sends
wrong data, another continues. The parts that arrived are kept across a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
from collections.abc import Sequence
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
from fedcoin.network.ports.chain_port import ChainPort, Importer
from fedcoin.v1.block_gossip_service_pb2 import (
    ListSnapshotsRequest,
    ListSnapshotsResponse,
    StreamSnapshotRequest,
)
from fedcoin.v1.snapshot_pb2 import SnapshotPart

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""Attempts to get a snapshot before the chain is replayed from genesis instead."""

PAUSE_S = 1.0
"""The pause between two attempts to fetch a snapshot, in seconds."""
LIST_S = 5.0
"""The deadline of a request for a peer's list of snapshots, in seconds."""
GRACE_S = 15.0
"""How long a peer may send nothing, or less than `MIN_BYTES_PER_S`, in seconds."""
TURN_S = 5.0
"""After this time, in seconds, a peer gives way to one that was not tried or sent twice as fast."""
STALL_S = 2.0
"""A peer that took longer and sent no whole snapshot is not asked for others, in seconds."""
MIN_BYTES_PER_S = 64 * 1024
"""The rate that a peer must reach in the long run; it may lag by `GRACE_S` seconds."""

_BENIGN = frozenset(
    {
        NetworkCode.SNAPSHOT_NOT_FOUND.value,
        NetworkCode.NO_ROOM.value,
        NetworkCode.RATE_LIMITED.value,
        NetworkCode.TOO_MANY_CALLS.value,
        NetworkCode.SHUTTING_DOWN.value,
    }
)
"""Codes with which an honest peer may refuse at any time."""


@dataclass(frozen=True, slots=True)
class SnapshotOptions:
    """Where a node keeps snapshots, and when it fetches one."""

    folder: SnapshotFolder
    """The folder of snapshots."""
    join_behind: int = 0
    """Fetch a snapshot when peers are ahead by more blocks than this; 0: never."""


@dataclass(frozen=True, slots=True)
class SnapshotId:
    """The height and the block hash that name a snapshot."""

    height: int
    """The height of the last block that the snapshot includes."""
    block_hash: bytes
    """The hash of that block, 32 bytes."""

    @property
    def name(self) -> tuple[int, bytes]:
        """Height and hash, as the folder of snapshots names it."""
        return self.height, self.block_hash


class PartialSnapshot:
    """The parts of a snapshot that have arrived. Its methods read and write the disk.

    Args:
        path: The file that holds the parts.
        chain: This node's chain, for the genesis.
        target: The height and hash of the block whose state the snapshot holds.
    """

    def __init__(self, path: Path, chain: ChainPort, target: SnapshotId) -> None:
        self._path = path
        self._genesis = chain.genesis
        self._target = target
        self.check = SnapshotVerifier(self._genesis)
        self._writer: SnapshotWriter | None = None

    def resume(self) -> None:
        """Read the parts that were kept before a restart, up to the first wrong one."""
        good = 0
        with contextlib.suppress(RefusalError, FileNotFoundError):
            for part, end in read_parts_with_ends(self._path):
                self.check.add_part(part)
                good = end
        if self.check.head is None:
            self.restart()
            return
        os.truncate(self._path, good)
        self._writer = SnapshotWriter(self._path)

    def restart(self) -> None:
        """Delete all parts that were fetched, to begin anew."""
        self.close()
        self._path.unlink(missing_ok=True)
        self.check = SnapshotVerifier(self._genesis)
        self._writer = SnapshotWriter(self._path)

    def take(self, raw: bytes) -> None:
        """Check a part of the snapshot, and append it to the file.

        Args:
            raw: A serialised `SnapshotPart`.

        Raises:
            RefusalError: A code of `SnapshotVerifier.add_part`, such as WRONG_CHUNK, when the part
                is not valid; it is not stored.
        """
        part = canonical.decode(SnapshotPart, raw)
        if part.HasField("head") and sha256(part.head.header) != self._target.block_hash:
            raise RefusalError(
                NetworkCode.MALFORMED,
                "head: it belongs to another block than the peer listed",
                field="head",
            )
        self.check.add_part(part)
        assert self._writer is not None, "a part before the file was opened"
        self._writer.add(part)

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class Rivals:
    """The peers that have one snapshot, and how fast each sent it.

    Args:
        keys: Their keys, 32 bytes each, in the order in which they are tried.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        # Bytes a second; infinite before a peer was tried.
        self._rates = dict.fromkeys(keys, math.inf)

    def choose(self) -> bytes | None:
        """Choose one that was not tried, or else the fastest.

        Returns:
            The peer's key; None when all have left.
        """
        return max(self._rates, key=self._rates.__getitem__, default=None)

    def is_outdone(self, key: bytes, rate: float) -> bool:
        """Note how fast a peer sends, and tell whether it is to give way.

        Args:
            key: The peer's key.
            rate: Bytes a second, of late.

        Returns:
            True when another one was not tried, or sent at least twice as fast.
        """
        self._rates[key] = rate
        others = (other for one, other in self._rates.items() if one != key)
        return max(others, default=rate) >= max(2 * rate, 1.0)

    def add(self, key: bytes) -> None:
        """Add a peer that was not tried.

        Args:
            key: The peer's key.
        """
        self._rates.setdefault(key, math.inf)

    def leave(self, key: bytes) -> None:
        """Ask a peer no more.

        Args:
            key: The peer's key.
        """
        del self._rates[key]


class SnapshotSync:
    """Fetches a snapshot from peers, once, when this node is far behind.

    Args:
        chain: This node's chain.
        importer: Writes the snapshot to the database.
        peers: The connected peers.
        snapshots: The folder, and how many blocks behind a node must be to fetch a snapshot.
    """

    def __init__(
        self, chain: ChainPort, importer: Importer, peers: PeerSet, snapshots: SnapshotOptions
    ) -> None:
        self._chain = chain
        self._importer = importer
        self._peers = peers
        self._folder = snapshots.folder
        self._behind = snapshots.join_behind
        self._attempts_left = MAX_ATTEMPTS
        # The peers that were asked for their snapshots in the present attempt.
        self._listed = set[bytes]()

    def wanted(self, highest: int) -> bool:
        """Tell whether to look for a snapshot.

        Args:
            highest: The greatest height that a peer reported.

        Returns:
            True when this node has no block, is more than `join_behind` blocks behind, and has made
            fewer than `MAX_ATTEMPTS` attempts.
        """
        new = self._behind > 0 and self._chain.height() == 0
        return new and highest > self._behind and self._attempts_left > 0

    async def attempt(self, ahead: list[Peer]) -> None:
        """Look for a snapshot and fetch it. Counts as one attempt.

        A peer may list snapshots that do not exist. So each can stall the attempt once.

        Args:
            ahead: The peers that are ahead.
        """
        self._attempts_left -= 1
        self._listed.clear()
        stalled = set[bytes]()
        offers = await self._offers(ahead)
        kept = await asyncio.to_thread(self._folder.list_incoming)
        # A newer one begins from nothing, and what this one is behind would be replayed anyway.
        recent = max((target.height for target, _ in offers), default=0) - self._behind
        offers.sort(key=lambda one: one[0].height < recent or one[0].name not in kept)
        for target, owners in offers:
            left = [peer for peer in owners if peer.key not in stalled]
            if not left:
                continue
            peers = format_count(len(left), "peer")
            log.info("fetching the snapshot of height %d from %s", target.height, peers)
            if await self._take(target, left, stalled):
                return
        if self._attempts_left:
            await asyncio.sleep(PAUSE_S)
        else:
            log.warning("no peer sent a snapshot: replaying the chain from genesis")

    async def _offers(self, ahead: list[Peer]) -> list[tuple[SnapshotId, list[Peer]]]:
        # The snapshots that are far enough ahead, the highest first, each with its owners.
        found: dict[SnapshotId, list[Peer]] = {}
        for peer, reply in await asyncio.gather(*map(self._ask, ahead)):
            for info in reply.snapshots[:MAX_LISTED]:
                if info.height > self._behind and len(info.block_hash) == HASH_BYTES:
                    owners = found.setdefault(SnapshotId(info.height, info.block_hash), [])
                    owners.append(peer)
        return sorted(found.items(), key=lambda one: (-one[0].height, -len(one[1])))

    async def _ask(self, peer: Peer) -> tuple[Peer, ListSnapshotsResponse]:
        self._listed.add(peer.key)
        if peer.link is None:
            return peer, ListSnapshotsResponse()
        try:
            method = peer.link.gossip.ListSnapshots
            reply = await peer.link.call(method, ListSnapshotsRequest(), timeout=LIST_S)
        except RpcError as error:
            log.debug("%s did not list snapshots: %s", peer, error)
            return peer, ListSnapshotsResponse()
        return peer, reply

    async def _take(self, target: SnapshotId, owners: list[Peer], stalled: set[bytes]) -> bool:
        # Adds the keys of peers that took long and did not send all to `stalled`.
        path = await asyncio.to_thread(self._folder.incoming, target.height, target.block_hash)
        incoming = PartialSnapshot(path, self._chain, target)
        try:
            await asyncio.to_thread(incoming.resume)
            rivals = Rivals([peer.key for peer in owners])
            while not incoming.check.is_complete and (key := rivals.choose()) is not None:
                began = self._peers.now()
                peer = self._peers.get(key)
                if peer is None or not await self._fetch(peer, target, incoming, rivals):
                    rivals.leave(key)
                    took_s = self._peers.now() - began
                    if took_s > STALL_S and not incoming.check.is_complete:
                        stalled.add(key)
        finally:
            incoming.close()
        if not incoming.check.is_complete:
            return False
        try:
            kept = await asyncio.to_thread(self._folder.publish, path, target.height)
            await self._importer.import_snapshot(kept)
        except RefusalError as refusal:
            # Every part was checked, so more than 2/3 of the power signed what is wrong in it.
            log.warning("the snapshot of height %d is invalid: %s", target.height, refusal)
            self._folder.path(target.height).unlink(missing_ok=True)
            return False
        return True

    async def _find_rivals(self, target: SnapshotId, rivals: Rivals) -> None:
        """Ask the peers that came since the attempt began whether they have the snapshot, too."""
        new = [
            peer
            for peer in self._peers
            if peer.key not in self._listed and peer.height >= target.height
        ]
        for peer, reply in await asyncio.gather(*map(self._ask, new)):
            if any(
                (info.height, info.block_hash) == target.name
                for info in reply.snapshots[:MAX_LISTED]
            ):
                rivals.add(peer.key)

    async def _fetch(
        self, peer: Peer, target: SnapshotId, incoming: PartialSnapshot, rivals: Rivals
    ) -> bool:
        # Takes parts from one peer, up to the end or the first wrong part (False), or until it
        # gives way to a faster one (True).
        if peer.link is None:
            return False
        first = incoming.check.num_chunks + 1
        if incoming.check.head is None:
            await asyncio.to_thread(incoming.restart)
            first = 0
        request = StreamSnapshotRequest(height=target.height, first_chunk=first)
        try:
            replies = peer.link.open_stream(peer.link.gossip.StreamSnapshot, request)
        except RpcError:
            return False
        try:
            began, got = self._peers.now(), 0
            turn = began, 0
            with replies:
                while not incoming.check.is_complete:
                    late_s = self._peers.now() - began - got / MIN_BYTES_PER_S
                    reply = await replies.read(max(GRACE_S - late_s, 0.0))
                    if reply is None:
                        self._peers.punish(
                            peer, Offence.BROKEN_PROMISE, "stopped sending a snapshot"
                        )
                        return False
                    await asyncio.to_thread(incoming.take, reply.part)
                    got += len(reply.part)
                    turn_s = self._peers.now() - turn[0]
                    if turn_s >= TURN_S:
                        await self._find_rivals(target, rivals)
                        if rivals.is_outdone(peer.key, (got - turn[1]) / turn_s):
                            return True
                        turn = self._peers.now(), got
        except RpcError as error:
            log.debug("%s stopped sending a snapshot: %s", peer, error)
            if error.code not in _BENIGN:
                self._peers.punish(peer, Offence.SLOW, "stopped sending a snapshot")
        except RefusalError as refusal:
            self._peers.punish(peer, Offence.BAD_CHUNK, f"snapshot {target.height}: {refusal}")
        return False
