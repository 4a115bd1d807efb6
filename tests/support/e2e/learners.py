"""Coordinator processes on a campaign prepared without TensorFlow, and clients for them.

`Learner` is a second implementation of a client, independent of the program's own: it joins, trains
with NumPy, signs, submits, and reconnects when it loses the coordinator.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fedcoin.application.client.round_payments import LATE_CODES
from fedcoin.application.configuration.config_sources import assemble
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.initial_artifacts import create_campaign
from fedcoin.application.coordinator.runner import open_coordinator_store
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.updates import sign_update
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.renewed_channel import Credentials
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate
from tests.support.e2e.materials import id_of, materials, update_of
from tests.support.e2e.network import SERVER, Network, Node
from tests.support.handing_in import hand_in_update
from tests.support.keys import key_of
from tests.support.ports import reserve_addresses
from tests.support.programs import Program
from tests.support.waiting import WAIT_SECONDS, until

AGAIN_SECONDS = 0.1

QUICK: dict[str, object] = {
    "coordinator.epochs": 1,
    "coordinator.join_seconds": 60,
    "coordinator.round_seconds": 60,
    "coordinator.commit_seconds": 20,
    "coordinator.reveal_seconds": 10,
}


@dataclass(frozen=True)
class CoordinatorProcess:
    """A campaign's coordinator: its home, its process, and its address."""

    home: Home
    address: str
    program: Program
    chain: ChainIdentity
    credentials: Credentials | None = None
    """TLS of those who dial it; None for plaintext."""

    def client(self) -> FederatedClient:
        """Return a new client; it belongs to the running event loop."""
        return FederatedClient(self.address, credentials=self.credentials)

    def state(self) -> dict[str, Any]:
        """Return the campaign's state from the coordinator's file."""
        found: dict[str, Any] = json.loads(self.home.coordinator_path.read_text())
        return found

    async def start(self) -> None:
        """Start the process, and wait until clients can join."""
        self.program.start()
        await self.ready()

    async def ready(self, seconds: float = WAIT_SECONDS) -> None:
        async with self.client() as client:
            await client.wait_until_serving(seconds)

    async def reached(self, phase: int, number: int) -> pb.GetCampaignStatusResponse:
        """Wait until a round is in a phase; returns the campaign's status."""
        async with self.client() as client:

            async def there() -> pb.GetCampaignStatusResponse | None:
                status = await client.get_campaign_status()
                return status if (status.phase, status.round) == (phase, number) else None

            found = await until(there, f"round {number} is in phase {phase}")
        assert found is not None
        return found


def settings_of(address: str, chosen: Mapping[str, object]) -> dict[str, object]:
    """Return settings for short rounds at this address, with changes."""
    given = {f"coordinator.{setting}": value for setting, value in chosen.items()}
    return {**QUICK, "coordinator.listen": address, **given}


async def prepare(
    network: Network, home: Home, settings: Mapping[str, object], store: ArtifactStore
) -> None:
    """Write a campaign of a small model on the digits, as a coordinator writes it at its start."""
    config = assemble(settings).coordinator
    campaign = create_campaign(config, network.chain, store, materials(config.evaluation_shards))
    await CampaignFile(home.coordinator_path).save(campaign)


async def prepared(
    network: Network, name: str = "coordinator", **chosen: object
) -> CoordinatorProcess:
    """Prepare a coordinator that uses the first node; it is not started."""
    home = Home(network.stage.root / name)
    home.add_key(NODE_KEY, SERVER)
    (address,) = reserve_addresses(1)
    settings = settings_of(address, chosen)
    home.write(network.raw_genesis, settings)
    home.campaign_path.mkdir()
    await prepare(network, home, settings, open_coordinator_store(assemble(settings), home))
    node = network.nodes[0].api
    program = network.stage.program(
        name, "train", "server", "--home", home.root, "--node", node, "--json"
    )
    return CoordinatorProcess(home, address, program, network.chain)


async def prepared_within(network: Network, node: Node, **chosen: object) -> CoordinatorProcess:
    """Prepare a coordinator inside a node's process, which is not started."""
    (address,) = reserve_addresses(1)
    settings = settings_of(address, chosen)
    await prepare(network, node.home, settings, ArtifactStore(node.home.artifacts_path, 1 << 30))
    node.program.also("--coordinate", *(f"--set={name}={v}" for name, v in settings.items()))
    return CoordinatorProcess(node.home, address, node.program, network.chain)


@dataclass
class Learner:
    """Client `index` of `clients`, with its share of the digits."""

    coordinator: CoordinatorProcess
    index: int
    clients: int
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """The client submits its update only while this is set."""
    paid: dict[int, int] = field(default_factory=dict)
    """Payout of each round, in sap."""

    def __post_init__(self) -> None:
        self.hold.set()

    @property
    def key(self) -> KeyPair:
        return key_of(f"learner {self.index}")

    async def run(self) -> None:
        """Take part until the campaign is finished."""
        while True:
            try:
                async with self.coordinator.client() as client:
                    await self.join(client)
                    await self._take_part(client)
                    return
            except RpcError as failure:
                if not failure.is_lost and failure.code not in ("CANCELLED", "UNKNOWN"):
                    raise
            await asyncio.sleep(AGAIN_SECONDS)

    async def join(self, client: FederatedClient) -> None:
        """Register with the coordinator."""
        await client.register(self.key, self.coordinator.chain.genesis_hash, unix_ms())

    async def _take_part(self, client: FederatedClient) -> None:
        done = 0
        async for change in client.watch_rounds(self.key.address):
            if change.phase == pb.ROUND_PHASE_SETTLED:
                self.paid[change.round] = change.payout
            elif change.phase == pb.ROUND_PHASE_FINISHED:
                return
            elif change.phase == pb.ROUND_PHASE_TRAINING and change.round > done:
                await self.hold.wait()
                await self._hand_in(client, change)
                done = change.round

    async def _hand_in(self, client: FederatedClient, change: pb.WatchRoundsResponse) -> None:
        try:
            await hand_in_update(client, *await self.make(client, change))
        except RpcError as failure:
            # The coordinator may have stored the update before it was killed, or the round may be
            # over.
            if failure.code not in LATE_CODES:
                raise

    async def make(
        self, client: FederatedClient, change: pb.WatchRoundsResponse
    ) -> tuple[SignedUpdate, bytes]:
        """Train and sign the update; returns it and the weights."""
        base = await client.download_artifact(change.base)
        weights, samples = await asyncio.to_thread(update_of, base, self.clients, self.index)
        update = ClientUpdate(
            campaign_id=change.campaign_id,
            round=change.round,
            base=change.base,
            update=id_of(weights),
            num_samples=samples,
            address=self.key.address,
        )
        signed = sign_update(update, self.key, self.coordinator.chain.genesis_hash)
        return signed, weights


@asynccontextmanager
async def learning(*learners: Learner) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run these clients while inside; yields their tasks."""
    tasks = [asyncio.create_task(learner.run()) for learner in learners]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
