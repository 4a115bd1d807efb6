"""Networks of real node processes on free ports, and checks that hold for all their nodes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import Message

from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.node.voting.vote_signer import KEPT_HEIGHTS
from fedcoin.application.verification.replay import Replay, replay
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.genesis import parse_genesis
from fedcoin.data.messages.votes import decode_vote
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.data.storage.snapshot_files import SnapshotFolder
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.node_service_pb2 import GetStatusResponse
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput
from fedcoin.v1.views_pb2 import TransactionView
from fedcoin.v1.vote_pb2 import Certificate
from tests.support.keys import ALICE, BOB, key_of
from tests.support.ports import reserve_addresses
from tests.support.programs import Program, Stage
from tests.support.waiting import WAIT_SECONDS, until

CHAIN_ID = "fedcoin-e2e"
FDC = SAP_PER_FDC
BOND = 1_000 * FDC
FUNDS = 1_000_000 * FDC
HOUR_MS = 3_600_000

QUIET = {"max_block_interval_ms": HOUR_MS}
"""Makes no empty blocks, so that a height grows only for a transaction."""

IDLE_MINER = {"miner.warm": False}
"""Settings of nodes without tasks: their worker processes are not started, which saves time."""

BRISK = {**QUIET, "propose_timeout_ms": 500, "vote_timeout_ms": 250}
"""Short timeouts, so that blocks do not wait long for a validator that is down."""


SERVER = key_of("server")


@dataclass(frozen=True)
class Node:
    """One node: its home, its key, its addresses, and its process."""

    home: Home
    key: KeyPair
    peers: str
    api: str
    program: Program

    @property
    def name(self) -> str:
        return self.program.name

    def client(self) -> NodeClient:
        """Return a new client; it belongs to the running event loop."""
        return NodeClient(self.api)

    async def start(self) -> None:
        """Start the process, and wait until it serves."""
        self.program.start()
        await self.ready()

    async def ready(self) -> None:
        async with self.client() as client:
            try:
                await client.wait_until_serving(WAIT_SECONDS)
            except RpcError as failure:
                raise AssertionError(f"{failure}\n{self.program.said()[-2000:]}") from None

    async def status(self) -> GetStatusResponse:
        async with self.client() as client:
            return await client.get_status()

    async def caught_up(self, height: int) -> None:
        """Wait until the node has this block."""
        async with self.client() as client:

            async def there() -> bool:
                try:
                    return (await client.get_status()).height >= height
                except RpcError:
                    return False

            await until(there, f"{self.name} has block {height}")


class Network:
    """Validators `miner-1`, `miner-2`, ... with bonds; Alice, Bob and the server have coins."""

    def __init__(
        self,
        stage: Stage,
        bonds: Sequence[int],
        parameters: Mapping[str, int] | None = None,
        *,
        more_bonds: Mapping[KeyPair, int] | None = None,
        chain_id: str = CHAIN_ID,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.stage = stage
        self._settings = dict(settings or {})
        names = [f"miner-{number}" for number in range(1, len(bonds) + 1)]
        keys = [key_of(name) for name in names]
        others = dict(more_bonds or {})
        self.bonds = {
            **{key.public_key: bond for key, bond in zip(keys, bonds, strict=True)},
            **{key.public_key: bond for key, bond in others.items()},
        }
        rich = [ALICE, BOB, SERVER, *keys, *others]
        self.raw_genesis = write_genesis(
            chain_id,
            unix_ms() - 1_000,
            balances={key.address: FUNDS for key in rich},
            bonds=self.bonds,
            parameters={"min_bond": FDC, **(QUIET if parameters is None else parameters)},
        )
        self.chain = parse_genesis(self.raw_genesis).identity
        self.supply = FUNDS * len(rich) + sum(self.bonds.values())
        self.nodes: list[Node] = []
        for name, key in zip(names, keys, strict=True):
            self.add(name, key, "--mine")

    def add(self, name: str, key: KeyPair, *arguments: object) -> Node:
        """Add a node whose seeds are all the nodes before it."""
        home = Home(self.stage.root / name)
        peers, api = reserve_addresses(2)
        home.add_key(NODE_KEY, key, is_unused=True)
        settings = {
            # Several nodes share the cores, and each worker takes half a second to start.
            "miner.processes": 1,
            **self._settings,
            "peers.listen": peers,
            "peers.seeds": [f"{node.key.public_key.hex()}@{node.peers}" for node in self.nodes],
            "api.listen": api,
        }
        home.write(self.raw_genesis, settings)
        program = self.stage.program(name, "start", "--home", home.root, *arguments)
        node = Node(home, key, peers, api, program)
        self.nodes.append(node)
        return node

    async def start(self, *, seconds: float = WAIT_SECONDS) -> None:
        """Start all nodes that do not run, and wait until they serve and are connected to each
        other.
        """
        for node in self.nodes:
            if not node.program.running:
                node.program.start()
        await asyncio.gather(*(node.ready() for node in self.nodes))
        await until(self._acquainted, "all nodes know each other", seconds=seconds)

    async def _acquainted(self) -> bool:
        statuses = await asyncio.gather(*(node.status() for node in self.nodes))
        return all(status.peers >= len(self.nodes) - 1 for status in statuses)

    async def wait_for_one_state(self, *, seconds: float = WAIT_SECONDS) -> GetStatusResponse:
        """Wait until all nodes have the same state; checks the supply, and returns the status."""
        async with self.clients() as clients:

            async def same() -> GetStatusResponse | None:
                statuses = await asyncio.gather(*(client.get_status() for client in clients))
                states = {(status.height, status.app_hash) for status in statuses}
                idle = not any(status.pending_transactions for status in statuses)
                return statuses[0] if len(states) == 1 and idle else None

            status = await until(same, "all nodes hold the same state", seconds=seconds)
        assert status is not None
        assert status.supply == status.counted_supply == self.supply
        return status

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[list[NodeClient]]:
        """Open one client for each node."""
        async with AsyncExitStack() as stack:
            yield [await stack.enter_async_context(node.client()) for node in self.nodes]

    def finish(self) -> Replay:
        """Stop all nodes, and check each chain and each validator's stored votes."""
        for node in self.nodes:
            if node.program.running:
                node.program.stop()
        found = [self._audit(node) for node in self.nodes]
        assert len({(one.height, one.app_hash) for one in found}) == 1
        assert found[0].supply == self.supply
        return found[0]

    def _audit(self, node: Node) -> Replay:
        genesis, folder = node.home.genesis(), SnapshotFolder(node.home.snapshots_path)
        with ChainStore.open(node.home.chain_path, genesis) as store:
            found = replay(store, genesis, lambda height: None, folder)
            check_word(store, node, genesis.hash, found.height)
        return found


def check_word(store: ChainStore, node: Node, genesis_hash: bytes, height: int) -> None:
    """Check that a validator stored one vote for each round and kind, as in certificates."""
    # The next height is voted on, and may have had older votes pruned.
    for at in range(max(store.base_height(), height - KEPT_HEIGHTS) + 1, height + 1):
        own = store.votes.list_at(at)
        said = Counter((vote.kind, vote.round) for vote in own)
        assert all(count == 1 for count in said.values()), (node.name, at, said)
        kept = {vote.round: vote.block_hash for vote in own if vote.kind == "precommit"}
        stored = store.block(at)
        assert stored is not None
        for envelope in Certificate.FromString(stored.certificate).precommits:
            if envelope.public_key == node.key.public_key:
                vote = decode_vote(envelope, genesis_hash)
                assert kept[vote.round] == vote.block_hash


@contextmanager
def serving(
    folder: Path, bonds: Sequence[int] = (BOND,), parameters: Mapping[str, int] | None = None
) -> Iterator[Network]:
    """Run a network while inside; checks it on leaving."""
    with Stage(folder) as stage:
        network = Network(stage, bonds, parameters)
        asyncio.run(network.start())
        yield network
        network.finish()


async def pay(
    client: NodeClient, sender: KeyPair, recipient: bytes, amount: int, *, seconds: float = 30.0
) -> TransactionView:
    """Transfer coins, and wait until the transfer is final."""
    output = TransferOutput(recipient=recipient, amount=amount)
    return await act(client, sender, Transfer(outputs=[output]), seconds=seconds)


async def wallet_on(client: NodeClient, key: KeyPair) -> Wallet:
    """Open a wallet that signs for the network which a node names."""
    status = await client.get_status()
    return Wallet(client, key, ChainIdentity(status.chain_id, bytes.fromhex(status.genesis_hash)))


async def act(
    client: NodeClient, sender: KeyPair, action: Message, *, seconds: float = 30.0
) -> TransactionView:
    """Execute an action, and wait until it is final."""
    return await (await wallet_on(client, sender)).execute(action, seconds)
