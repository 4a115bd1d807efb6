"""Serve final blocks and snapshots to peers, and announce new blocks to peers that are behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.storage.block_tables import StoredBlock
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.grpc_options import PAGE_BYTES
from fedcoin.network.interceptors import CallContext
from fedcoin.network.kept_history import check_kept
from fedcoin.network.peers.connections.handshake import check_field_length
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.sync.snapshot_server import SnapshotServer
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.v1.block_gossip_service_pb2 import (
    AnnounceBlockRequest,
    AnnounceBlockResponse,
    CertifiedBlock,
    CertifiedHeader,
    ListHeadersRequest,
    ListHeadersResponse,
    ListSnapshotsRequest,
    ListSnapshotsResponse,
    StreamBlocksRequest,
    StreamBlocksResponse,
    StreamSnapshotRequest,
    StreamSnapshotResponse,
)
from fedcoin.v1.block_gossip_service_pb2_grpc import BlockGossipServiceServicer

log = logging.getLogger(__name__)

MAX_HEADERS = 200
"""The largest number of headers in one page."""

MAX_MESSAGE_BLOCKS = 32
"""The largest number of blocks in one message of a stream."""

MAX_BLOCKS = 500
"""The largest number of blocks in one stream."""

PAUSE_S = 0.25
"""The pause before a block is announced, in seconds; validators usually have it by then."""

ANNOUNCE_S = 5.0
"""The deadline of an announcement, in seconds."""


class BlockGossipServicer(BlockGossipServiceServicer):
    """Serves `block_gossip_service.proto`, which states each method's limits and errors.

    Disk access runs in threads.

    Args:
        chain: This node's chain.
        peers: The connected peers.
        snapshots: This node's snapshots.
    """

    def __init__(self, chain: ChainPort, peers: PeerSet, snapshots: SnapshotServer) -> None:
        self._chain = chain
        self._peers = peers
        self._snapshots = snapshots

    async def AnnounceBlock(
        self, request: AnnounceBlockRequest, context: CallContext
    ) -> AnnounceBlockResponse:
        """Record the height of the calling peer's chain.

        Raises:
            RefusalError: MALFORMED when the block's hash does not have 32 bytes.
        """
        check_field_length("block_hash", request.block_hash, HASH_BYTES)
        self._peers.update_height(self._peers.caller(context), request.height)
        return AnnounceBlockResponse(height=self._chain.height())

    async def ListHeaders(
        self, request: ListHeadersRequest, context: CallContext
    ) -> ListHeadersResponse:
        """List headers with certificates, from a height on.

        Raises:
            RefusalError: OUT_OF_RANGE when the height is above the chain, HISTORY_NOT_KEPT when
                it is below the snapshot from which the chain started.
        """
        self._check_height(request.from_height)
        size = min(request.page_size or MAX_HEADERS, MAX_HEADERS)
        return await asyncio.to_thread(self._headers, request.from_height, size)

    async def StreamBlocks(
        self, request: StreamBlocksRequest, context: CallContext
    ) -> AsyncIterator[StreamBlocksResponse]:
        """Stream blocks with certificates, from a height on.

        Raises:
            RefusalError: OUT_OF_RANGE when the height is above the chain, HISTORY_NOT_KEPT when
                it is below the snapshot from which the chain started.
        """
        first = request.from_height
        self._check_height(first)
        last = min(request.to_height or first + MAX_BLOCKS - 1, first + MAX_BLOCKS - 1)
        size = min(request.message_blocks or 1, MAX_MESSAGE_BLOCKS)
        while first <= last:
            stored = await asyncio.to_thread(self._blocks, first, min(last, first + size - 1))
            if not stored:
                return
            first += len(stored)
            yield StreamBlocksResponse(
                block=stored[0].raw,
                certificate=stored[0].certificate,
                following=[
                    CertifiedBlock(block=one.raw, certificate=one.certificate) for one in stored[1:]
                ],
            )

    async def ListSnapshots(
        self, request: ListSnapshotsRequest, context: CallContext
    ) -> ListSnapshotsResponse:
        """List the snapshots of this node."""
        return ListSnapshotsResponse(snapshots=await asyncio.to_thread(self._snapshots.infos))

    async def StreamSnapshot(
        self, request: StreamSnapshotRequest, context: CallContext
    ) -> AsyncIterator[StreamSnapshotResponse]:
        """Stream the parts of a snapshot.

        Raises:
            RefusalError: SNAPSHOT_NOT_FOUND when there is none of this height; NO_ROOM when too
                many snapshots are being sent; OUT_OF_RANGE when there is no such chunk.
        """
        async for part in self._snapshots.parts(request.height, request.first_chunk):
            yield StreamSnapshotResponse(part=part)

    def _check_height(self, height: int) -> None:
        check_kept(self._chain.store, height, "from_height")
        top = self._chain.height()
        if not 1 <= height <= top:
            raise RefusalError(
                NetworkCode.OUT_OF_RANGE,
                f"from_height: {height}, but this node has 1 to {top}",
                field="from_height",
                limit=str(top),
            )

    def _blocks(self, first: int, last: int) -> list[StoredBlock]:
        # The blocks of one message.
        found: list[StoredBlock] = []
        total = 0
        for height in range(first, last + 1):
            stored = self._chain.store.block(height)
            if stored is None:
                break
            total += len(stored.raw) + len(stored.certificate)
            if found and total > PAGE_BYTES:
                break
            found.append(stored)
        return found

    def _headers(self, first: int, size: int) -> ListHeadersResponse:
        store = self._chain.store
        response = ListHeadersResponse()
        total = 0
        for height in range(first, first + size):
            header, certificate = store.header_bytes(height), store.certificate(height)
            if header is None or certificate is None:
                break
            total += len(header) + len(certificate)
            if response.headers and total > PAGE_BYTES:
                break
            response.headers.append(CertifiedHeader(header=header, certificate=certificate))
        return response


class Announcer:
    """Announces the latest block to peers that are behind.

    Args:
        peers: The connected peers.
        tasks: Owns the announcements.
    """

    def __init__(self, peers: PeerSet, tasks: BackgroundTasks) -> None:
        self._peers = peers
        self._tasks = tasks
        self._latest = (0, b"")
        self._pending: asyncio.Task[None] | None = None

    def announce(self, height: int, block_hash: bytes) -> None:
        """Announce a block after a short pause. Of several blocks, only the latest is announced.

        Args:
            height: The block's height.
            block_hash: The block's hash, 32 bytes.
        """
        self._latest = (height, block_hash)
        if self._pending is None or self._pending.done():
            self._pending = self._tasks.start(self._announce_to_all(), "announce")

    async def _announce_to_all(self) -> None:
        await asyncio.sleep(PAUSE_S)
        height, block_hash = self._latest
        await asyncio.gather(
            *(
                self._announce_to(peer, peer.link, height, block_hash)
                for peer in self._peers
                if peer.link is not None and peer.height < height
            )
        )

    async def _announce_to(self, peer: Peer, link: Link, height: int, block_hash: bytes) -> None:
        request = AnnounceBlockRequest(height=height, block_hash=block_hash)
        try:
            reply = await link.call(link.gossip.AnnounceBlock, request, timeout=ANNOUNCE_S)
        except RpcError as error:
            log.debug("could not announce height %d to %s: %s", height, peer, error)
            return
        self._peers.update_height(peer, reply.height)
