"""The nodes of a simulated network: the product's parts, joined by simulated channels.

Ledger, database, mempool, voting, gossip of votes and transactions, announcements and catching up
are the product's own code. Left out are gRPC, handshakes, miners, artifacts and the API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from fedcoin.application.node.chain import Chain
from fedcoin.application.node.consensus_driver import ConsensusDriver
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.application.node.voting.vote_signer import VoteSigner
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.contract.state.genesis_state import genesis_changes
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.background_tasks import BackgroundTasks
from fedcoin.network.peer_options import PeerOptions
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.handshake import Identity
from fedcoin.network.peers.connections.link import Link
from fedcoin.network.peers.connections.peer_set import PeerClocks, PeerSet
from fedcoin.network.peers.gossip.consensus_stream import ConsensusExchange
from fedcoin.network.peers.gossip.transactions import (
    TransactionRelay,
    TransactionRelayServicer,
)
from fedcoin.network.peers.protection.bans import Bans
from fedcoin.network.peers.sync.block_service import Announcer, BlockGossipServicer
from fedcoin.network.peers.sync.catch_up import CatchUp
from fedcoin.network.peers.sync.snapshot_server import SnapshotServer
from fedcoin.testing.scale_simulation.simulated_channels import (
    Machine,
    SimulatedChannel,
    SimulatedServer,
)
from fedcoin.v1.block_gossip_service_pb2_grpc import add_BlockGossipServiceServicer_to_server
from fedcoin.v1.transaction_relay_service_pb2_grpc import (
    add_TransactionRelayServiceServicer_to_server,
)

START_MS = 1_800_000_000_000
"""The Unix time at virtual time 0, in ms."""

_PORT = 7050
_AGENT = "simulated/1"
_OPTIONS = PeerOptions(max_inbound=1_000, max_inbound_of_host=1_000)
"""Whom a node is connected to is decided before, by the simulation."""


def read_clock_ms() -> int:
    """Read the clock of all simulated nodes, in Unix ms."""
    return START_MS + round(asyncio.get_running_loop().time() * 1_000)


class AcceptingAudit:
    """Audits transfers alone, which need none."""

    async def check_block(self, transactions: Sequence[Transaction]) -> None:
        """Implement `BlockAudit.check_block`: accept any block."""

    async def check_transaction(self, transaction: Transaction) -> None:
        """Implement `TransactionAudit.check_transaction`: accept any transaction."""


class SimulatedPeer:
    """One node.

    Attributes:
        machine: Its line, its processor, and what it sent.
        chain: Its final blocks.
        pool: Takes the transactions of its users.
    """

    def __init__(
        self, genesis: Genesis, database: Path, key: KeyPair, machine: Machine, *, votes: bool
    ) -> None:
        """Make a node without peers.

        Args:
            genesis: The network's genesis.
            database: Where its database is made.
            key: Its node key.
            machine: Its line and its processor.
            votes: Whether it is a validator.
        """
        loop = asyncio.get_running_loop()
        self.machine = machine
        self._key = key
        self._owner = BackgroundTasks("node")
        self._store = ChainStore.open(database, genesis)
        self._store.initialise(genesis_changes(genesis))
        self.chain = Chain(self._store, Ledger(self._store, genesis), read_clock_ms)
        audit = AcceptingAudit()
        self.pool = TransactionIntake(Mempool(), self.chain, audit, self._owner, read_clock_ms)
        signer = VoteSigner(key, self._store, genesis) if votes else None
        self._agreement = ConsensusDriver(
            self.chain, self.pool, audit, signer, self._owner, read_clock_ms
        )
        clocks = PeerClocks(loop.time, lambda: read_clock_ms() / 1_000)
        self._peers = PeerSet(_OPTIONS, Bans(), clocks)
        self._consensus = ConsensusExchange(self.chain, self._agreement, self._peers)
        self._relay = TransactionRelay(self.pool, self._peers, self._owner)
        self._announcer = Announcer(self._peers, self._owner)
        self._catch_up = CatchUp(self.chain, self.chain, self._peers)
        self.pool.on_admitted(self._relay.relay)
        self.chain.on_block(lambda new: self._announcer.announce(new.block.height, new.block.hash))
        self._server = self._make_server()

    @property
    def num_peers(self) -> int:
        """The number of connected peers."""
        return len(self._peers)

    def dial(self, other: SimulatedPeer) -> None:
        """Connect to another node, as after a handshake.

        Args:
            other: The node, which has to dial back, as real nodes do.
        """
        session = other._peers.admit(self._identity(), "", self._endpoint().host)
        peer = other._peers.get(self._key.public_key)
        assert peer is not None, "it was admitted"
        # The simulated context names a connection as its session.
        peer.sessions[session] = session
        channel = cast("Any", SimulatedChannel(self.machine, other._server))
        link = Link(other._endpoint(), other._identity(), channel, session)
        dialled = self._peers.attach(link, outbound=True)
        self._owner.start(self._consensus.converse(dialled, link), "exchange")

    def start(self, status_interval_s: float) -> None:
        """Begin to vote, and to follow the peers.

        Args:
            status_interval_s: The pause between two messages with its height, in seconds.
        """
        self._agreement.start(self._consensus)
        self._owner.start(self._consensus.run(status_interval_s), "consensus")
        self._owner.start(self._catch_up.run(), "sync")

    def on_failure(self, listener: Callable[[str, BaseException, bool], None]) -> None:
        """Register a listener for tasks that fail.

        Args:
            listener: Called with the task's name, its exception, and whether it is vital.
        """
        self._owner.on_failure(listener)

    async def stop(self) -> None:
        """Stop all tasks, and close the database."""
        self._agreement.stop()
        await self._owner.stop()
        self._store.close()

    def _endpoint(self) -> Endpoint:
        number = self.machine.number
        return Endpoint(f"10.{number // 62_500 % 250}.{number // 250 % 250}.{number % 250}", _PORT)

    def _identity(self) -> Identity:
        return Identity(self._key.public_key, _AGENT, self._endpoint(), self.chain.height())

    def _make_server(self) -> SimulatedServer:
        server = SimulatedServer(self.machine)
        server.add_generic_rpc_handlers((self._consensus.handlers(),))
        grpc_server = cast("Any", server)
        add_TransactionRelayServiceServicer_to_server(
            TransactionRelayServicer(self._relay, self._peers), grpc_server
        )
        snapshots = SnapshotServer(self._store, None)
        add_BlockGossipServiceServicer_to_server(
            BlockGossipServicer(self.chain, self._peers, snapshots), grpc_server
        )
        return server
