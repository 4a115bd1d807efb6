"""A node that mines alone, a coordinator and clients, all in this process on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedcoin.application.client.trainer import Trainer
from fedcoin.application.configuration.config_sources import assemble
from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.configuration.genesis_file import write_genesis
from fedcoin.application.configuration.home import Home
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.coordinator.initial_artifacts import InitialArtifacts, create_campaign
from fedcoin.application.node.node import Node, open_node
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.updates import sign_update
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.datasets import load_evaluation_set
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate
from tests.support.handing_in import hand_in_update
from tests.support.small_models import mlp_spec, random_weights

CHAIN_ID = "training"
FUNDS = 10**12
MINER = KeyPair.from_seed(b"m" * 32)
SILENT = KeyPair.from_seed(b"silent" + bytes(26))
SERVER = KeyPair.from_seed(b"s" * 32)

QUICK: dict[str, object] = {
    "coordinator.listen": "127.0.0.1:0",
    "coordinator.rounds": 2,
    "coordinator.clients": 2,
    "coordinator.epochs": 2,
    "coordinator.join_seconds": 60,
    "coordinator.round_seconds": 60,
    "coordinator.commit_seconds": 20,
    "coordinator.reveal_seconds": 10,
    "coordinator.receipt_seconds": 0,
}

SPEC = mlp_spec((8, 8), (16,), 10)


def materials() -> InitialArtifacts:
    """Return a small model on the digits, made without TensorFlow."""
    weights = random_weights(SPEC, 1)
    return InitialArtifacts(
        model=SPEC.SerializeToString(deterministic=True),
        weights=encode_tensors(weights),
        evaluation=load_evaluation_set("digits", num_shards=1, scale=16),
    )


def settings(**changes: object) -> CoordinatorConfig:
    """Return settings for short rounds, with changes."""
    given = {**QUICK, **{f"coordinator.{name}": value for name, value in changes.items()}}
    return assemble(given).coordinator


def client_key(number: int) -> KeyPair:
    return KeyPair.from_seed(b"client" + bytes([number]) * 26)


def node_home(root: Path, *, silent_bond: int = 0, **parameters: int) -> Home:
    """Create a home whose key is the network's only miner; the server has coins.

    With `silent_bond` there is another one, of which no node runs.
    """
    home = Home(root)
    home.add_key("node", MINER)
    genesis = write_genesis(
        CHAIN_ID,
        unix_ms() - 1000,
        balances={SERVER.address: FUNDS, MINER.address: FUNDS},
        bonds={
            MINER.public_key: 10**10,
            **({SILENT.public_key: silent_bond} if silent_bond else {}),
        },
        parameters={"propose_timeout_ms": 300, "vote_timeout_ms": 200, **parameters},
    )
    loopback = {"peers.listen": "127.0.0.1:0", "api.listen": "127.0.0.1:0"}
    home.write(genesis, {**loopback, "miner.enabled": True})
    return home


@dataclass
class TrainingSite:
    """A running node, a client of its API, and the lines that coordinator and clients reported."""

    root: Path
    node: Node
    client: NodeClient
    lines: list[str] = field(default_factory=list)

    @property
    def chain(self) -> ChainIdentity:
        return self.node.chain.genesis.identity

    @property
    def state_path(self) -> Path:
        return self.root / "coordinator.json"

    def node_home(self) -> Home:
        """The node's home, which a coordinator may share."""
        return Home(self.root / "node")

    def store(self) -> ArtifactStore:
        return ArtifactStore(self.root / "server", 1 << 30)

    def coordinator(
        self, config: CoordinatorConfig, key: KeyPair = SERVER, **more: Any
    ) -> Coordinator:
        """Make a coordinator whose state is kept in the site; it is not started."""
        given = {
            "report": self.lines.append,
            "node": self.client,
            "chain": self.chain,
            **more,
        }
        return Coordinator(config, key, store=self.store(), state_path=self.state_path, **given)

    async def prepared(self, config: CoordinatorConfig, **more: Any) -> Coordinator:
        """Make a coordinator of a small model, so that only training needs TensorFlow."""
        campaign = create_campaign(config, self.chain, self.store(), materials())
        await CampaignFile(self.state_path).save(campaign)
        return self.coordinator(config, **more)

    def trainer(self, target: str, number: int, clients: int = 2, **data: Any) -> Trainer:
        """Make client `number` with its share of the digits."""
        held = ClientData("digits", num_clients=clients, index=number, scale=16, **data)
        return Trainer(
            target, client_key(number), held, self.chain.genesis_hash, report=self.lines.append
        )

    def riders(self, target: str, count: int = 2) -> list[Trainer]:
        """Make clients that return the base weights and need no TensorFlow."""
        return [self.trainer(target, n, count, is_free_rider=True) for n in range(count)]


@asynccontextmanager
async def site(root: Path, artifact_bytes: int = 1 << 29) -> AsyncIterator[TrainingSite]:
    """Run a network of one miner while inside; its node stores artifacts up to a size."""
    home = node_home(root / "node")
    config = home.config({"FEDCOIN_LIMITS_ARTIFACT_BYTES": str(artifact_bytes)})
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(open_node(config, home, asyncio.Event()))
        client = await stack.enter_async_context(NodeClient(node.api.address))
        yield TrainingSite(root, node, client)


@asynccontextmanager
async def started(coordinator: Coordinator) -> AsyncIterator[Coordinator]:
    """Run a coordinator while inside."""
    await coordinator.start()
    try:
        yield coordinator
    finally:
        await coordinator.stop()


@asynccontextmanager
async def running(*trainers: Trainer) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Run clients while inside; yields their tasks."""
    tasks = [asyncio.create_task(trainer.run()) for trainer in trainers]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for trainer in trainers:
            await trainer.stop()


def signed(coordinator: Coordinator, number: int, artifact: bytes, **changes: Any) -> SignedUpdate:
    """Sign client `number`'s update for the present round, with changes."""
    campaign, key = coordinator.campaign, client_key(number)
    fields = {
        "campaign_id": campaign.campaign_id,
        "round": campaign.round,
        "base": campaign.base,
        "update": artifact,
        "num_samples": 10 + number,
        "address": key.address,
    }
    return sign_update(ClientUpdate(**{**fields, **changes}), key, campaign.genesis_hash)


def trained(number: int) -> bytes:
    """Return random weights in place of a client's trained ones."""
    return encode_tensors(random_weights(SPEC, 10 + number))


async def hand_in(coordinator: Coordinator, *numbers: int) -> None:
    """Register these clients and submit an update of each for the present round."""
    async with FederatedClient(coordinator.address) as client:
        for number in numbers:
            await client.register(client_key(number), coordinator.campaign.genesis_hash, unix_ms())
            weights = trained(number)
            update = signed(coordinator, number, compute_artifact_id(weights))
            await hand_in_update(client, update, weights)
