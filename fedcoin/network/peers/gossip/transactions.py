"""Relay transactions so that each peer gets the bytes of each one once.

Transactions that this node's users submit are sent to every peer within milliseconds, since no
other node has them. Of transactions that came from a peer only the hashes are sent, a little later:
a peer that lacks one of them asks for it in its reply. A peer that lacked none of the last hashes
gets the next ones later. While a call to a peer runs, further transactions for that peer wait for
the next call, so that many transactions need few calls. Hashes of transactions that are final by
then are not sent.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from fedcoin.data.crypto.hashing import HASH_BYTES, sha256
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.data.messages.transactions import Transaction, estimate_signatures
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.call_limits import check_batch
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.gossip.transaction_outbox import MAX_HASHES, MAX_WAITING, Outbox
from fedcoin.network.peers.protection.reputation import Offence
from fedcoin.network.ports.transaction_port import TransactionPort
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
BUSY_PAUSE_S = 0.04
"""The pause after a call with at least `MIN_BUSY_ITEMS` transactions, in seconds."""

BUSY_ANNOUNCE_S = 0.2
"""How long the first of several hashes waits for others when many wait, in seconds: most are final
before they are sent. `Outbox.announce_s` is the time when few wait."""

MIN_BUSY_ITEMS = 32
"""From this many transactions or hashes on, a peer gets them in larger batches."""

CALL_S = 10.0
"""The deadline of one batch, in seconds."""
MAX_RELAYED_DIGESTS = 16_384
"""The number of digests that are remembered in order to decode each transaction once. Each relayed
transaction has two: the digest of its signed bytes, and its hash. Peers offer a transaction within
a second of its relay, and this number is enough for several seconds of full load."""
YIELD_EVERY = 8
"""After this many transactions of a batch, other tasks get a turn on the event loop."""


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
        # Hashes of transactions, by themselves and by the digests of the signed bytes.
        self._relayed: LruDict[bytes, bytes] = LruDict(MAX_RELAYED_DIGESTS)
        # Signatures of one batch after another are verified: many at once would take the threads in
        # which this node signs its votes.
        self._verifying = asyncio.Lock()
        # The peer whose transaction is being admitted.
        self._source: Peer | None = None
        peers.on_linked.append(self._on_linked)
        peers.on_left.append(self._on_left)

    def relay(self, transaction: Transaction) -> None:
        """Send a transaction to every peer that is not known to have it.

        Args:
            transaction: The decoded and verified transaction.
        """
        for digest in (sha256(transaction.raw), transaction.hash):
            self._relayed.put(digest, transaction.hash)
        for peer in self._peers:
            if self._source is None:
                self._give(peer, transaction)
            elif peer is not self._source:
                self._announce(peer, transaction)

    def note_final(self, transactions: Iterable[Transaction]) -> None:
        """Remember transactions that became final, of which peers may still send or offer some.

        Args:
            transactions: Those of a block; the node may have met some of them there first.
        """
        for transaction in transactions:
            if self._relayed.get(transaction.hash) is None:
                for digest in (sha256(transaction.raw), transaction.hash):
                    self._relayed.put(digest, transaction.hash)

    async def receive(self, peer: Peer, raws: Sequence[bytes]) -> int:
        """Handle a batch of transactions from a peer.

        Args:
            peer: The peer that sent the batch.
            raws: Serialised SignedTransactions.

        Returns:
            The number of transactions that were new and admitted.

        Raises:
            RefusalError: TOO_LARGE when the batch exceeds the limits of one call.
        """
        check_batch(raws)
        accepted = 0
        # One batch of each peer at a time, so that a peer with many does not delay the others.
        async with self._outbox(peer).verifying:
            new = self._new(peer, raws)
            # Signatures are most of the cost of admitting a transaction. A peer that relays many
            # waits and is not punished: users of any number of nodes made and pay for them.
            num_signatures = sum(map(estimate_signatures, new))
            now = self._peers.now()
            await asyncio.sleep(peer.meter.reserve("SignedTransaction", now, num_signatures))
            async with self._verifying:
                found = await self._pool.decode_all(new)
        for index, decoded in enumerate(found):
            if index % YIELD_EVERY == YIELD_EVERY - 1:
                await asyncio.sleep(0)
            accepted += self._take(peer, decoded)
        return accepted

    def choose_wanted(self, peer: Peer, hashes: Sequence[bytes]) -> list[bytes]:
        """Say which of the transactions that a peer has this node lacks.

        Args:
            peer: The peer that has the transactions, whose limits on messages count.
            hashes: Hashes of transactions, 32 bytes each.

        Returns:
            The hashes of transactions that neither wait here nor were relayed, or that were
            dropped since.

        Raises:
            RefusalError: TOO_LARGE when there are more than `MAX_HASHES`; MALFORMED when one does
                not have 32 bytes; RATE_LIMITED when the peer sends more hashes a second than it
                may.
        """
        _check_hashes(hashes)
        peer.meter.spend("TransactionHash", self._peers.now(), len(hashes))
        known, wanted = self._outbox(peer).known, []
        for hash in hashes:
            known.add(hash)
            if not self._is_over(hash) and self._pool.get(hash) is None:
                wanted.append(hash)
        return wanted

    def _new(self, peer: Peer, raws: Sequence[bytes]) -> list[bytes]:
        """List the transactions that neither wait here nor were relayed; note what the peer has."""
        new = []
        for raw in raws:
            waiting = self._pool.find(raw)
            if waiting is not None:
                self._outbox(peer).known.add(waiting.hash)
            elif not self._is_over(sha256(raw)):
                new.append(raw)
        return new

    def _is_over(self, digest: bytes) -> bool:
        """Tell whether a transaction was here and was not dropped, as when it made room."""
        hash = self._relayed.get(digest)
        return hash is not None and self._pool.dropped_reason(hash) is None

    def _take(self, peer: Peer, decoded: Transaction | RefusalError) -> bool:
        if isinstance(decoded, RefusalError):
            self._punish_fault(peer, decoded)
            return False
        self._outbox(peer).known.add(decoded.hash)
        # While it is admitted, `relay` is called if it is new.
        self._source = peer
        try:
            return self._pool.add_relayed(decoded)
        except RefusalError as refusal:
            self._punish_fault(peer, refusal)
            return False
        finally:
            self._source = None

    def _punish_fault(self, peer: Peer, refusal: RefusalError) -> None:
        # Only refusals of the data layer are the peer's fault: the ledger's state may differ.
        if refusal.code is DataCode.BAD_SIGNATURE:
            self._peers.punish(peer, Offence.BAD_SIGNATURE, str(refusal))
        elif isinstance(refusal.code, DataCode):
            self._peers.punish(peer, Offence.MALFORMED, str(refusal))

    def _on_linked(self, peer: Peer) -> None:
        # The peer may have been away while these were relayed.
        for transaction in self._pool.pending()[:MAX_WAITING]:
            self._announce(peer, transaction)

    def _on_left(self, peer: Peer) -> None:
        self._outboxes.pop(peer.key, None)

    def _give(self, peer: Peer, transaction: Transaction) -> None:
        if peer.link is None:
            return
        outbox = self._outbox(peer)
        # Also where the peer had it before: users submit again what the mempools have dropped.
        outbox.known.add(transaction.hash)
        self._put(outbox, transaction)

    def _put(self, outbox: Outbox, transaction: Transaction) -> None:
        outbox.put(transaction.raw)
        if outbox.sender is None or outbox.sender.done():
            outbox.sender = self._tasks.start(self._send(outbox), "relay")

    def _announce(self, peer: Peer, transaction: Transaction) -> None:
        if peer.link is None:
            return
        outbox = self._outbox(peer)
        outbox.put_hash(transaction.hash)
        if outbox.announcer is None or outbox.announcer.done():
            outbox.announcer = self._tasks.start(self._send_hashes(outbox), "announce")

    def _outbox(self, peer: Peer) -> Outbox:
        outbox = self._outboxes.get(peer.key)
        if outbox is None or outbox.peer is not peer:
            outbox = self._outboxes[peer.key] = Outbox(peer)
        return outbox

    async def _send(self, outbox: Outbox) -> None:
        await asyncio.sleep(COLLECT_S)
        while len(outbox):
            batch = outbox.batch()
            request = RelayTransactionsRequest(transactions=batch)
            if await self._call(outbox, request) is None:
                return
            await asyncio.sleep(PAUSE_S if len(batch) < MIN_BUSY_ITEMS else BUSY_PAUSE_S)

    async def _send_hashes(self, outbox: Outbox) -> None:
        while outbox.num_hashes:
            await asyncio.sleep(outbox.announce_s)
            if outbox.num_hashes >= MIN_BUSY_ITEMS:
                await asyncio.sleep(max(0.0, BUSY_ANNOUNCE_S - outbox.announce_s))
            # Those that the peer has announced meanwhile, and final ones, are not news.
            hashes = [hash for hash in outbox.hashes() if hash not in outbox.known]
            hashes = [hash for hash in hashes if self._pool.get(hash) is not None]
            if not hashes:
                continue
            reply = await self._call(outbox, RelayTransactionsRequest(hashes=hashes))
            if reply is None:
                return
            for hash in hashes:
                outbox.known.add(hash)
            wanted = set(reply.wanted)
            outbox.note_reply(is_wanted=bool(wanted))
            for hash in hashes:
                transaction = self._pool.get(hash) if hash in wanted else None
                if transaction is not None:
                    self._put(outbox, transaction)

    async def _call(
        self, outbox: Outbox, request: RelayTransactionsRequest
    ) -> RelayTransactionsResponse | None:
        """Make a call to a peer; when it fails, the outbox is cleared and nothing returned."""
        link = outbox.peer.link
        try:
            if link is not None:
                method = link.transactions.RelayTransactions
                return await link.call(method, request, timeout=CALL_S)
        except RpcError as error:
            log.debug("%s did not take transactions: %s", outbox.peer, error)
        outbox.clear()
        return None


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if len(hashes) > MAX_HASHES:
        raise RefusalError(
            NetworkCode.TOO_LARGE,
            f"hashes: {len(hashes)}, but one call holds at most {MAX_HASHES}",
            field="hashes",
            limit=str(MAX_HASHES),
        )
    if any(len(hash) != HASH_BYTES for hash in hashes):
        raise RefusalError(
            NetworkCode.MALFORMED,
            f"hashes: each must have {HASH_BYTES} bytes",
            field="hashes",
            limit=str(HASH_BYTES),
        )


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
        """Receive a batch of transactions, or of hashes.

        Raises:
            RefusalError: TOO_LARGE when the batch exceeds the limits of one call; MALFORMED when a
                hash does not have 32 bytes; RATE_LIMITED when the peer sends more hashes a second
                than it may.
        """
        peer = self._peers.caller(context)
        wanted = self._relay.choose_wanted(peer, request.hashes)
        accepted = 0
        if request.transactions:
            accepted = await self._relay.receive(peer, request.transactions)
        return RelayTransactionsResponse(accepted=accepted, wanted=wanted)
