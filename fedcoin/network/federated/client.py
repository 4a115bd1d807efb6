"""A client of a coordinator: join, watch, upload, hand in."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import grpc

from fedcoin.data.crypto.hashing import Context as Signing
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.api.artifact_client import ArtifactClient
from fedcoin.network.api.link import Link
from fedcoin.network.federated.servicer import registration_body
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.federated_learning_service_pb2_grpc import FederatedLearningServiceStub
from fedcoin.v1.task_pb2 import SignedUpdate

CHECK_SECONDS = 60.0
"""A coordinator looks into the weights before it takes an update."""


class FederatedClient(Link):
    """Everything that a coordinator's listener offers; see `Link` for its arguments.

    Every failure is an `RpcFailure` that names the host.
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 15.0,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        super().__init__(target, timeout=timeout, credentials=credentials)
        self._stub = FederatedLearningServiceStub(self.channel)
        self._artifacts = ArtifactClient(self)

    async def campaign(self) -> pb.GetCampaignStatusResponse:
        """Where the campaign stands."""
        return await self.call(self._stub.GetCampaignStatus, pb.GetCampaignStatusRequest())

    async def register(self, key: KeyPair, chain_id: str, time_ms: int) -> pb.RegisterResponse:
        """Join with a key at a time (Unix ms). RpcFailure CAMPAIGN_FINISHED, CAMPAIGN_FULL,
        BAD_PROOF."""
        request = pb.RegisterRequest(
            public_key=key.public_key,
            time_ms=time_ms,
            signature=key.sign(Signing.REGISTER, chain_id, registration_body(time_ms)),
        )
        return await self.call(self._stub.Register, request)

    def watch(self, address: bytes) -> AsyncGenerator[pb.WatchRoundsResponse, None]:
        """The present round at once, then each change until the campaign is over."""
        return self.stream(self._stub.WatchRounds, pb.WatchRoundsRequest(address=address))

    async def submit(self, update: SignedUpdate) -> None:
        """Hand in an update whose weights were uploaded."""
        request = pb.SubmitUpdateRequest(update=update)
        await self.call(self._stub.SubmitUpdate, request, timeout=CHECK_SECONDS)

    async def upload(self, data: bytes | Path) -> bytes:
        """Store weights with the coordinator; their artifact id."""
        return await self._artifacts.upload(data)

    async def download(self, artifact: bytes, max_bytes: int = 1 << 31) -> bytes:
        """The bytes of an artifact, checked."""
        return await self._artifacts.download(artifact, max_bytes)
