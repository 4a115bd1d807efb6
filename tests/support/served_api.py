"""A live API over a real chain: real store, ledger, mempool and artifacts, and fake peers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

from fedcoin.contract.blocks.execution import Execution
from fedcoin.contract.blocks.ledger import Ledger
from fedcoin.contract.pending.mempool import Mempool
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.blocks import Block
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.messages.transactions import Transaction, decode_transaction
from fedcoin.data.messages.votes import VerifiedVotes
from fedcoin.data.storage.block_tables import StoredBlock
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.api.api_server import ApiServer
from fedcoin.network.api.backend import ApiBackend, OwnVotes
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.client.admin_client import AdminClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.errors import NetworkCode
from fedcoin.network.ports.peers_port import PeerInfo, SyncProgress
from fedcoin.network.ports.transaction_port import FeeRates
from tests.support.keys import MINERS, key_of
from tests.support.ledger_chain import LedgerChain
from tests.support.ports import reserved_address

NODE = MINERS[0]

TLS_EXPIRY_MS = 1_800_000_000_000
"""When the served node's certificate expires, in Unix ms."""


class GrowingChain(LedgerChain):
    """A `LedgerChain` that tells its listeners about each new block."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.listeners: list[Callable[[Sequence[Transaction]], None]] = []

    def add(self, block: Block, certificate: bytes, *, round: int = 0) -> Execution:
        execution = super().add(block, certificate, round=round)
        applied = [self.decoded(raw) for raw in block.transactions]
        for listener in self.listeners:
            listener(applied)
        return execution

    def decoded(self, raw: bytes) -> Transaction:
        return decode_transaction(raw, self.genesis.identity)


class ChainPort:
    """The chain that the API's services use, over a `GrowingChain`."""

    def __init__(self, mini: GrowingChain) -> None:
        assert mini.store is not None
        self.catching_up = False
        self.verified_votes = VerifiedVotes()
        self.mini = mini
        self.genesis: Genesis = mini.genesis
        self.ledger: Ledger = mini.ledger
        self.store: ChainStore = mini.store
        self.num_waiting = 0
        """The number of callers that wait for a block."""
        self._grown = asyncio.Event()
        mini.listeners.append(self._grew)

    def height(self) -> int:
        return self.mini.height

    def block(self, height: int) -> StoredBlock | None:
        return self.store.block(height)

    async def wait_above(self, height: int) -> int:
        self.num_waiting += 1
        try:
            while self.mini.height <= height:
                await self._grown.wait()
        finally:
            self.num_waiting -= 1
        return self.mini.height

    async def wait_until_caught_up(self) -> None:
        raise AssertionError("no service of the API waits for this")

    def _grew(self, applied: Sequence[Transaction]) -> None:
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()


Outcome = TypeVar("Outcome")


def outcome_of(action: Callable[[], Outcome]) -> Outcome | RefusalError:
    """Return what a function returns, or the refusal that it raises."""
    try:
        return action()
    except RefusalError as refusal:
        return refusal


class PoolPort:
    """The mempool that the API's services use."""

    def __init__(self, mini: GrowingChain) -> None:
        self.mini = mini
        self.pool = Mempool()
        self.submitted = 0
        self.next_block_rate = 0
        """What the next block asks for each KiB, in sap, at least."""
        self.last: tuple[int, list[bytes]] = (0, [])
        """The height of the last block, and the hashes of its transactions."""
        mini.listeners.append(self._grew)

    def decode(self, raw: bytes) -> Transaction:
        max_bytes = self.mini.genesis.parameters.max_transaction_bytes
        return decode_transaction(raw, self.mini.genesis.identity, max_bytes)

    async def decode_all(self, raws: Sequence[bytes]) -> list[Transaction | RefusalError]:
        return [outcome_of(partial(self.decode, raw)) for raw in raws]

    async def submit_all(self, transactions: Sequence[Transaction]) -> list[RefusalError | None]:
        outcomes = [outcome_of(partial(self.add_relayed, one)) for one in transactions]
        return [one if isinstance(one, RefusalError) else None for one in outcomes]

    async def submit(self, transaction: Transaction) -> None:
        self.add_relayed(transaction)

    def add_relayed(self, transaction: Transaction) -> bool:
        self.submitted += 1
        assert self.mini.store is not None
        if self.pool.get(transaction.hash) is None and (
            self.mini.store.index.find_transaction(transaction.hash) is None
        ):
            self.pool.add(transaction, self.mini.ledger, self.mini.height, self.mini.time_ms)
            return True
        return False

    def find(self, raw: bytes) -> Transaction | None:
        return self.pool.find(raw)

    def get(self, hash: bytes) -> Transaction | None:
        return self.pool.get(hash)

    def find_in_last_block(self, hash: bytes) -> tuple[int, int] | None:
        height, hashes = self.last
        return (height, hashes.index(hash)) if hash in hashes else None

    def pending(self) -> Sequence[Transaction]:
        return self.pool.pending()

    def fee_rates(self) -> FeeRates:
        max_bytes = self.mini.genesis.parameters.max_block_bytes
        next_block = max(self.next_block_rate, self.pool.next_block_fee_rate(max_bytes))
        return FeeRates(self.pool.min_fee_rate(), next_block, self.pool.num_bytes)

    def dropped_reason(self, hash: bytes) -> str | None:
        refusal = self.pool.dropped_reason(hash)
        return None if refusal is None else refusal.message

    def pending_nonce(self, address: bytes) -> int:
        return self.pool.pending_nonce(address, self.mini.ledger)

    def _grew(self, applied: Sequence[Transaction]) -> None:
        self.last = (self.mini.height, [one.hash for one in applied])
        self.pool.after_block(applied, self.mini.ledger, self.mini.height + 1, self.mini.time_ms)


@dataclass
class FakePeers:
    """Peers that only remember what an operator requested."""

    address: str = "127.0.0.1:7050"
    connected: dict[bytes, PeerInfo] = field(default_factory=dict)
    banned: dict[bytes, float] = field(default_factory=dict)
    banned_hosts: dict[str, float] = field(default_factory=dict)
    progress: SyncProgress | None = None

    def sync_progress(self) -> SyncProgress | None:
        return self.progress

    def peers(self) -> Sequence[PeerInfo]:
        return list(self.connected.values())

    async def add(self, address: str) -> bytes:
        if address.endswith(":1"):
            raise RefusalError(
                NetworkCode.PEER_UNREACHABLE, f"{address} does not answer", field="address"
            )
        node_key = key_of(address).public_key
        self.connected[node_key] = PeerInfo(node_key, address, True, 3, 0, "fedcoin/0.1.0")
        return node_key

    async def drop(self, node_key: bytes) -> None:
        if self.connected.pop(node_key, None) is None:
            raise RefusalError(
                NetworkCode.PEER_NOT_CONNECTED, f"{node_key.hex()} is no peer", field="node_key"
            )

    async def ban(self, node_key: bytes, seconds: float) -> None:
        self.connected.pop(node_key, None)
        self.banned[node_key] = seconds or 3600

    async def ban_host(self, host: str, seconds: float) -> None:
        self.banned_hosts[host] = seconds or 3600


@dataclass
class FakeNodeFacts:
    node_key: bytes = NODE.public_key
    address: bytes = NODE.address
    mining: bool = True
    start_ms: int = 812
    power: int = 5
    worker_sandbox: str = "bubblewrap"
    max_artifact_bytes: int = 1 << 20

    def connected_power(self) -> int:
        return self.power

    def clock_difference_ms(self) -> int | None:
        return -250

    def tls_expiry_ms(self) -> int:
        return TLS_EXPIRY_MS

    def own_votes(self) -> OwnVotes:
        return OwnVotes(last_height=7, last_ms=1_700_000_000_000, is_overdue=True)


@dataclass
class FakeOperator:
    level: int = 0
    stopped: bool = False
    draining: bool = False

    def set_log_level(self, level: int) -> None:
        self.level = level

    def drain(self) -> int:
        self.draining = True
        return 2

    def stop(self) -> None:
        self.stopped = True


@dataclass
class ServedApi:
    """A served chain and its clients."""

    chain: GrowingChain
    port: ChainPort
    pool: PoolPort
    peers: FakePeers
    operator: FakeOperator
    artifacts: ArtifactStore
    server: ApiServer
    node: NodeClient
    admin: AdminClient
    folder: Path


@asynccontextmanager
async def serve_api(
    folder: Path,
    *,
    listen: str = "",
    limits: CallLimits | None = None,
    validators: int = 2,
    tokens: Path | None = None,
    token: str = "",
) -> AsyncIterator[ServedApi]:
    """Serve a chain of `validators` without blocks; the client of `node` sends `token`.

    Where it listens is its own until the block ends: nobody else answers there after a stop.
    """
    os.makedirs(folder, exist_ok=True)
    chain = GrowingChain.create(validators, folder=folder, users=("alice", "bob", "carol"))
    assert isinstance(chain, GrowingChain)
    port, pool = ChainPort(chain), PoolPort(chain)
    peers, operator = FakePeers(), FakeOperator()
    artifacts = ArtifactStore(
        folder / "artifacts", max_bytes_total=1 << 26, max_artifact_bytes=1 << 24
    )
    backend = ApiBackend(port, pool, peers, artifacts, FakeNodeFacts(), operator)
    socket = folder / "admin.sock"
    with reserved_address() as reserved:
        listen = listen or reserved
        server = ApiServer(
            backend,
            listen=listen,
            admin=socket,
            limits=limits,
            tokens=tokens,
            backups=folder / "backups",
        )
        await server.start()
        await server.set_serving()
        try:
            async with (
                NodeClient(server.address, timeout=30, token=token) as node,
                AdminClient(f"unix:{socket}", timeout=30) as admin,
            ):
                yield ServedApi(
                    chain, port, pool, peers, operator, artifacts, server, node, admin, folder
                )
        finally:
            await server.stop(0)
            port.store.close()
