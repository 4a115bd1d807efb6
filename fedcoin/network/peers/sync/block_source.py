"""Fetch blocks whose hashes are known, in ranges, from several peers at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block, decode_block
from fedcoin.network.background_tasks import run_within
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.sync.block_service import MAX_MESSAGE_BLOCKS
from fedcoin.network.peers.sync.headers import ChainTip
from fedcoin.network.peers.sync.source_pace import SourcePace, bench_slow
from fedcoin.v1.block_gossip_service_pb2 import (
    CertifiedBlock,
    StreamBlocksRequest,
    StreamBlocksResponse,
)

log = logging.getLogger(__name__)

RANGE_BLOCKS = 64
"""The number of blocks that are asked of one peer at a time."""
MAX_BUFFERED_BYTES = 16 * 1024 * 1024
"""The largest size of the fetched blocks that wait for an earlier one, in bytes."""
MAX_WANTED_BLOCKS = 2_000
"""The largest number of blocks that wait to be fetched or taken, whatever their size."""
PACE_S = 0.05
"""The pause before a peer that was asked as often as it allows is asked again, in seconds."""
BLOCK_S = 10.0
"""The deadline for one message of blocks, in seconds."""
STALL_S = 0.5
"""When the next block does not come for this long, another peer is asked too, in seconds."""
MAX_RANGE_S = 3.0
"""When the range with the next block takes this long, another peer is asked too, in seconds: also
where each of its blocks comes within `STALL_S`."""


@dataclass(frozen=True, slots=True)
class FetchedBlock:
    """A block with the expected hash, its certificate, and the peer that sent it."""

    block: Block
    """The block, checked against its hash alone."""
    certificate: bytes
    """The serialised Certificate of the block."""
    peer: Peer
    """The peer that sent it, which is punished when the block is invalid."""


@dataclass(slots=True, eq=False)
class _Claim:
    """A range that one worker is fetching."""

    span: deque[ChainTip] = field(repr=False)
    pace: SourcePace
    # The times of its beginning and of its last block, on the clock of the peers.
    began: float
    progressed: float = field(init=False)
    # Whether another worker fetches the same blocks, because this one stalls.
    is_doubled: bool = False

    def __post_init__(self) -> None:
        self.progressed = self.began


class BlockSource:
    """The blocks of a growing run of headers; `take` returns them in order.

    Each peer has a worker (`work`) that fetches one range after another. Blocks that one peer fails
    to send go back to the others. When the next block does not come for `STALL_S`, or its range in
    `MAX_RANGE_S`, a worker that has nothing else to do fetches it too, and the block that comes
    first counts: no slow peer holds the others up. Peers that are much slower than others are
    benched (`leave_slow_peers`). The caller runs the workers, and learns from `take` when none is
    left.

    Args:
        wanted: Height and hash of the first blocks, in order; at least one.
        peers: The connected peers.
        max_block_bytes: The largest size of a block, in bytes.
    """

    def __init__(self, wanted: Sequence[ChainTip], peers: PeerSet, max_block_bytes: int) -> None:
        self._next = wanted[0].height
        self._last = self._next - 1
        self._is_whole = False
        self._ranges: deque[deque[ChainTip]] = deque()
        self._claims: set[_Claim] = set()
        self._peers = peers
        self._max_block_bytes = max_block_bytes
        self._buffer: dict[int, FetchedBlock] = {}
        self._buffered_bytes = 0
        self._changed = asyncio.Event()
        self._paces: list[SourcePace] = []
        self.extend(wanted)

    @property
    def num_workers(self) -> int:
        """The number of peers that blocks are fetched from, without benched ones."""
        return sum(not pace.is_benched for pace in self._paces)

    def leave_slow_peers(self, max_active: int) -> None:
        """Bench the peers that hold the others up; see `source_pace.bench_slow`.

        A benched peer's range is free for others at once; it is asked again only for what another
        peer does not send at all.

        Args:
            max_active: The largest number of peers that are not benched, once all were tried.
        """
        bench_slow(self._paces, max_active, self._peers.now())
        self._notify()

    def extend(self, wanted: Sequence[ChainTip]) -> None:
        """Ask for the blocks that follow.

        Args:
            wanted: Height and hash of each, in order.
        """
        for start in range(0, len(wanted), RANGE_BLOCKS):
            self._ranges.append(deque(wanted[start : start + RANGE_BLOCKS]))
        if wanted:
            self._last = wanted[-1].height
        self._notify()

    def finish(self) -> None:
        """Say that no blocks follow those that were asked for."""
        self._is_whole = True
        self._notify()

    async def wait_for_room(self) -> None:
        """Wait until more blocks can be asked for."""
        while self._last - self._next >= MAX_WANTED_BLOCKS:
            await self._changed.wait()

    async def take(self, max_blocks: int, max_bytes: int) -> list[FetchedBlock]:
        """Wait for the next blocks.

        Args:
            max_blocks: The largest number to return.
            max_bytes: The largest size of them together, in bytes, of which the first is not held.

        Returns:
            Those that are there, in order, at least one; none after the last one, or when no worker
            is left to fetch the next.
        """
        while self._next not in self._buffer:
            if not self._paces or (self._is_whole and self._next > self._last):
                return []
            await self._changed.wait()
        taken: list[FetchedBlock] = []
        size = 0
        while len(taken) < max_blocks and self._next in self._buffer:
            length = len(self._buffer[self._next].block.raw)
            if taken and size + length > max_bytes:
                break
            taken.append(self._buffer.pop(self._next))
            size += length
            self._next += 1
        self._buffered_bytes -= size
        self._notify()
        return taken

    async def work(self, peer: Peer) -> None:
        """Fetch from one peer until nothing is left to fetch or the peer fails.

        Args:
            peer: A connected peer that this node has dialled.
        """
        pace = SourcePace()
        self._paces.append(pace)
        try:
            while not (self._is_whole and self._next > self._last):
                span = self._choose_range(pace)
                if span is None:
                    await self._wait(STALL_S)
                elif not peer.range_budget.take(self._peers.now()):
                    # With small blocks, this node would exceed the rate that the peer allows.
                    self._ranges.appendleft(span)
                    await asyncio.sleep(PACE_S)
                elif not await self._fetch_range(peer, _Claim(span, pace, self._peers.now())):
                    return
        finally:
            self._paces.remove(pace)
            peer.blocks_per_second = pace.rate(self._peers.now()) or peer.blocks_per_second
            self._notify()

    def _choose_range(self, pace: SourcePace) -> deque[ChainTip] | None:
        is_free = bool(self._ranges) and self._has_room(self._ranges[0][0].height)
        if is_free and not (pace.is_benched and self.num_workers):
            return self._ranges.popleft()
        now = self._peers.now()
        for claim in self._claims:
            is_slow = claim.progressed <= now - STALL_S
            if not pace.is_benched:
                is_slow |= claim.began <= now - MAX_RANGE_S or claim.pace.is_benched
            # Only the range with the next block, which all wait for. When the second worker on a
            # range stalls as well, a third one fetches it.
            is_next = bool(claim.span) and claim.span[0].height == self._next
            if is_next and is_slow and not claim.is_doubled:
                claim.is_doubled = True
                return claim.span.copy()
        return None

    def _has_room(self, height: int) -> bool:
        # The worker that fetches the next block never waits for room: the others wait for it.
        return height <= self._next or self._buffered_bytes < MAX_BUFFERED_BYTES

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await run_within(seconds, self._changed.wait())

    async def _fetch_range(self, peer: Peer, claim: _Claim) -> bool:
        span = claim.span
        self._claims.add(claim)
        try:
            await self._fetch(peer, claim)
        finally:
            self._claims.discard(claim)
            claim.pace.end(self._peers.now())
            # The lowest blocks come first, since `take` waits for them.
            self._skip_known(span)
            if span and not claim.is_doubled:
                self._ranges.appendleft(span)
            self._notify()
        return not span

    def _skip_known(self, span: deque[ChainTip]) -> None:
        while span and (span[0].height < self._next or span[0].height in self._buffer):
            span.popleft()

    async def _fetch(self, peer: Peer, claim: _Claim) -> None:
        # Takes the blocks that the peer sent out of the claim's span.
        link, span = peer.link, claim.span
        if link is None:
            return
        request = StreamBlocksRequest(
            from_height=span[0].height,
            to_height=span[-1].height,
            message_blocks=MAX_MESSAGE_BLOCKS,
        )
        try:
            with link.open_stream(link.gossip.StreamBlocks, request) as replies:
                while span:
                    claim.pace.begin(self._peers.now())
                    reply = await replies.read(BLOCK_S)
                    if reply is None:
                        problem = f"has no block {span[0].height}"
                        self._peers.punish(peer, Offence.BROKEN_PROMISE, problem)
                        return
                    if not await self._accept(peer, claim, reply):
                        return
                    while span and not self._has_room(span[0].height):
                        await self._changed.wait()
        except RpcError as error:
            log.debug("%s did not send block %d: %s", peer, span[0].height, error)
            if error.code == NetworkCode.HISTORY_NOT_KEPT.value:
                peer.max_missing_height = span[0].height
                return
            self._peers.punish(peer, Offence.SLOW, f"did not send block {span[0].height}")

    async def _accept(self, peer: Peer, claim: _Claim, reply: StreamBlocksResponse) -> bool:
        first = CertifiedBlock(block=reply.block, certificate=reply.certificate)
        sent_blocks = [first, *reply.following]
        tips = [tip for tip, _ in zip(claim.span, sent_blocks, strict=False)]
        claim.pace.end(self._peers.now(), len(tips))
        blocks = await asyncio.to_thread(_decode_expected, tips, sent_blocks, self._max_block_bytes)
        for tip, block, sent in zip(tips, blocks, sent_blocks, strict=False):
            if isinstance(block, str):
                self._peers.punish(peer, Offence.BAD_BLOCK, f"block {tip.height}: {block}")
                return False
            claim.span.popleft()
            claim.progressed = self._peers.now()
            if tip.height >= self._next and tip.height not in self._buffer:
                self._buffer[tip.height] = FetchedBlock(block, sent.certificate, peer)
                self._buffered_bytes += len(block.raw)
        self._notify()
        return True


def _decode_expected(
    tips: Sequence[ChainTip], sent: Sequence[CertifiedBlock], max_bytes: int
) -> list[Block | str]:
    """Decode blocks, up to the first that is not the expected one. For a thread.

    Returns the blocks; in the place of a wrong one, why it is.
    """
    decoded: list[Block | str] = []
    for tip, one in zip(tips, sent, strict=False):
        try:
            block = decode_block(one.block, max_bytes)
        except RefusalError as refusal:
            return [*decoded, str(refusal)]
        if block.hash != tip.hash:
            return [*decoded, "another block"]
        decoded.append(block)
    return decoded
