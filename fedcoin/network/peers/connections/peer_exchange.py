"""Ask peers for the addresses of other peers."""

from __future__ import annotations

import asyncio
import logging
import random

from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.peers.connections.address_book import AddressBook
from fedcoin.network.peers.connections.endpoints import is_loopback, parse_endpoint
from fedcoin.network.peers.connections.node_addresses import NodeAddress
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_service import MAX_LISTED
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.v1.peer_service_pb2 import ListPeersRequest, ListPeersResponse

log = logging.getLogger(__name__)

CALL_S = 5.0
"""The deadline of a request for addresses, in seconds."""


class PeerExchange:
    """Fills the address book: asks each new peer, and a random peer from time to time.

    Args:
        own_key: This node's key, which is never added.
        peers: The connected peers.
        book: The address book.
        tasks: Owns the background tasks.
    """

    def __init__(
        self, own_key: bytes, peers: PeerSet, book: AddressBook, tasks: BackgroundTasks
    ) -> None:
        self._own_key = own_key
        self._peers = peers
        self._book = book
        self._tasks = tasks
        peers.on_linked.append(self._start)

    async def run(self, interval_s: float) -> None:
        """Ask a random peer for addresses from time to time. Runs until cancelled.

        Args:
            interval_s: The mean pause in seconds.
        """
        while True:
            await asyncio.sleep(interval_s * random.uniform(0.5, 1.5))
            linked = [peer for peer in self._peers if peer.link is not None]
            if linked:
                await self._ask(random.choice(linked))

    def _start(self, peer: Peer) -> None:
        self._tasks.start(self._ask(peer), "peer exchange")

    async def _ask(self, peer: Peer) -> None:
        link = peer.link
        if link is None:
            return
        try:
            request = ListPeersRequest(page_size=MAX_LISTED)
            reply = await link.call(link.peers.ListPeers, request, timeout=CALL_S)
        except RpcError as error:
            log.debug("%s did not list peers: %s", peer, error)
            return
        try:
            self.learn(peer, reply)
        except RefusalError as refusal:
            self._peers.punish(peer, Offence.MALFORMED, str(refusal))

    def learn(self, peer: Peer, reply: ListPeersResponse) -> None:
        """Add the addresses of a peer's answer to the book.

        Args:
            peer: The peer that answered.
            reply: The peer's answer.

        Raises:
            RefusalError: BAD_HOST for a malformed address.
        """
        for listed in reply.peers[:MAX_LISTED]:
            endpoint = parse_endpoint(listed.address, "peers.address")
            if len(listed.node_key) != PUBLIC_KEY_BYTES or listed.node_key == self._own_key:
                continue
            if endpoint.wildcard or (endpoint.loopback and not is_loopback(peer.host)):
                # A peer on another machine cannot make this node dial services on loopback.
                continue
            self._book.add(NodeAddress(endpoint, listed.node_key))
