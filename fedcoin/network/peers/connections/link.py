"""A connection that this node dialled: a channel with the session of its handshake."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc

from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.network.client.artifact_client import ArtifactClient
from fedcoin.network.client.grpc_client import DuplexStream, GrpcClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import SESSION_METADATA
from fedcoin.network.peers.connections import handshake
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.handshake import Identity, Role, Transcript
from fedcoin.network.peers.connections.node_addresses import NodeAddress
from fedcoin.network.peers.connections.security import Security
from fedcoin.v1.block_gossip_service_pb2_grpc import BlockGossipServiceStub
from fedcoin.v1.peer_service_pb2 import AuthenticateRequest, HelloRequest, NodeIdentity
from fedcoin.v1.peer_service_pb2_grpc import PeerServiceStub
from fedcoin.v1.transaction_relay_service_pb2_grpc import TransactionRelayServiceStub

if TYPE_CHECKING:
    from fedcoin.v1.block_gossip_service_pb2_grpc import BlockGossipServiceAsyncStub
    from fedcoin.v1.peer_service_pb2_grpc import PeerServiceAsyncStub
    from fedcoin.v1.transaction_relay_service_pb2_grpc import TransactionRelayServiceAsyncStub

EXCHANGE = "/fedcoin.v1.ConsensusService/Exchange"
"""The full name of the method of consensus messages."""

CALL_S = 10.0
"""The deadline of a call with a single reply, in seconds, where the caller gives none."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """The identity that this node sends in a handshake."""

    genesis: Genesis
    """The network's genesis."""
    key: KeyPair
    """The node's key."""
    agent: str
    """The program and its version."""
    listen_address: Callable[[], str]
    """Gives the address that peers shall dial, as host:port."""
    height: Callable[[], int]
    """Gives the height of the last final block."""
    clock: Clock = unix_ms
    """Gives Unix ms."""

    def message(self) -> NodeIdentity:
        """Encode the identity with the present address and height."""
        return handshake.encode_identity(
            self.genesis, self.key.public_key, self.agent, self.listen_address(), self.height()
        )


class Link(GrpcClient):
    """An authenticated channel to one peer, which this node dialled.

    Attributes:
        endpoint: The address that was dialled.
        identity: The peer's identity, from the handshake.
        peers: Stub of PeerService.
        gossip: Stub of BlockGossipService.
        transactions: Stub of TransactionRelayService.
        artifacts: Downloads from the peer.
    """

    def __init__(
        self, endpoint: Endpoint, identity: Identity, channel: grpc.aio.Channel, session: str
    ) -> None:
        """Wrap a channel on which the handshake succeeded.

        Args:
            endpoint: The address that was dialled.
            identity: The peer's identity, from the handshake.
            channel: The channel, which is closed with the link.
            session: The session id from the handshake, sent with every call: 1 to 64 ASCII
                characters.
        """
        metadata = ((SESSION_METADATA, session),)
        super().__init__(str(endpoint), channel, timeout=CALL_S, metadata=metadata)
        self.endpoint = endpoint
        self.identity = identity
        self.peers: PeerServiceAsyncStub = PeerServiceStub(channel)
        self.gossip: BlockGossipServiceAsyncStub = BlockGossipServiceStub(channel)
        self.transactions: TransactionRelayServiceAsyncStub = TransactionRelayServiceStub(channel)
        self.artifacts = ArtifactClient(self)

    def exchange(self) -> DuplexStream[bytes]:
        """Open the stream of consensus messages, as serialised messages.

        They are hashed to tell old from new before anything is parsed, and one that is relayed to
        ten peers is serialised once.

        Returns:
            The stream; use it as a context manager, so that the call ends with it.

        Raises:
            RpcError: The link is closed.
        """
        # The stubs do not know that serializers may be left out.
        return self.open_duplex(cast("Any", self.channel.stream_stream)(EXCHANGE))


async def open_link(
    endpoint: Endpoint,
    introduction: Introduction,
    security: Security,
    timeout_s: float,
    expected_key: bytes | None = None,
) -> Link:
    """Dial a peer and perform the handshake.

    Args:
        endpoint: The peer's address.
        introduction: This node's identity.
        security: Opens the channel.
        timeout_s: The deadline of each call, in seconds.
        expected_key: The node key that must answer; None accepts any.

    Returns:
        A link on which the handshake succeeded.

    Raises:
        RefusalError: PEER_UNREACHABLE when nothing answers in time; NOT_SECURE when it would be
            plaintext to another machine; WRONG_PEER when another key than `expected_key` answers; a
            code with which one of the sides refused the other: of `check_identity` (such as
            WRONG_GENESIS), of `check_proof` (BAD_PROOF), or of the peer's admission (such as
            NO_ROOM or BANNED).
    """
    if security.is_encrypted and expected_key is None:
        expected_key = await _ask_for_key(endpoint, introduction, security, timeout_s)
    channel = security.channel(endpoint, expected_key)
    try:
        client = GrpcClient(str(endpoint), channel, timeout=timeout_s)
        identity, session = await _shake_hands(client, introduction, expected_key)
        return Link(endpoint, identity, channel, session)
    except RpcError as error:
        await channel.close(None)
        raise _refusal_of(error) from error
    except BaseException:
        await channel.close(None)
        raise


async def greet(
    address: NodeAddress,
    own: NodeIdentity,
    genesis: Genesis,
    security: Security,
    timeout_s: float,
) -> Identity:
    """Dial a node and make the first half of the handshake, to see whether it can be reached.

    Needs no private key: the node proves its key, and the caller proves nothing.

    Args:
        address: The node's address. Over TLS, without a node key, its certificate must name its
            host.
        own: The caller's identity (`handshake.encode_identity`).
        genesis: The network's genesis.
        security: Opens the channel.
        timeout_s: The deadline in seconds.

    Returns:
        The identity of the node, whose key is proved.

    Raises:
        RefusalError: As `open_link`.
    """
    channel = security.channel(address.endpoint, address.node_key)
    try:
        client = GrpcClient(str(address.endpoint), channel, timeout=timeout_s)
        nonce = secrets.token_bytes(handshake.NONCE_BYTES)
        request = HelloRequest(identity=own, nonce=nonce, address=client.target)
        return (await _say_hello(client, request, genesis, address.node_key))[0]
    except RpcError as error:
        raise _refusal_of(error) from error
    finally:
        await channel.close(None)


async def _ask_for_key(
    endpoint: Endpoint, introduction: Introduction, security: Security, timeout_s: float
) -> bytes:
    """Ask for the node key of a listener whose certificate names its host.

    The answer proves nothing. The caller then demands a certificate that names the key.
    """
    channel = security.channel(endpoint)
    try:
        client = GrpcClient(str(endpoint), channel, timeout=timeout_s)
        stub: PeerServiceAsyncStub = PeerServiceStub(channel)
        hello = await client.call(stub.Hello, _hello(client, introduction))
    except RpcError as error:
        raise _refusal_of(error) from error
    finally:
        await channel.close(None)
    own = introduction.key.public_key
    return handshake.check_identity(hello.identity, introduction.genesis, own).node_key


def _hello(client: GrpcClient, introduction: Introduction) -> HelloRequest:
    nonce = secrets.token_bytes(handshake.NONCE_BYTES)
    # The target of a channel to a peer is its address as host:port.
    return HelloRequest(identity=introduction.message(), nonce=nonce, address=client.target)


async def _shake_hands(
    client: GrpcClient, introduction: Introduction, expected_key: bytes | None
) -> tuple[Identity, str]:
    stub: PeerServiceAsyncStub = PeerServiceStub(client.channel)
    genesis, key = introduction.genesis, introduction.key
    request = _hello(client, introduction)
    identity, transcript = await _say_hello(client, request, genesis, expected_key)
    answer = await client.call(
        stub.Authenticate,
        AuthenticateRequest(
            node_key=key.public_key,
            nonce=transcript.server_nonce,
            signature=handshake.sign_proof(key, Role.CALLER, transcript),
        ),
    )
    if not 1 <= len(answer.session) <= 64 or not answer.session.isascii():
        raise RefusalError(
            NetworkCode.MALFORMED, "session: must be 1 to 64 ASCII characters", field="session"
        )
    return identity, answer.session


async def _say_hello(
    client: GrpcClient, request: HelloRequest, genesis: Genesis, expected_key: bytes | None
) -> tuple[Identity, Transcript]:
    """Make the first half of the handshake, and check the server's proof of its key."""
    stub: PeerServiceAsyncStub = PeerServiceStub(client.channel)
    own_key = request.identity.node_key
    hello = await client.call(stub.Hello, request)
    identity = handshake.check_identity(hello.identity, genesis, own_key)
    if expected_key is not None and identity.node_key != expected_key:
        raise RefusalError(
            NetworkCode.WRONG_PEER,
            f"{client.target} has node key {identity.node_key.hex()}, not {expected_key.hex()} as "
            "expected; if that node has a new key, name it in the address: key@host:port",
            field="identity.node_key",
        )
    handshake.check_field_length("nonce", hello.nonce, handshake.NONCE_BYTES)
    transcript = Transcript(
        genesis.hash, own_key, identity.node_key, request.nonce, hello.nonce, client.target
    )
    handshake.check_proof(hello.signature, Role.SERVER, transcript)
    return identity, transcript


def _refusal_of(error: RpcError) -> RefusalError:
    if error.code in NetworkCode.__members__:
        return RefusalError(NetworkCode[error.code], f"{error.target} refused: {error.message}")
    return RefusalError(
        NetworkCode.PEER_UNREACHABLE, f"{error.target}: {error.message}", field="address"
    )
