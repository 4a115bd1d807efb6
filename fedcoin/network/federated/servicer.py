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
from fedcoin.v1.task_pb2 import SignedReceipt

SERVICE = "fedcoin.v1.FederatedLearningService"
"""The service's full name."""


class RoundsPort(Protocol):
    """The campaign that the servicer asks. All methods are called on the event loop."""

    @property
    def genesis_hash(self) -> bytes:
        """The genesis hash of the network that messages are signed for, 32 bytes."""
        ...

    async def register(self, public_key: bytes) -> pb.RegisterResponse:
        """Let a client join. A repeated call changes nothing.

        Args:
            public_key: The client's Ed25519 public key, 32 bytes, which it has proved to hold.

        Returns:
            The campaign's id, model, rounds and training plan.

        Raises:
            RefusalError: CAMPAIGN_FINISHED after the last round; CAMPAIGN_FULL when as many clients
                as the campaign admits have joined.
        """
        ...

    def watch(self, address: bytes) -> AsyncIterator[pb.WatchRoundsResponse]:
        """Follow the rounds for one client.

        Args:
            address: The client's address, 20 bytes.

        Returns:
            The present round, then each change.

        Raises:
            RefusalError: NOT_REGISTERED when the client has not joined.
        """
        ...

    async def announce(self, update: Update) -> int:
        """Register an update whose weights are about to come. A repeated call changes nothing.

        Args:
            update: A decoded update, whose signature was verified.

        Returns:
            Its position in the order of the round's announcements, from 1.

        Raises:
            RefusalError: NOT_REGISTERED, WRONG_CAMPAIGN, WRONG_ROUND, WRONG_BASE, ROUND_NOT_OPEN or
                ALREADY_SUBMITTED when the update is not one that the round takes.
        """
        ...

    async def submit(self, update: Update) -> SignedReceipt:
        """Accept an update. A repeated call changes nothing.

        Args:
            update: A decoded update, whose signature was verified.

        Returns:
            The server's receipt for the update.

        Raises:
            RefusalError: A code of `announce` when the update is not one that the round takes;
                NOT_ANNOUNCED or WEIGHTS_MISSING when it was not announced or its weights have not
                arrived; a code such as WRONG_SHAPE or NOT_FINITE when its weights are not valid.
        """
        ...

    def status(self) -> pb.GetCampaignStatusResponse:
        """Report the campaign's round, phase, clients and accuracies so far."""
        ...


class FederatedLearningServicer(FederatedLearningServiceServicer):
    """Serves `federated_learning_service.proto`, which states each method's limits and errors."""

    def __init__(self, rounds: RoundsPort, clock_ms: Clock) -> None:
        """Serve a campaign.

        Args:
            rounds: The rounds of the campaign, which clients take part in.
            clock_ms: Gives Unix time in ms.
        """
        self._rounds = rounds
        self._clock_ms = clock_ms

    async def Register(
        self, request: pb.RegisterRequest, context: CallContext
    ) -> pb.RegisterResponse:
        """Let a client join.

        Raises:
            RefusalError: MALFORMED when key or signature have a wrong length; BAD_PROOF when the
                signature is not the key's or its time is more than five minutes off;
                CAMPAIGN_FINISHED or CAMPAIGN_FULL when no client can join any more.
        """
        check_length(request.public_key, PUBLIC_KEY_BYTES, "public_key", code=NetworkCode.MALFORMED)
        check_length(request.signature, SIGNATURE_BYTES, "signature", code=NetworkCode.MALFORMED)
        age = self._clock_ms() - request.time_ms
        if abs(age) > MAX_CLOCK_DIFFERENCE_MS:
            raise RefusalError(
                NetworkCode.BAD_PROOF,
                f"time_ms is {abs(age) / 1000:.0f} s {'behind' if age > 0 else 'ahead of'} the "
                f"coordinator's clock; at most {MAX_CLOCK_DIFFERENCE_MS // 1000} s are allowed: "
                "set the clock, and sign again",
                field="time_ms",
                limit=str(MAX_CLOCK_DIFFERENCE_MS),
            )
        body = registration_body(request.time_ms)
        genesis_hash = self._rounds.genesis_hash
        if not verify_signature(
            request.public_key, SigningContext.REGISTER, genesis_hash, body, request.signature
        ):
            raise RefusalError(
                NetworkCode.BAD_PROOF,
                "signature is not the public key's signature of this time for the network with "
                f"genesis {genesis_hash.hex()}",
                field="signature",
            )
        return await self._rounds.register(request.public_key)

    async def WatchRounds(
        self, request: pb.WatchRoundsRequest, context: CallContext
    ) -> AsyncIterator[pb.WatchRoundsResponse]:
        """Stream the present round, then each change of round or phase, to one client.

        Raises:
            RefusalError: MALFORMED when the address does not have 20 bytes; NOT_REGISTERED when
                the client has not joined.
        """
        check_length(request.address, ADDRESS_BYTES, "address", code=NetworkCode.MALFORMED)
        async for change in self._rounds.watch(request.address):
            yield change

    async def AnnounceUpdate(
        self, request: pb.AnnounceUpdateRequest, context: CallContext
    ) -> pb.AnnounceUpdateResponse:
        """Register an update before its weights are uploaded.

        Raises:
            RefusalError: MALFORMED when there is no update; TOO_LARGE, MALFORMED, BAD_ADDRESS or
                BAD_SIGNATURE when it is not a valid signed update; a code of `RoundsPort.announce`,
                such as WRONG_ROUND, when the round does not take it.
        """
        position = await self._rounds.announce(self._decode(request))
        return pb.AnnounceUpdateResponse(position=position)

    async def SubmitUpdate(
        self, request: pb.SubmitUpdateRequest, context: CallContext
    ) -> pb.SubmitUpdateResponse:
        """Accept an update whose weights were uploaded, and return the server's receipt.

        Raises:
            RefusalError: MALFORMED when there is no update; TOO_LARGE, MALFORMED, BAD_ADDRESS or
                BAD_SIGNATURE when it is not a valid signed update; a code of `RoundsPort.submit`,
                such as WEIGHTS_MISSING, when it is not accepted.
        """
        receipt = await self._rounds.submit(self._decode(request))
        return pb.SubmitUpdateResponse(receipt=receipt)

    async def GetCampaignStatus(
        self, request: pb.GetCampaignStatusRequest, context: CallContext
    ) -> pb.GetCampaignStatusResponse:
        """Report the campaign's round, phase, clients and accuracies."""
        return self._rounds.status()

    def _decode(self, request: pb.AnnounceUpdateRequest | pb.SubmitUpdateRequest) -> Update:
        if not request.HasField("update"):
            raise RefusalError(NetworkCode.MALFORMED, "update is missing", field="update")
        return decode_update(request.update, self._rounds.genesis_hash)
