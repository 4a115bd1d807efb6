"""Ask peers for the headers after a block; no peer can hold the answer up for long."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from fedcoin.consensus.validators import ValidatorSet
from fedcoin.data.errors import RefusalError
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.peers.sync.block_service import MAX_HEADERS
from fedcoin.network.peers.sync.headers import CertifiedRun, ChainTip, certify_run
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.v1.block_gossip_service_pb2 import ListHeadersRequest, ListHeadersResponse

log = logging.getLogger(__name__)

CALL_S = 10.0
"""The deadline of a request for headers, in seconds."""

LATE_S = 1.0
"""When no answer came for this long, a further peer is asked as well, in seconds."""


class HeaderSource:
    """Asks one peer for headers, and further ones while it is late; the first valid answer counts.

    Peers are ranked by the headers a second of their last answers. Every second page is asked of a
    peer that was never asked, while there is one: a peer that sends few headers at a time, or each
    page late, is left for faster ones, and strangers that connect anew delay half of the pages.

    Args:
        chain: This node's chain.
        peers: The connected peers.
    """

    def __init__(self, chain: ChainPort, peers: PeerSet) -> None:
        self._chain = chain
        self._peers = peers
        self._num_pages = 0

    async def fetch(
        self, tip: ChainTip, validators: ValidatorSet, peers: Sequence[Peer]
    ) -> CertifiedRun | None:
        """Fetch the headers after a block, proved to be final.

        Args:
            tip: The block before the first header.
            validators: The validator set of the height after `tip`.
            peers: Whom to ask: connected peers that say that they are ahead.

        Returns:
            At least one header; None when no peer sent a valid one.
        """
        waiting = deque(self._ranked(peers))
        self._num_pages += 1
        asked: set[asyncio.Task[CertifiedRun | None]] = set()
        async with BackgroundTasks("headers") as tasks:
            while waiting or asked:
                if waiting:
                    asked.add(tasks.start(self._ask(waiting.popleft(), tip, validators), "ask"))
                late = LATE_S if waiting else None
                first = asyncio.FIRST_COMPLETED
                done, asked = await asyncio.wait(asked, timeout=late, return_when=first)
                for run in [task.result() for task in done]:
                    if run is not None and run.tips:
                        return run
        return None

    def _ranked(self, peers: Sequence[Peer]) -> list[Peer]:
        # Those that were never asked, then by rate; those that broke a promise come last.
        now = self._peers.now()

        def rank(peer: Peer) -> tuple[bool, bool, bool, float]:
            rate = peer.headers_per_second
            return peer.score.value(now) >= 1, rate == 0, rate is not None, -(rate or 0.0)

        ranked = sorted(peers, key=rank)
        known = [peer for peer in ranked if peer.headers_per_second]
        if known and self._num_pages % 2:
            ranked.remove(known[0])
            ranked.insert(0, known[0])
        return ranked

    async def _ask(
        self, peer: Peer, tip: ChainTip, validators: ValidatorSet
    ) -> CertifiedRun | None:
        began = self._peers.now()
        # It stays 0 when another peer's answer comes first.
        peer.headers_per_second = 0.0
        try:
            reply = await self._call(peer, tip)
            if reply is None:
                return None
            chain = self._chain
            run = await asyncio.to_thread(
                certify_run, tip, validators, chain.genesis, reply.headers, chain.verified_votes
            )
        except RefusalError as refusal:
            self._peers.punish(peer, Offence.BAD_HEADERS, str(refusal))
            return None
        peer.headers_per_second = len(reply.headers) / max(self._peers.now() - began, 1e-3)
        if not run.tips and self._chain.height() <= tip.height < peer.height:
            self._peers.punish(peer, Offence.BROKEN_PROMISE, f"has no height {tip.height + 1}")
            peer.height = min(peer.height, tip.height)
        return run

    async def _call(self, peer: Peer, tip: ChainTip) -> ListHeadersResponse | None:
        link = peer.link
        if link is None:
            return None
        request = ListHeadersRequest(from_height=tip.height + 1, page_size=MAX_HEADERS)
        try:
            return await link.call(link.gossip.ListHeaders, request, timeout=CALL_S)
        except RpcError as error:
            log.debug("%s did not send headers: %s", peer, error)
            if error.code == NetworkCode.HISTORY_NOT_KEPT.value:
                peer.max_missing_height = tip.height + 1
                log.warning("%s started from a snapshot and has no block %d", peer, tip.height + 1)
            else:
                self._peers.punish(peer, Offence.SLOW, f"sent no headers from {tip.height + 1}")
            return None
