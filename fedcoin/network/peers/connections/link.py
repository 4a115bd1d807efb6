"""A connection that this node made: a channel, and the session that the handshake gave."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.network.errors import NetworkCode
from fedcoin.network.options import SESSION_METADATA
from fedcoin.network.peers.connections import handshake
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.handshake import Identity, Role
from fedcoin.network.peers.connections.security import Security
from fedcoin.network.status import details_of
from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceStub
from fedcoin.v1.block_gossip_service_pb2_grpc import BlockGossipServiceStub
from fedcoin.v1.peer_service_pb2 import AuthenticateRequest, HelloRequest, NodeIdentity
from fedcoin.v1.peer_service_pb2_grpc import PeerServiceStub
from fedcoin.v1.transaction_relay_service_pb2_grpc import TransactionRelayServiceStub

if TYPE_CHECKING:
    from fedcoin.v1.artifact_service_pb2_grpc import ArtifactServiceAsyncStub
    from fedcoin.v1.block_gossip_service_pb2_grpc import BlockGossipServiceAsyncStub
    from fedcoin.v1.peer_service_pb2_grpc import PeerServiceAsyncStub
    from fedcoin.v1.transaction_relay_service_pb2_grpc import TransactionRelayServiceAsyncStub

EXCHANGE = "/fedcoin.v1.ConsensusService/Exchange"


@dataclass(frozen=True, slots=True)
class Introduction:
    """What this node says of itself in a handshake."""

    genesis: Genesis
    key: KeyPair
    agent: str
    listen_address: Callable[[], str]
    height: Callable[[], int]

    def message(self) -> NodeIdentity:
        """The identity as it stands now."""
        return handshake.encode_identity(
            self.genesis, self.key.public_key, self.agent, self.listen_address(), self.height()
        )


class Link:
    """An authenticated channel to one peer. Pass `metadata` with every call."""

    def __init__(
        self, endpoint: Endpoint, identity: Identity, channel: grpc.aio.Channel, session: str
    ) -> None:
        self.endpoint = endpoint
        self.identity = identity
        self.metadata = ((SESSION_METADATA, session),)
        self.peers: PeerServiceAsyncStub = PeerServiceStub(channel)
        self.gossip: BlockGossipServiceAsyncStub = BlockGossipServiceStub(channel)
        self.transactions: TransactionRelayServiceAsyncStub = TransactionRelayServiceStub(channel)
        self.artifacts: ArtifactServiceAsyncStub = ArtifactServiceStub(channel)
        self._channel = channel

    def exchange(self) -> grpc.aio.StreamStreamCall[bytes, bytes]:
        """Open the stream of consensus messages, as serialised messages.

        They are hashed to tell old from new before anything is parsed, and one that is
        relayed to ten peers is serialised once.
        """
        # The stubs do not know that serializers and requests may be left out.
        method = cast("Any", self._channel.stream_stream)(EXCHANGE)
        return cast("grpc.aio.StreamStreamCall[bytes, bytes]", method(metadata=self.metadata))

    async def close(self) -> None:
        """Hang up; calls under way end with CANCELLED."""
        await self._channel.close(None)


async def open_link(
    endpoint: Endpoint,
    introduction: Introduction,
    security: Security,
    timeout_s: float,
    expected_key: bytes | None = None,
) -> Link:
    """Dial a peer and go through the handshake.

    Raises Refusal: PEER_UNREACHABLE, NOT_SECURE, WRONG_PEER when somebody else than
    `expected_key` answers, and whatever either side refuses the other for.
    """
    channel = security.channel(endpoint)
    try:
        identity, session = await _shake_hands(channel, introduction, timeout_s, expected_key)
        return Link(endpoint, identity, channel, session)
    except grpc.aio.AioRpcError as error:
        await channel.close(None)
        raise refusal_of(error, endpoint) from error
    except BaseException:
        await channel.close(None)
        raise


async def _shake_hands(
    channel: grpc.aio.Channel,
    introduction: Introduction,
    timeout_s: float,
    expected_key: bytes | None,
) -> tuple[Identity, str]:
    stub: PeerServiceAsyncStub = PeerServiceStub(channel)
    genesis, key = introduction.genesis, introduction.key
    nonce = secrets.token_bytes(handshake.NONCE_BYTES)
    hello = await stub.Hello(
        HelloRequest(identity=introduction.message(), nonce=nonce), timeout=timeout_s
    )
    identity = handshake.check_identity(hello.identity, genesis, key.public_key)
    if expected_key is not None and identity.node_key != expected_key:
        raise RefusalError(
            NetworkCode.WRONG_PEER,
            f"node key {identity.node_key.hex()} answers, not {expected_key.hex()}",
            field="identity.node_key",
        )
    handshake.check_bytes("nonce", hello.nonce, handshake.NONCE_BYTES)
    handshake.check_proof(
        hello.signature,
        genesis.chain_id,
        Role.SERVER,
        nonce,
        key.public_key,
        identity.node_key,
    )
    answer = await stub.Authenticate(
        AuthenticateRequest(
            node_key=key.public_key,
            nonce=hello.nonce,
            signature=handshake.sign_proof(
                key, genesis.chain_id, Role.CALLER, hello.nonce, identity.node_key
            ),
        ),
        timeout=timeout_s,
    )
    if not 1 <= len(answer.session) <= 64 or not answer.session.isascii():
        raise RefusalError(
            NetworkCode.MALFORMED, "session: must be 1 to 64 ASCII characters", field="session"
        )
    return identity, answer.session


def refusal_of(error: grpc.aio.AioRpcError, endpoint: Endpoint) -> RefusalError:
    """Why a handshake failed, as a Refusal that names the peer."""
    reason = details_of(error).reason
    said = (error.details() or error.code().name)[:300]
    if reason in NetworkCode.__members__:
        return RefusalError(NetworkCode[reason], f"{endpoint} refused: {said}")
    return RefusalError(
        NetworkCode.PEER_UNREACHABLE,
        f"{endpoint} cannot be reached: {error.code().name}: {said}",
        field="address",
    )
