"""Fetch blocks whose hashes are known, in ranges, from several peers at once."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.sync.headers import ChainTip
from fedcoin.v1.block_gossip_service_pb2 import StreamBlocksRequest, StreamBlocksResponse

log = logging.getLogger(__name__)

RANGE_BLOCKS = 8
"""The number of blocks that are asked of one peer at a time."""
MAX_BUFFERED_BYTES = 16 * 1024 * 1024
"""The largest size of the fetched blocks that wait for an earlier one, in bytes."""
PACE_S = 0.05
"""The pause before a peer that was asked as often as it allows is asked again, in seconds."""
BLOCK_S = 10.0
"""The deadline for one block, in seconds."""


@dataclass(frozen=True, slots=True)
class FetchedBlock:
    """A block with the expected hash, its certificate, and the peer that sent it."""

    block: Block
    """The block, checked against its hash alone."""
    certificate: bytes
    """The serialised Certificate of the block."""
    peer: Peer
    """The peer that sent it, which is punished when the block is invalid."""


class BlockSource:
    """The blocks of one run of headers; `take` returns them in order.

    Each peer has a worker (`work`) that fetches one range after another. Blocks that one peer fails
    to send go back to the others. The caller runs the workers, and learns from `take` when none is
    left.

    Args:
        wanted: Height and hash of each block, in order; at least one.
        peers: The connected peers.
        max_block_bytes: The largest size of a block, in bytes.
    """

    def __init__(self, wanted: Sequence[ChainTip], peers: PeerSet, max_block_bytes: int) -> None:
        self._next = wanted[0].height
        self._last = wanted[-1].height
        self._ranges = deque(
            wanted[start : start + RANGE_BLOCKS] for start in range(0, len(wanted), RANGE_BLOCKS)
        )
        self._peers = peers
        self._max_block_bytes = max_block_bytes
        self._buffer: dict[int, FetchedBlock] = {}
        self._buffered_bytes = 0
        self._changed = asyncio.Event()
        self._workers = 0
        self._fetching = 0

    async def take(self) -> FetchedBlock | None:
        """Wait for the next block.

        Returns:
            The block; None after the last one, or when no worker is left to fetch it.
        """
        while self._next not in self._buffer:
            if self._next > self._last or not self._workers:
                return None
            await self._changed.wait()
        fetched = self._buffer.pop(self._next)
        self._buffered_bytes -= len(fetched.block.raw)
        self._next += 1
        self._notify()
        return fetched

    async def work(self, peer: Peer) -> None:
        """Fetch from one peer until nothing is left to fetch or the peer fails.

        Args:
            peer: A connected peer that this node has dialled.
        """
        self._workers += 1
        try:
            while self._ranges or self._fetching:
                if not self._ranges or not self._has_room():
                    await self._changed.wait()
                elif not peer.range_budget.take(self._peers.now()):
                    # With small blocks, this node would exceed the rate that the peer allows.
                    await asyncio.sleep(PACE_S)
                elif not await self._fetch_next(peer):
                    return
        finally:
            self._workers -= 1
            self._notify()

    def _has_room(self) -> bool:
        # The worker that fetches the next block never waits for room: the others wait for it.
        urgent = self._ranges[0][0].height <= self._next
        return urgent or self._buffered_bytes < MAX_BUFFERED_BYTES

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _fetch_next(self, peer: Peer) -> bool:
        span = self._ranges.popleft()
        self._fetching += 1
        try:
            rest = await self._fetch(peer, span)
        finally:
            self._fetching -= 1
        if rest:
            # The lowest blocks come first, since `take` waits for them.
            self._ranges.appendleft(rest)
        self._notify()
        return not rest

    async def _fetch(self, peer: Peer, span: Sequence[ChainTip]) -> Sequence[ChainTip]:
        # Returns the blocks that the peer did not send.
        link = peer.link
        if link is None:
            return span
        request = StreamBlocksRequest(from_height=span[0].height, to_height=span[-1].height)
        done = 0
        try:
            replies = link.open_stream(link.gossip.StreamBlocks, request)
        except RpcError:
            return span
        try:
            with replies:
                for tip in span:
                    reply = await replies.read(BLOCK_S)
                    if reply is None:
                        problem = f"has no block {tip.height}"
                        self._peers.punish(peer, Offence.BROKEN_PROMISE, problem)
                        break
                    if not await self._accept(peer, tip, reply):
                        break
                    done += 1
        except RpcError as error:
            log.debug("%s did not send block %d: %s", peer, span[done].height, error)
            if error.code == NetworkCode.HISTORY_NOT_KEPT.value:
                peer.max_missing_height = span[done].height
                return span[done:]
            self._peers.punish(peer, Offence.SLOW, f"did not send block {span[done].height}")
        return span[done:]

    async def _accept(self, peer: Peer, tip: ChainTip, reply: StreamBlocksResponse) -> bool:
        try:
            block = await asyncio.to_thread(decode_block, reply.block, self._max_block_bytes)
        except RefusalError as refusal:
            self._peers.punish(peer, Offence.BAD_BLOCK, f"block {tip.height}: {refusal}")
            return False
        if block.hash != tip.hash:
            self._peers.punish(peer, Offence.BAD_BLOCK, f"block {tip.height}: another block")
            return False
        self._buffer[tip.height] = FetchedBlock(block, reply.certificate, peer)
        self._buffered_bytes += len(reply.block)
        self._notify()
        return True
