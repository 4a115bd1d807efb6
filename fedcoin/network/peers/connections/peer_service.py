"""PeerService: the server's side of the handshake, of peer exchange and of ping."""

from __future__ import annotations

import random

from fedcoin.network.host_groups import observed_host
from fedcoin.network.interceptors import CallContext
from fedcoin.network.peers.connections import handshake
from fedcoin.network.peers.connections.endpoints import (
    is_loopback,
    parse_endpoint,
)
from fedcoin.network.peers.connections.handshake import (
    NonceTable,
    PendingHandshake,
    Role,
    Transcript,
)
from fedcoin.network.peers.connections.link import Introduction
from fedcoin.network.peers.connections.own_addresses import OwnAddresses
from fedcoin.network.peers.connections.peer import Peer
from fedcoin.network.peers.connections.peer_set import PeerSet
from fedcoin.network.peers.connections.security import Security
from fedcoin.v1.peer_service_pb2 import (
    AuthenticateRequest,
    AuthenticateResponse,
    HelloRequest,
    HelloResponse,
    ListPeersRequest,
    ListPeersResponse,
    PeerAddress,
    PingRequest,
    PingResponse,
)
from fedcoin.v1.peer_service_pb2_grpc import PeerServiceServicer

MAX_LISTED = 100
"""The largest number of addresses in one reply."""


class PeerServicer(PeerServiceServicer):
    """Serves `peer_service.proto`, which states each method's limits and errors.

    Args:
        introduction: This node's identity.
        peers: The connected peers.
        own_addresses: The addresses for which this node signs handshakes without TLS.
        security: Checks callers' certificates.
    """

    def __init__(
        self,
        introduction: Introduction,
        peers: PeerSet,
        own_addresses: OwnAddresses,
        security: Security,
    ) -> None:
        self._introduction = introduction
        self._peers = peers
        self._own_addresses = own_addresses
        self._security = security
        self._nonces = NonceTable(group=peers.hosts.group_of)

    async def Hello(self, request: HelloRequest, context: CallContext) -> HelloResponse:
        """Check the caller's identity, prove this node's, and give a nonce."""
        own = self._introduction
        identity = handshake.check_identity(request.identity, own.genesis, own.key.public_key)
        handshake.check_field_length("nonce", request.nonce, handshake.NONCE_BYTES)
        dialled = parse_endpoint(request.address, "address")
        self._security.check_caller(context, identity.node_key)
        if not self._security.is_encrypted:
            self._own_addresses.check(dialled)
        transport = context.peer()
        host = observed_host(transport)
        self._peers.check_admission(identity.node_key, host)
        pending = PendingHandshake(identity, request.nonce, request.address, transport, host)
        nonce = self._nonces.issue(pending, self._peers.now())
        transcript = self._transcript(pending, nonce)
        return HelloResponse(
            identity=own.message(),
            nonce=nonce,
            signature=handshake.sign_proof(own.key, Role.SERVER, transcript),
        )

    async def Authenticate(
        self, request: AuthenticateRequest, context: CallContext
    ) -> AuthenticateResponse:
        """Check the caller's proof and give a session."""
        handshake.check_field_length("nonce", request.nonce, handshake.NONCE_BYTES)
        handshake.check_signature_length("signature", request.signature)
        pending = self._nonces.redeem(
            request.nonce, request.node_key, context.peer(), self._peers.now()
        )
        handshake.check_proof(
            request.signature,
            Role.CALLER,
            self._transcript(pending, request.nonce),
        )
        session = self._peers.admit(pending.identity, pending.transport, pending.host)
        return AuthenticateResponse(session=session)

    def _transcript(self, pending: PendingHandshake, nonce: bytes) -> Transcript:
        own = self._introduction
        return Transcript(
            own.genesis.hash,
            pending.identity.node_key,
            own.key.public_key,
            pending.caller_nonce,
            nonce,
            pending.address,
        )

    async def ListPeers(self, request: ListPeersRequest, context: CallContext) -> ListPeersResponse:
        """List addresses that this node has dialled successfully."""
        caller = self._peers.caller(context)
        known = [peer for peer in self._peers if peer is not caller and _may_share(peer, caller)]
        size = min(request.page_size or MAX_LISTED, MAX_LISTED)
        chosen = random.sample(known, min(size, len(known)))
        return ListPeersResponse(
            peers=[PeerAddress(address=str(peer.endpoint), node_key=peer.key) for peer in chosen]
        )

    async def Ping(self, request: PingRequest, context: CallContext) -> PingResponse:
        """Note the caller's height and clock, and answer with this node's."""
        now_ms, caller = self._introduction.clock(), self._peers.caller(context)
        self._peers.update_height(caller, request.height)
        if caller.link is None:  # this node's own pings measure it better
            caller.learn_time(request.time_ms, now_ms)
        return PingResponse(height=self._introduction.height(), time_ms=now_ms)


def _may_share(peer: Peer, caller: Peer) -> bool:
    # Share only addresses that work; a loopback address is useless on another machine.
    if peer.link is None or peer.endpoint is None:
        return False
    return is_loopback(caller.host) or not peer.endpoint.loopback
