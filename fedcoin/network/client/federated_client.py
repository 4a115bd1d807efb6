"""The client of a coordinator: it joins a campaign, uploads weights and hands in updates."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

from fedcoin.data.crypto.hashing import SigningContext as Signing
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.client.artifact_client import ArtifactClient, Prove
from fedcoin.network.client.artifact_upload_client import ArtifactUploadClient
from fedcoin.network.client.channels import describe_target, open_channel
from fedcoin.network.client.grpc_client import DEFAULT_TIMEOUT_S, GrpcClient
from fedcoin.network.client.renewed_channel import Credentials
from fedcoin.network.federated.registration import registration_body
from fedcoin.v1 import artifact_service_pb2, artifact_upload_service_pb2
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.federated_learning_service_pb2_grpc import FederatedLearningServiceStub
from fedcoin.v1.task_pb2 import SignedReceipt, SignedUpdate

SERVICES = (
    pb.DESCRIPTOR.services_by_name["FederatedLearningService"],
    artifact_service_pb2.DESCRIPTOR.services_by_name["ArtifactService"],
    artifact_upload_service_pb2.DESCRIPTOR.services_by_name["ArtifactUploadService"],
)
"""The services whose idempotent calls are retried."""

CHECK_S = 60.0
"""The deadline of handing in an update, in seconds: the coordinator checks its weights first."""

MAX_DOWNLOAD_BYTES = 1 << 31
"""The longest artifact that is downloaded unless the caller allows more, in bytes."""


class FederatedClient(GrpcClient):
    """Every call of a coordinator. Use it as an async context manager, or `close` it.

    Every failure is an `RpcError` that names the coordinator.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        credentials: Credentials | None = None,
        proxy: str = "",
    ) -> None:
        """Prepare calls to a coordinator. Nothing is dialled before the first one.

        Args:
            target: `host:port`, `[v6]:port` or `unix:/path`.
            timeout: The deadline of a call with a single reply, in seconds.
            credentials: TLS, or None for plaintext. From a source of credentials, each new call
                uses those of now.
            proxy: The HTTP proxy for targets on the Internet, as `http://host:port`; empty for
                none.
        """
        channel = open_channel(
            target, credentials=credentials, retried_services=SERVICES, proxy=proxy
        )
        super().__init__(describe_target(target, proxy), channel, timeout=timeout)
        self._stub = FederatedLearningServiceStub(channel)
        self._artifacts = ArtifactClient(self)
        self.prove: Prove | None = None
        """Makes a proof for each download; the coordinator of a private campaign asks for one."""
        self._uploads = ArtifactUploadClient(self)

    async def get_campaign_status(self) -> pb.GetCampaignStatusResponse:
        """Ask for the campaign's round, phase, clients and accuracies so far.

        Returns:
            The campaign's status.

        Raises:
            RpcError: The call failed.
        """
        return await self.call(self._stub.GetCampaignStatus, pb.GetCampaignStatusRequest())

    async def register(
        self, key: KeyPair, genesis_hash: bytes, time_ms: int
    ) -> pb.RegisterResponse:
        """Join the campaign. A repeated call changes nothing.

        Args:
            key: The client's key, which signs the registration.
            genesis_hash: The genesis hash of the network that it is signed for, 32 bytes.
            time_ms: The time of the registration, Unix time in ms.

        Returns:
            The campaign's model and training plan.

        Raises:
            RpcError: CAMPAIGN_FINISHED after the last round; CAMPAIGN_FULL when as many clients as
                it admits have joined; BAD_PROOF when the network is another one or the clocks
                differ by more than five minutes; or the call failed.
        """
        request = pb.RegisterRequest(
            public_key=key.public_key,
            time_ms=time_ms,
            signature=key.sign(Signing.REGISTER, genesis_hash, registration_body(time_ms)),
        )
        return await self.call(self._stub.Register, request)

    def watch_rounds(self, address: bytes) -> AsyncGenerator[pb.WatchRoundsResponse, None]:
        """Watch the rounds until the campaign is over.

        Args:
            address: The client's address, 20 bytes.

        Returns:
            The present round, then each change of round or phase. Reading it raises RpcError:
            NOT_REGISTERED when the client has not joined, or the code with which the stream failed.
        """
        return self.stream(self._stub.WatchRounds, pb.WatchRoundsRequest(address=address))

    async def announce_update(self, update: SignedUpdate) -> int:
        """Announce an update before its weights are uploaded. A repeated call changes nothing.

        Args:
            update: The signed update.

        Returns:
            Its position in the order of the round's announcements, from 1.

        Raises:
            RpcError: ROUND_NOT_OPEN or WRONG_ROUND when the update is not for an open round;
                WRONG_BASE when it starts from other weights than the round's; ALREADY_SUBMITTED
                when the client has submitted another one; or the call failed.
        """
        request = pb.AnnounceUpdateRequest(update=update)
        return (await self.call(self._stub.AnnounceUpdate, request)).position

    async def submit_update(self, update: SignedUpdate) -> SignedReceipt:
        """Submit an update that was announced and uploaded. A repeated call changes nothing.

        Args:
            update: The signed update.

        Returns:
            The server's receipt, which is not checked here; see `decode_update_receipt`.

        Raises:
            RpcError: NOT_ANNOUNCED or WEIGHTS_MISSING when it was not; ROUND_NOT_OPEN or
                WRONG_ROUND when it is not for an open round; WRONG_BASE when it starts from other
                weights than the round's; ALREADY_SUBMITTED when the client has submitted another
                one; a code such as WRONG_SHAPE or NOT_FINITE when its weights are not valid; or the
                call failed.
        """
        request = pb.SubmitUpdateRequest(update=update)
        return (await self.call(self._stub.SubmitUpdate, request, timeout=CHECK_S)).receipt

    async def upload_artifact(self, data: bytes | Path) -> bytes:
        """Store weights of an announced update; see `ArtifactUploadClient.upload`.

        Args:
            data: The content, or the file that holds it.

        Returns:
            The artifact's id, 32 bytes.

        Raises:
            RpcError: The call failed.
        """
        return await self._uploads.upload(data)

    async def download_artifact(
        self,
        artifact: bytes,
        max_bytes: int = MAX_DOWNLOAD_BYTES,
    ) -> bytes:
        """Fetch an artifact from the coordinator; see `ArtifactClient.download`.

        Args:
            artifact: The artifact's id, 32 bytes.
            max_bytes: The longest content that is accepted, in bytes.

        Returns:
            The content, whose hash is the artifact's id.

        Raises:
            RpcError: The call failed.
        """
        return await self._artifacts.download(artifact, max_bytes, self.prove)
