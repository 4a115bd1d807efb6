"""Relay transactions: send each one to every peer that is not known to have it.

A transaction leaves within milliseconds. While a call to a peer runs, further transactions for that
peer wait and go with the next call, so that many transactions need few calls.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence

from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.lru import LruSet
from fedcoin.data.messages.transactions import Transaction
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.call_limits import MAX_BATCH, MAX_BATCH_BYTES, check_batch
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.interceptors import CallContext
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.ports import TransactionPort
from fedcoin.v1.transaction_relay_service_pb2 import (
    RelayTransactionsRequest,
    RelayTransactionsResponse,
)
from fedcoin.v1.transaction_relay_service_pb2_grpc import TransactionRelayServiceServicer

log = logging.getLogger(__name__)

COLLECT_S = 0.002
"""How long the first transaction of a batch waits for others, in seconds."""

PAUSE_S = 0.01
"""The pause between two calls to one peer, in which the next batch gathers, in seconds."""

CALL_S = 10.0
"""The deadline of one batch, in seconds."""
MAX_WAITING = 4_096
"""The largest number of transactions that wait to be sent to one peer."""
MAX_WAITING_BYTES = 16 * 1024 * 1024
"""The largest size of these transactions, in bytes; the oldest ones make room, and reach the peer
through other peers."""

KNOWN_TO_PEER = 16_384
"""The number of transactions that are remembered for each peer as those that it has."""
MAX_RELAYED_DIGESTS = 65_536
"""The number of relayed transactions that are remembered in order to decode each once."""
YIELD_EVERY = 8
"""After this many transactions of a batch, other tasks get a turn on the event loop."""


class Outbox:
    """The transactions that wait to be sent to one peer.

    Args:
        peer: The peer that they are sent to.
    """

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.known: LruSet[bytes] = LruSet(KNOWN_TO_PEER)
        self.sender: asyncio.Task[None] | None = None
        self._waiting: deque[bytes] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        """Return the number of waiting transactions."""
        return len(self._waiting)

    def put(self, raw: bytes) -> None:
        """Add a transaction; the oldest ones make room when a limit is reached.

        Args:
            raw: A serialised SignedTransaction.
        """
        self._waiting.append(raw)
        self._bytes += len(raw)
        while len(self._waiting) > MAX_WAITING or self._bytes > MAX_WAITING_BYTES:
            self._take()

    def clear(self) -> None:
        """Remove all waiting transactions, and forget which ones the peer has.

        On a new link the peer gets all pending transactions.
        """
        self._waiting.clear()
        self._bytes = 0
        self.known.clear()

    def batch(self) -> list[bytes]:
        """Remove the oldest waiting transactions, up to the limits of one call, and return them.

        Call only when at least one transaction waits. A transaction above the limit of bytes is
        returned alone.
        """
        taken = [self._take()]
        size = len(taken[0])
        while self._waiting and len(taken) < MAX_BATCH:
            size += len(self._waiting[0])
            if size > MAX_BATCH_BYTES:
                break
            taken.append(self._take())
        return taken

    def _take(self) -> bytes:
        raw = self._waiting.popleft()
        self._bytes -= len(raw)
        return raw


class TransactionRelay:
    """Sends transactions to peers in batches, and takes the batches that peers send.

    Args:
        pool: Decodes and admits transactions.
        peers: The connected peers.
        tasks: Runs one sending task for each peer, and cancels them when the node stops.
    """

    def __init__(self, pool: TransactionPort, peers: PeerSet, tasks: BackgroundTasks) -> None:
        self._pool = pool
        self._peers = peers
        self._tasks = tasks
        self._outboxes: dict[bytes, Outbox] = {}
        self._relayed: LruSet[bytes] = LruSet(MAX_RELAYED_DIGESTS)
        peers.on_linked.append(self._on_linked)
        peers.on_left.append(self._on_left)

    def relay(self, transaction: Transaction) -> None:
        """Send a transaction to every peer that is not known to have it.

        Args:
            transaction: The decoded and verified transaction.
        """
        self._relayed.add(sha256(transaction.raw))
        for peer in self._peers:
            self._give(peer, transaction)

    async def receive(self, peer: Peer, raws: Sequence[bytes]) -> int:
        """Handle a batch of transactions from a peer.

        Args:
            peer: The peer that sent the batch.
            raws: Serialised SignedTransactions.

        Returns:
            The number of transactions that were new and admitted.

        Raises:
            RefusalError: TOO_LARGE when the batch exceeds the limits of one call; RATE_LIMITED
                when the peer sends more transactions a second than it may.
        """
        check_batch(raws)
        peer.meter.spend("SignedTransaction", self._peers.now(), len(raws))
        accepted = 0
        for index, decoded in enumerate(await self._pool.decode_all(self._new(peer, raws))):
            if index % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            accepted += self._take(peer, decoded)
        return accepted

    def _new(self, peer: Peer, raws: Sequence[bytes]) -> list[bytes]:
        """List what neither waits here nor was relayed, and note what the peer has."""
        new = []
        for raw in raws:
            waiting = self._pool.find(raw)
            if waiting is not None:
                self._outbox(peer).known.add(waiting.hash)
            elif sha256(raw) not in self._relayed:
                new.append(raw)
        return new

    def _take(self, peer: Peer, decoded: Transaction | RefusalError) -> bool:
        if isinstance(decoded, RefusalError):
            self._punish_fault(peer, decoded)
            return False
        # Recorded before admission, so that it is not relayed back to this peer.
        self._outbox(peer).known.add(decoded.hash)
        try:
            return self._pool.add_relayed(decoded)
        except RefusalError as refusal:
            self._punish_fault(peer, refusal)
            return False

    def _punish_fault(self, peer: Peer, refusal: RefusalError) -> None:
        # Only refusals of the data layer are the peer's fault: the ledger's state may differ.
        if refusal.code is DataCode.BAD_SIGNATURE:
            self._peers.punish(peer, Offence.BAD_SIGNATURE, str(refusal))
        elif isinstance(refusal.code, DataCode):
            self._peers.punish(peer, Offence.MALFORMED, str(refusal))

    def _on_linked(self, peer: Peer) -> None:
        # The peer may have been away while these were relayed.
        for transaction in self._pool.pending()[:MAX_WAITING]:
            self._give(peer, transaction)

    def _on_left(self, peer: Peer) -> None:
        self._outboxes.pop(peer.key, None)

    def _give(self, peer: Peer, transaction: Transaction) -> None:
        if peer.link is None:
            return
        outbox = self._outbox(peer)
        if not outbox.known.add(transaction.hash):
            return
        outbox.put(transaction.raw)
        if outbox.sender is None or outbox.sender.done():
            outbox.sender = self._tasks.start(self._send(outbox), "relay")

    def _outbox(self, peer: Peer) -> Outbox:
        outbox = self._outboxes.get(peer.key)
        if outbox is None or outbox.peer is not peer:
            outbox = self._outboxes[peer.key] = Outbox(peer)
        return outbox

    async def _send(self, outbox: Outbox) -> None:
        await asyncio.sleep(COLLECT_S)
        while len(outbox):
            link = outbox.peer.link
            if link is None or not await self._call(outbox, link):
                outbox.clear()
                return
            await asyncio.sleep(PAUSE_S)

    async def _call(self, outbox: Outbox, link: Link) -> bool:
        request = RelayTransactionsRequest(transactions=outbox.batch())
        try:
            await link.call(link.transactions.RelayTransactions, request, timeout=CALL_S)
        except RpcError as error:
            log.debug("%s did not take transactions: %s", outbox.peer, error)
            return False
        return True


class TransactionRelayServicer(TransactionRelayServiceServicer):
    """Serves `TransactionRelayService` to the connected peers.

    Args:
        relay: Takes the batches.
        peers: The connected peers.
    """

    def __init__(self, relay: TransactionRelay, peers: PeerSet) -> None:
        self._relay = relay
        self._peers = peers

    async def RelayTransactions(
        self, request: RelayTransactionsRequest, context: CallContext
    ) -> RelayTransactionsResponse:
        """Receive a batch of transactions.

        Raises:
            RefusalError: TOO_LARGE when the batch exceeds the limits of one call; RATE_LIMITED when
                the peer sends more transactions a second than it may.
        """
        peer = self._peers.caller(context)
        accepted = await self._relay.receive(peer, request.transactions)
        return RelayTransactionsResponse(accepted=accepted)
