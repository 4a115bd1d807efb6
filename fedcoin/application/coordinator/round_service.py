"""The coordinator's service for clients: register, watch the rounds, submit updates.

The campaign's state is on the disk before a client gets the reply that depends on it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from fedcoin.application.coordinator.campaign import Campaign
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.round_events import ROUND_PHASES, RoundEventLog
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock
from fedcoin.data.crypto.addresses import derive_address, format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_names import describe_client
from fedcoin.data.messages.updates import Update
from fedcoin.data.plurals import format_count
from fedcoin.learning.model.artifact_checks.evaluation_set_checks import sample_input_range
from fedcoin.network.artifacts.artifact_admission import ArtifactAdmission
from fedcoin.network.artifacts.client_admission import ClientArtifacts
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.artifacts.upload_servicer import ArtifactUploadServicer
from fedcoin.network.background_tasks import run_within
from fedcoin.network.federated.servicer import SERVICE, FederatedLearningServicer
from fedcoin.network.listener import Service
from fedcoin.v1 import (
    artifact_service_pb2_grpc,
    artifact_upload_service_pb2_grpc,
    federated_learning_service_pb2_grpc,
    task_pb2,
)
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.task_pb2 import SignedReceipt

CheckWeights = Callable[[bytes], Awaitable[None]]
"""Takes the artifact id of an update's weights, 32 bytes; raises a RefusalError when they are not
the model's, with HARMFUL_UPDATE when they ruin the round's base model."""

MAX_HARMFUL_UPDATES: Final = 3
"""How many updates of a client may be refused as harmful in a round. Each costs evaluations, and
the round waits for the client until then."""

MAX_REFUSED: Final = 1_000
"""How many clients that may not join are reported."""

SignReceipt = Callable[[Update], SignedReceipt]
"""Signs the server's receipt for an update that was accepted."""


class RoundService:
    """The campaign behind the coordinator's gRPC service. Use it on one event loop.

    Implements `fedcoin.network.federated.servicer.RoundsPort`.

    Args:
        campaign: The campaign; its clients and updates are changed here.
        file: Where its state is saved.
        store: Where clients upload weights.
        check_weights: Checks the weights of an update, and what they do to the model.
        plan: How clients train, as they are told when they register.
        sign: Signs the receipts for accepted updates.
        report: Takes one line of text for each event worth logging.
        utility: What models are measured by, a value of the enum `Utility`.
        proof_server: The key that clients' proofs must name, 32 bytes; empty unless the campaign is
            private.
    """

    def __init__(
        self,
        campaign: Campaign,
        file: CampaignFile,
        store: ArtifactStore,
        check_weights: CheckWeights,
        plan: pb.TrainingPlan,
        sign: SignReceipt,
        report: Callable[[str], None],
        utility: task_pb2.Utility.ValueType,
        proof_server: bytes = b"",
    ) -> None:
        self._campaign = campaign
        self._file = file
        self._store = store
        self._check_weights = check_weights
        self._plan = plan
        self._sign = sign
        self._report = report
        self._utility = utility
        self._proof_server = proof_server
        self._change = asyncio.Event()
        self._refused: set[bytes] = set()
        self._harmful: Counter[tuple[int, bytes]] = Counter()
        # One check for each client at a time: many would take the worker from the others.
        self._checking: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)
        # Of the shard that is evaluated first, since reading all shards would take long.
        self._input_range = sample_input_range(store.path(campaign.shard.artifact))
        self.events = RoundEventLog()
        self.events.begin(campaign)

    @property
    def genesis_hash(self) -> bytes:
        """The genesis hash of the network for which messages are signed, 32 bytes."""
        return self._campaign.genesis_hash

    async def wait_for_change(self, seconds: float) -> None:
        """Wait until a client registers or submits an update.

        Args:
            seconds: How long to wait at most, in seconds.
        """
        self._change.clear()
        try:
            await run_within(max(0.0, seconds), self._change.wait())
        except asyncio.TimeoutError:
            return

    async def register(self, public_key: bytes) -> pb.RegisterResponse:
        """Implement `RoundsPort.register`: let a client join the campaign."""
        campaign = self._campaign
        num_before = len(campaign.clients)
        try:
            address = campaign.register(public_key)
        except RefusalError as refusal:
            self._report_refusal(public_key, refusal)
            raise
        # Counted before the save, during which other clients may register.
        num_clients = len(campaign.clients)
        await self._file.save(campaign)
        if num_clients > num_before:
            total = format_count(num_clients, "client")
            self._report(f"{format_address(address)} joined; the campaign has {total}")
        self._change.set()
        return pb.RegisterResponse(
            chain_id=campaign.chain_id,
            campaign_id=campaign.campaign_id,
            model=campaign.model,
            rounds=campaign.rounds,
            plan=self._plan,
        )

    def _report_refusal(self, public_key: bytes, refusal: RefusalError) -> None:
        """Report once for each client that it may not join; clients try again and again."""
        if public_key in self._refused or len(self._refused) >= MAX_REFUSED:
            return
        self._refused.add(public_key)
        address = format_address(derive_address(public_key))
        self._report(f"{address} may not join: {refusal.message} [{refusal.code.value}]")
        if len(self._refused) == MAX_REFUSED:
            self._report(f"{MAX_REFUSED} clients were refused; others are not reported")

    def watch(self, address: bytes) -> AsyncIterator[pb.WatchRoundsResponse]:
        """Implement `RoundsPort.watch`: follow the rounds for one client."""
        self._campaign.check_registered(address)
        return self.events.follow(address)

    async def announce(self, update: Update) -> int:
        """Implement `RoundsPort.announce`: register an update before its weights come."""
        campaign = self._campaign
        is_known = campaign.announced.get(update.address) == update
        position = campaign.announce(update)
        if not is_known:
            await self._file.save(campaign)
        return position

    async def submit(self, update: Update) -> SignedReceipt:
        """Implement `RoundsPort.submit`: accept a client's trained update, and sign its receipt.

        Refuses with the codes of `Campaign.check_update`, with WEIGHTS_MISSING, with HARMFUL_UPDATE
        and with the codes of `job_checks.check_update_file`.
        """
        # Refused before it waits, when its client is not registered.
        self._campaign.check_update(update)
        async with self._checking[update.address]:
            return await self._submit(update)

    async def _submit(self, update: Update) -> SignedReceipt:
        campaign = self._campaign
        if not campaign.check_update(update):
            return self._sign(update)
        if not self._store.has(update.update):
            raise RefusalError(
                ApplicationCode.WEIGHTS_MISSING,
                f"the weights {update.update.hex()} are not on this coordinator; upload them first",
                field="update.update",
            )
        await self._check(update)
        # During the check the round may have ended, or the same update been submitted again.
        if not campaign.check_update(update):
            return self._sign(update)
        campaign.accept_update(update)
        progress = f"{len(campaign.updates)} of {len(campaign.clients)}"
        await self._file.save(campaign)
        client = describe_client(update.address, update.name)
        self._report(
            f"round {update.round}: {client} submitted its update, trained "
            f"on {format_count(update.num_samples, 'example')}; {progress}"
        )
        self._change.set()
        return self._sign(update)

    async def _check(self, update: Update) -> None:
        """Check an update's weights; refuses without a look once too many were harmful."""
        tried = (update.round, update.address)
        if self._harmful[tried] >= MAX_HARMFUL_UPDATES:
            raise RefusalError(
                ApplicationCode.HARMFUL_UPDATE,
                f"{MAX_HARMFUL_UPDATES} updates of this client were too harmful in round"
                f" {update.round}: go on with the next round",
                field="update.update",
                limit=str(MAX_HARMFUL_UPDATES),
            )
        try:
            await self._check_weights(update.update)
        except RefusalError as refusal:
            if refusal.code is ApplicationCode.HARMFUL_UPDATE:
                self._harmful[tried] += 1
                client = describe_client(update.address, update.name)
                self._report(f"round {update.round}: refused {client}: {refusal.message}")
                self._change.set()
            raise

    def refused_clients(self) -> frozenset[bytes]:
        """List the clients that the present round does not wait for, as their updates are harmful.

        Returns:
            Their addresses, 20 bytes each.
        """
        number = self._campaign.round
        return frozenset(
            address
            for (refused_in, address), count in self._harmful.items()
            if refused_in == number and count >= MAX_HARMFUL_UPDATES
        )

    def check_upload(self, artifact: bytes) -> None:
        """Check that weights may be uploaded; see `Campaign.check_upload`.

        Args:
            artifact: Their artifact id, 32 bytes.

        Raises:
            RefusalError: NOT_ANNOUNCED when no announced update has these weights.
        """
        self._campaign.check_upload(artifact)

    def status(self) -> pb.GetCampaignStatusResponse:
        """Implement `RoundsPort.status`: report round, phase, clients and utilities."""
        campaign = self._campaign
        return pb.GetCampaignStatusResponse(
            chain_id=campaign.chain_id,
            genesis_hash=campaign.genesis_hash.hex(),
            campaign_id=campaign.campaign_id,
            phase=ROUND_PHASES[campaign.phase],
            round=campaign.round,
            rounds=campaign.rounds,
            clients=[format_address(address) for address in campaign.clients],
            utilities=[record.utility for record in campaign.history],
            evaluation_size=campaign.shard.size,
            model=campaign.model,
            input_low=self._input_range[0],
            input_high=self._input_range[1],
            utility=self._utility,
            proof_server=self._proof_server,
        )

    def present_artifacts(self) -> ClientArtifacts:
        """Tell what clients may fetch at present, if the campaign is private.

        Returns:
            Campaign, listed clients and the artifacts that they train from.
        """
        campaign = self._campaign
        return ClientArtifacts(
            campaign_id=campaign.campaign_id,
            clients={client.address for client in campaign.listed},
            artifacts={campaign.model, campaign.frozen, campaign.base},
        )


def coordinator_services(
    rounds: RoundService,
    store: ArtifactStore,
    clock_ms: Clock,
    admission: ArtifactAdmission | None = None,
) -> list[Service]:
    """List the gRPC services of a coordinator's listener: rounds, uploads and downloads.

    Args:
        rounds: The rounds of the campaign, which clients take part in.
        store: The artifacts that clients download, and where their uploads go.
        clock_ms: The coordinator's clock, against which registrations are checked.
        admission: Decides who may download what; None lets everybody download all.

    Returns:
        The gRPC services.
    """
    learning = FederatedLearningServicer(rounds, clock_ms)
    artifacts = ArtifactServicer(store, admission)
    uploads = ArtifactUploadServicer(store, rounds.check_upload, admission)
    add_learning = (
        federated_learning_service_pb2_grpc.add_FederatedLearningServiceServicer_to_server
    )
    add_artifacts = artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server
    add_uploads = artifact_upload_service_pb2_grpc.add_ArtifactUploadServiceServicer_to_server
    return [
        Service(SERVICE, lambda server: add_learning(learning, server)),
        Service("fedcoin.v1.ArtifactService", lambda server: add_artifacts(artifacts, server)),
        Service("fedcoin.v1.ArtifactUploadService", lambda server: add_uploads(uploads, server)),
    ]
