"""The peers' side of a node: its parts, put together."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import time
from collections.abc import Callable, Sequence, Set
from functools import partial
from pathlib import Path

import grpc

from fedcoin.data.artifacts.reader_proofs import ReaderKey
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.keys import KeyPair, SigningKey
from fedcoin.data.errors import RefusalError
from fedcoin.network.artifacts.artifact_admission import ChainAdmission
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.background_tasks import BackgroundTasks, FailureListener, run_until_first
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.listener import Listener, Service
from fedcoin.network.peer_options import PEER_MESSAGE_BYTES, PeerOptions
from fedcoin.network.peers.connections import address_book
from fedcoin.network.peers.connections.address_book import AddressBook
from fedcoin.network.peers.connections.dialer import Dialer
from fedcoin.network.peers.connections.endpoints import Endpoint, parse_endpoint
from fedcoin.network.peers.connections.link import Introduction, Link
from fedcoin.network.peers.connections.node_addresses import parse_node_address
from fedcoin.network.peers.connections.own_addresses import OwnAddresses
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_exchange import PeerExchange
from fedcoin.network.peers.connections.peer_guard import PeerGuard
from fedcoin.network.peers.connections.peer_service import PeerServicer
from fedcoin.network.peers.connections.peer_set import PeerClocks, PeerSet
from fedcoin.network.peers.connections.security import Security
from fedcoin.network.peers.gossip.consensus_stream import ConsensusExchange
from fedcoin.network.peers.gossip.transactions import TransactionRelay, TransactionRelayServicer
from fedcoin.network.peers.protection.bans import OPERATOR_BAN_S, Bans
from fedcoin.network.peers.protection.limits import call_limits
from fedcoin.network.peers.sync.artifact_fetcher import ArtifactFetcher
from fedcoin.network.peers.sync.block_service import Announcer, BlockGossipServicer
from fedcoin.network.peers.sync.catch_up import CatchUp
from fedcoin.network.peers.sync.snapshot_server import SnapshotServer
from fedcoin.network.peers.sync.snapshot_sync import SnapshotOptions, SnapshotSync
from fedcoin.network.ports.chain_port import ChainPort, Importer
from fedcoin.network.ports.consensus_port import ConsensusPort
from fedcoin.network.ports.peers_port import PeerInfo, SyncProgress
from fedcoin.network.ports.transaction_port import TransactionPort
from fedcoin.v1.artifact_service_pb2_grpc import add_ArtifactServiceServicer_to_server
from fedcoin.v1.block_gossip_service_pb2_grpc import add_BlockGossipServiceServicer_to_server
from fedcoin.v1.peer_service_pb2 import PingRequest
from fedcoin.v1.peer_service_pb2_grpc import add_PeerServiceServicer_to_server
from fedcoin.v1.transaction_relay_service_pb2_grpc import (
    add_TransactionRelayServiceServicer_to_server,
)

log = logging.getLogger(__name__)

SAVE_S = 30.0
"""The pause between two writes of the address book, in seconds."""
REAP_S = 1.0
"""The pause between two searches for peers that have gone, in seconds."""
PING_S = 5.0
"""How long a peer has to answer a ping, in seconds."""
MAX_LOST_PINGS = 2
"""The number of unanswered pings after which a link counts as broken."""


class PeerNetwork:
    """The parts of a node that deal with its peers, put together. Implements `ports.Peers`.

    The node calls the parts that send its messages and fetch its artifacts directly: they are
    attributes. `start` binds the listener and starts to dial; `stop` disconnects and waits until
    all tasks have ended.

    Args:
        options: Addresses, limits, pauses and TLS.
        key: The node's key.
        agent: The program and its version.
        chain: The node's chain.
        pool: Takes transactions from peers.
        agreement: Takes proposals and votes from peers.
        importer: Verifies and appends blocks.
        artifacts: The node's artifacts.
        book_path: The file `peers.json` with the addresses of peers and the bans; None to keep both
            in memory alone.
        snapshots: Where snapshots are and when one is fetched; None for a node that neither serves
            nor fetches snapshots.
        reader: Signs requests for artifacts of private campaigns; None takes `key`.
        make_consensus: Builds the exchange of proposals and votes. The default is an honest one.

    Attributes:
        peer_set: The connected peers, their reputations and the bans.
        consensus: Sends and receives proposals and votes; implements `ports.Broadcaster`.
        transaction_relay: Passes transactions on to peers.
        announcer: Announces final blocks to peers that are behind.
        artifact_fetcher: Fetches artifacts from peers.
    """

    def __init__(
        self,
        options: PeerOptions,
        key: KeyPair,
        agent: str,
        *,
        chain: ChainPort,
        pool: TransactionPort,
        agreement: ConsensusPort,
        importer: Importer,
        artifacts: ArtifactStore,
        book_path: Path | None = None,
        snapshots: SnapshotOptions | None = None,
        reader: SigningKey | None = None,
        make_consensus: Callable[
            [ChainPort, ConsensusPort, PeerSet], ConsensusExchange
        ] = ConsensusExchange,
    ) -> None:
        self._options = options
        self._chain = chain
        self._book_path = book_path
        self._seeds = tuple(parse_node_address(seed, "seeds") for seed in options.seeds)
        self._listen = parse_endpoint(options.listen, "listen", any_port=True)
        self._advertised = (
            parse_endpoint(options.advertise, "advertise") if options.advertise else None
        )
        self._security = Security(options.tls, insecure=options.insecure)
        self._introduction = Introduction(
            chain.genesis, key, agent, self._listen_address, chain.height
        )
        self._tasks = BackgroundTasks("peers")
        self._book, bans = self._load()
        self.peer_set = PeerSet(
            options, bans, PeerClocks(time.monotonic, time.time), self._power_of
        )
        self.consensus = make_consensus(chain, agreement, self.peer_set)
        self.transaction_relay = TransactionRelay(pool, self.peer_set, self._tasks)
        self.announcer = Announcer(self.peer_set, self._tasks)
        snapshot_sync = (
            SnapshotSync(chain, importer, self.peer_set, snapshots) if snapshots else None
        )
        self._catch_up = CatchUp(chain, importer, self.peer_set, snapshot_sync)
        self._exchange = PeerExchange(key.public_key, self.peer_set, self._book, self._tasks)
        self.artifact_fetcher = ArtifactFetcher(
            artifacts, self.peer_set, self._tasks, ReaderKey(reader or key, chain.genesis.hash)
        )
        self._dialer = Dialer(
            options,
            self._seeds,
            self._introduction,
            self._security,
            self.peer_set,
            self._book,
            self._keep,
            self._tasks,
            time.time,
        )
        self._listener = self._make_listener(artifacts, snapshots)

    # Start and stop -------------------------------------------------------------------------

    async def start(self) -> None:
        """Bind the listener, begin to answer peers, and start to dial.

        Raises:
            RefusalError: PORT_IN_USE when the address cannot be bound; NOT_SECURE for plaintext
                that other machines can reach, or WRONG_CERTIFICATE when the certificate does not
                name this node's key.
        """
        self._security.check_listen(self._listen)
        self._security.check_certificate(self._introduction.key.public_key)
        await self._listener.start()
        await self._listener.set_serving()
        options = self._options
        self._tasks.start(self._catch_up.run(), "sync", vital=True)
        keep_running = self._tasks.keep_running
        keep_running(self._dialer.run, "dialer")
        keep_running(partial(self.consensus.run, options.status_interval_s), "consensus")
        keep_running(self.consensus.keep_talking, "heartbeat")
        keep_running(self._reap, "reaper")
        if options.peer_exchange:
            keep_running(partial(self._exchange.run, options.exchange_interval_s), "peer exchange")
        if self._book_path is not None:
            keep_running(partial(self._save_regularly, self._book_path), "address book")
        log.info("peers are served on %s", self.endpoint)

    def on_failure(self, listener: FailureListener) -> None:
        """Register a listener for the failures of background tasks.

        Args:
            listener: Called on the event loop, also for calls of peers that failed by a fault of
                this program or machine. Only the task that fetches blocks is vital.
        """
        self._tasks.on_failure(listener)
        self._listener.on_failure(listener)

    async def set_not_serving(self) -> None:
        """Have the health service of the peers' listener answer NOT_SERVING until the end."""
        await self._listener.set_not_serving()

    async def stop(self, grace: float = 0.5) -> None:
        """Disconnect all peers, close the listener, and save the address book.

        Args:
            grace: How long running calls may take to end, in seconds.
        """
        await self._tasks.stop()
        await self.peer_set.close()
        await self._listener.stop(grace)
        if self._book_path is not None:
            self._save(self._book_path)

    # ports.Peers ----------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """The address that peers dial, as key@host:port."""
        return f"{self._introduction.key.public_key.hex()}@{self._listen_address()}"

    @property
    def endpoint(self) -> str:
        """The address of the peers' listener, as host:port, with the port that it has."""
        return self._listener.address

    def peers(self) -> Sequence[PeerInfo]:
        """List the connected peers, sorted by address, but those that are silent."""
        now = self.peer_set.now()
        infos = [peer.info(now) for peer in self.peer_set if not peer.is_silent(now)]
        return sorted(infos, key=lambda info: (info.address, info.node_key))

    def sync_progress(self) -> SyncProgress | None:
        """Implement `Peers.sync_progress`: say how far fetching blocks from peers is."""
        return self._catch_up.progress()

    async def add(self, address: str) -> bytes:
        """Implement `Peers.add`: dial a peer and keep its address in the address book."""
        peer = await self._dialer.dial(parse_node_address(address))
        return peer.key

    async def drop(self, node_key: bytes) -> None:
        """Implement `Peers.drop`: disconnect a peer. It may connect again."""
        peer = self.peer_set.get(node_key)
        if peer is None:
            raise RefusalError(
                NetworkCode.PEER_NOT_CONNECTED,
                f"node_key: {node_key.hex()} is not connected",
                field="node_key",
            )
        self.peer_set.drop(peer, "dropped by the operator")

    async def ban(self, node_key: bytes, seconds: float) -> None:
        """Implement `Peers.ban`: ban a node key, and disconnect its peer."""
        self.peer_set.ban(node_key, seconds or OPERATOR_BAN_S, "by the operator")

    async def ban_host(self, host: str, seconds: float) -> None:
        """Implement `Peers.ban_host`: ban a host, and disconnect its peers."""
        try:
            address = str(ipaddress.ip_address(host))
        except ValueError:
            raise RefusalError(
                NetworkCode.BAD_HOST,
                f"host: {host[:80]!r} is not an IP address, such as 192.0.2.7",
                field="host",
            ) from None
        self.peer_set.ban_host(address, seconds or OPERATOR_BAN_S, "by the operator")

    def refuse_keys(self, keys: Set[bytes]) -> None:
        """Neither dial nor accept these node keys from now on; disconnect their peers.

        Args:
            keys: All refused node keys, 32 bytes each; they replace those refused before.
        """
        self.peer_set.refused.replace(keys)
        for peer in self.peer_set:
            if peer.key in keys:
                self.peer_set.drop(peer, "its key is refused by the operator")

    # Internals ------------------------------------------------------------------------------

    def _make_listener(
        self,
        artifacts: ArtifactStore,
        snapshots: SnapshotOptions | None,
    ) -> Listener:
        guard = PeerGuard(self.peer_set)
        own_addresses = OwnAddresses(self._listening, self._advertised)
        peer_service = PeerServicer(
            self._introduction, self.peer_set, own_addresses, self._security
        )
        served = SnapshotServer(self._chain.store, None if snapshots is None else snapshots.folder)
        gossip = BlockGossipServicer(self._chain, self.peer_set, served)
        relay = TransactionRelayServicer(self.transaction_relay, self.peer_set)
        admission = ChainAdmission(artifacts, self._chain, self._introduction.key.public_key)
        downloads = ArtifactServicer(artifacts, admission)
        consensus = self.consensus.handlers()

        def add_consensus(server: grpc.aio.Server) -> None:
            guard.before(server).add_generic_rpc_handlers((consensus,))

        services = (
            Service(
                "fedcoin.v1.PeerService",
                lambda server: add_PeerServiceServicer_to_server(
                    peer_service, guard.before(server)
                ),
            ),
            Service(
                "fedcoin.v1.BlockGossipService",
                lambda server: add_BlockGossipServiceServicer_to_server(
                    gossip, guard.before(server)
                ),
            ),
            Service("fedcoin.v1.ConsensusService", add_consensus),
            Service(
                "fedcoin.v1.TransactionRelayService",
                lambda server: add_TransactionRelayServiceServicer_to_server(
                    relay, guard.before(server)
                ),
            ),
            Service(
                "fedcoin.v1.ArtifactService",
                lambda server: add_ArtifactServiceServicer_to_server(
                    downloads, guard.before(server)
                ),
            ),
        )
        return Listener(
            str(self._listen),
            services,
            setting="peers.listen",
            limits=call_limits(self._options),
            max_message_bytes=PEER_MESSAGE_BYTES,
            credentials=self._security.server_credentials(),
        )

    def _power_of(self, node_key: bytes) -> int:
        validator = self._chain.ledger.validators().by_key(node_key)
        return 0 if validator is None else validator.power

    def _listening(self) -> Endpoint:
        return parse_endpoint(self._listener.address, "listen")

    def _listen_address(self) -> str:
        return str(self._advertised or self._listening())

    async def _keep(self, peer: Peer, link: Link) -> None:
        await run_until_first(self.consensus.converse(peer, link), self._ping(peer, link))

    async def _ping(self, peer: Peer, link: Link) -> None:
        # Returns when the peer no longer answers.
        lost = 0
        while lost < MAX_LOST_PINGS:
            await asyncio.sleep(self._options.ping_interval_s)
            try:
                asked_ms = self._introduction.clock()
                request = PingRequest(height=self._chain.height(), time_ms=asked_ms)
                reply = await link.call(link.peers.Ping, request, timeout=PING_S)
            except RpcError as error:
                log.debug("%s did not answer a ping: %s", peer, error)
                lost += 1
            else:
                lost = 0
                peer.last_seen = self.peer_set.now()
                # The peer read its clock about half way between call and reply.
                peer.learn_time(reply.time_ms, (asked_ms + self._introduction.clock()) // 2)
                self.peer_set.update_height(peer, reply.height)

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(REAP_S)
            self.peer_set.reap()

    def _load(self) -> tuple[AddressBook, Bans]:
        if self._book_path is None:
            return AddressBook(), Bans()
        return address_book.load_address_book(self._book_path)

    async def _save_regularly(self, path: Path) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            if self._book.changed:
                content = self._book.encode(self.peer_set.bans, time.time())
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(address_book.save_address_book, path, content)

    def _save(self, path: Path) -> None:
        try:
            content = self._book.encode(self.peer_set.bans, time.time())
            address_book.save_address_book(path, content)
        except OSError as error:
            log.warning("%s cannot be written: %s", path, error)
