"""Fetching blocks whose hashes are known, in ranges, from several peers at once."""

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
from fedcoin.network.peers.sync.headers import Tip
from fedcoin.v1.block_gossip_service_pb2 import StreamBlocksRequest, StreamBlocksResponse

log = logging.getLogger(__name__)

RANGE_BLOCKS = 8
MAX_BUFFERED_BYTES = 16 * 1024 * 1024
PACE_S = 0.05
BLOCK_S = 10.0
"""How long one block may take."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A block with the hash that it has to have, and who sent it."""

    block: Block
    certificate: bytes
    peer: Peer


class BlockSource:
    """The blocks of one run of headers, to be taken in order by `take`.

    Each peer has a worker (`work`) that fetches range after range; what one fails to give
    goes back to the others, who stay until all has come. The workers are run by the caller, who
    learns from `take` when there is none left.
    """

    def __init__(self, wanted: Sequence[Tip], peers: PeerSet, max_block_bytes: int) -> None:
        self._next = wanted[0].height
        self._last = wanted[-1].height
        self._ranges = deque(
            wanted[start : start + RANGE_BLOCKS] for start in range(0, len(wanted), RANGE_BLOCKS)
        )
        self._peers = peers
        self._max_block_bytes = max_block_bytes
        self._buffer: dict[int, Fetched] = {}
        self._buffered_bytes = 0
        self._changed = asyncio.Event()
        self._workers = 0
        self._fetching = 0

    async def take(self) -> Fetched | None:
        """The next block; None after the last, or when no worker is left to bring it."""
        while self._next not in self._buffer:
            if self._next > self._last or not self._workers:
                return None
            await self._changed.wait()
        fetched = self._buffer.pop(self._next)
        self._buffered_bytes -= len(fetched.block.raw)
        self._next += 1
        self._tell()
        return fetched

    async def work(self, peer: Peer) -> None:
        """Fetch from one peer until nothing is left to fetch or it fails."""
        self._workers += 1
        try:
            while self._ranges or self._fetching:
                if not self._ranges or not self._has_room():
                    await self._changed.wait()
                elif not peer.ranges.take(self._peers.now()):
                    # Small blocks come faster than a peer lets itself be asked for them.
                    await asyncio.sleep(PACE_S)
                elif not await self._fetch_next(peer):
                    return
        finally:
            self._workers -= 1
            self._tell()

    def _has_room(self) -> bool:
        # Whoever fetches what comes next must never wait for room.
        urgent = self._ranges[0][0].height <= self._next
        return urgent or self._buffered_bytes < MAX_BUFFERED_BYTES

    def _tell(self) -> None:
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
            # The lowest first: the others wait for them.
            self._ranges.appendleft(rest)
        self._tell()
        return not rest

    async def _fetch(self, peer: Peer, span: Sequence[Tip]) -> Sequence[Tip]:
        """Returns what the peer did not give."""
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
            log.debug("%s gave no block %d: %s", peer, span[done].height, error)
            if error.code == NetworkCode.HISTORY_NOT_KEPT.value:
                peer.lacks = span[done].height
                return span[done:]
            self._peers.punish(peer, Offence.SLOW, f"gave no block {span[done].height}")
        return span[done:]

    async def _accept(self, peer: Peer, tip: Tip, reply: StreamBlocksResponse) -> bool:
        try:
            block = await asyncio.to_thread(decode_block, reply.block, self._max_block_bytes)
        except RefusalError as refusal:
            self._peers.punish(peer, Offence.BAD_BLOCK, f"block {tip.height}: {refusal}")
            return False
        if block.hash != tip.hash:
            self._peers.punish(peer, Offence.BAD_BLOCK, f"block {tip.height}: another block")
            return False
        self._buffer[tip.height] = Fetched(block, reply.certificate, peer)
        self._buffered_bytes += len(reply.block)
        self._tell()
        return True
