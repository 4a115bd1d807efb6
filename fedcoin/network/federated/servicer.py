"""FederatedLearningService, for the coordinator's listener."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from fedcoin.data.clock import Clock
from fedcoin.data.crypto.addresses import ADDRESS_BYTES
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verify_signature
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_length
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.network.errors import NetworkCode
from fedcoin.network.federated.registration import MAX_CLOCK_DIFFERENCE_MS, registration_body
from fedcoin.network.interceptors import CallContext
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.federated_learning_service_pb2_grpc import FederatedLearningServiceServicer

SERVICE = "fedcoin.v1.FederatedLearningService"


class Rounds(Protocol):
    """The campaign behind the service; its methods run on the event loop."""

    @property
    def chain_id(self) -> str:
        """What updates and registrations are signed for."""
        ...

    async def register(self, public_key: bytes) -> pb.RegisterResponse:
        """Let a client join. Raises Refusal CAMPAIGN_FINISHED, CAMPAIGN_FULL."""
        ...

    def watch(self, address: bytes) -> AsyncIterator[pb.WatchRoundsResponse]:
        """The present round at once, then each change. Raises Refusal NOT_REGISTERED."""
        ...

    async def submit(self, update: Update) -> None:
        """Take an update, or raise the Refusal that says why not."""
        ...

    def status(self) -> pb.GetCampaignStatusResponse:
        """Where the campaign stands."""
        ...


class FederatedLearningServicer(FederatedLearningServiceServicer):
    """Serves `proto/fedcoin/v1/federated_learning_service.proto` from a campaign.

    ``clock_ms`` gives Unix time in ms.
    """

    def __init__(self, rounds: Rounds, clock_ms: Clock) -> None:
        self._rounds = rounds
        self._clock_ms = clock_ms

    async def Register(
        self, request: pb.RegisterRequest, context: CallContext
    ) -> pb.RegisterResponse:
        """Join. Raises Refusal MALFORMED, BAD_PROOF, and those of the campaign."""
        check_length(request.public_key, PUBLIC_KEY_BYTES, "public_key", code=NetworkCode.MALFORMED)
        check_length(request.signature, SIGNATURE_BYTES, "signature", code=NetworkCode.MALFORMED)
        age = self._clock_ms() - request.time_ms
        if abs(age) > MAX_CLOCK_DIFFERENCE_MS:
            raise RefusalError(
                NetworkCode.BAD_PROOF,
                f"time_ms: {age / 1000:.0f} s away from the coordinator's clock; set the clock, "
                "or sign anew",
                field="time_ms",
                limit=str(MAX_CLOCK_DIFFERENCE_MS),
            )
        body = registration_body(request.time_ms)
        chain_id = self._rounds.chain_id
        if not verify_signature(
            request.public_key, SigningContext.REGISTER, chain_id, body, request.signature
        ):
            raise RefusalError(
                NetworkCode.BAD_PROOF,
                f"signature: not the public key's over this time on chain {chain_id}",
                field="signature",
            )
        return await self._rounds.register(request.public_key)

    async def WatchRounds(
        self, request: pb.WatchRoundsRequest, context: CallContext
    ) -> AsyncIterator[pb.WatchRoundsResponse]:
        """Each change. Raises Refusal MALFORMED, NOT_REGISTERED."""
        check_length(request.address, ADDRESS_BYTES, "address", code=NetworkCode.MALFORMED)
        async for change in self._rounds.watch(request.address):
            yield change

    async def SubmitUpdate(
        self, request: pb.SubmitUpdateRequest, context: CallContext
    ) -> pb.SubmitUpdateResponse:
        """Hand in. Raises Refusal: those of `decode_update` and of the campaign."""
        if not request.HasField("update"):
            raise RefusalError(NetworkCode.MALFORMED, "update: is missing", field="update")
        await self._rounds.submit(decode_update(request.update, self._rounds.chain_id))
        return pb.SubmitUpdateResponse()

    async def GetCampaignStatus(
        self, request: pb.GetCampaignStatusRequest, context: CallContext
    ) -> pb.GetCampaignStatusResponse:
        """Where the campaign stands."""
        return self._rounds.status()
