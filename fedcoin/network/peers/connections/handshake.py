"""The handshake: two calls by which peers prove their node keys to each other.

    caller                                        server
      Hello(identity, nonce A, address dialled) ->     same network? room? banned? its own address?
      same network? the expected key?           <-     identity, nonce B, sign(01, transcript)
      Authenticate(key, B, sign(02, transcript)) ->
                                                <-     session

Both signatures cover one transcript: the genesis hash, both nonces, both node keys and the address
that the caller dialled, after a byte for the signer's role (01 server, 02 caller). A node signs as
server only for addresses of its own, so that a third machine cannot pass the handshake of two nodes
on from an address that is not theirs. Over TLS the certificates bind the keys to the connection
(`security`). Nonce B can be used once, within ten seconds, on the connection and by the key that
it was given to.

This module does no I/O and reads no clock.
"""

from __future__ import annotations

import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from fedcoin.data.crypto.hashing import HASH_BYTES, SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, KeyPair, verify_signature
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.protocol import PROTOCOL_VERSION
from fedcoin.network.errors import NetworkCode
from fedcoin.network.host_groups import group_of
from fedcoin.network.peers.connections.endpoints import Endpoint, parse_endpoint
from fedcoin.v1.peer_service_pb2 import NodeIdentity

NONCE_BYTES = 32
"""The size of a nonce, in bytes."""
NONCE_LIFETIME_S = 10.0
"""How long a caller has between the two calls of a handshake, in seconds."""
MAX_AGENT_CHARACTERS = 64
"""The largest number of characters of a peer's program and version."""
MAX_CHAIN_ID_CHARACTERS = 64
"""The largest number of characters of a chain id in an identity."""
MAX_NONCES = 1024
"""The largest number of handshakes that may be in progress at once."""
MAX_NONCES_OF_HOST = 64
"""The largest number of them from one host; one more replaces the oldest."""


class Role(bytes, Enum):
    """The role of a proof's signer in the handshake."""

    SERVER = b"\x01"
    """The node that was dialled."""
    CALLER = b"\x02"
    """The node that dialled."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity that a peer sent in its handshake. Only the node key is proved."""

    node_key: bytes
    """The 32-byte Ed25519 public key of the node."""
    agent: str
    """The program and its version, at most 64 characters."""
    endpoint: Endpoint | None
    """The address on which the peer claims to listen."""
    height: int
    """The height of the last block that is final for the peer, as it claims."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What both sides of one handshake sign."""

    genesis_hash: bytes
    """The SHA-256 of the network's genesis.json, 32 bytes."""
    caller_key: bytes
    """The node key of the side that dialled, 32 bytes."""
    server_key: bytes
    """The node key of the side that was dialled, 32 bytes."""
    caller_nonce: bytes
    """The 32 bytes that the caller chose."""
    server_nonce: bytes
    """The 32 bytes that the server chose."""
    address: str
    """The address that the caller dialled, as host:port."""

    def body(self, role: Role) -> bytes:
        """Encode what a side signs.

        Args:
            role: The signer's role.

        Returns:
            The fields in the order of their declaration, after the byte of the role, but for the
            genesis hash, which every signature covers. All but the last have fixed lengths.
        """
        return b"".join(
            (
                role.value,
                self.caller_key,
                self.server_key,
                self.caller_nonce,
                self.server_nonce,
                self.address.encode(),
            )
        )

    def key_of(self, role: Role) -> bytes:
        """Return the node key of a side.

        Args:
            role: The side whose key is returned.

        Returns:
            The key, 32 bytes.
        """
        return self.caller_key if role is Role.CALLER else self.server_key


def sign_proof(key: KeyPair, role: Role, transcript: Transcript) -> bytes:
    """Sign a proof of this node's key.

    Args:
        key: This node's key.
        role: This node's role in the handshake.
        transcript: What both sides sign: keys, nonces and the address dialled.

    Returns:
        The 64-byte signature.
    """
    return key.sign(SigningContext.HELLO, transcript.genesis_hash, transcript.body(role))


def check_proof(signature: bytes, role: Role, transcript: Transcript) -> None:
    """Check the other side's proof.

    Args:
        signature: The other side's signature, 64 bytes.
        role: The other side's role in the handshake.
        transcript: The handshake, as this node sees it.

    Raises:
        RefusalError: BAD_PROOF when it is not the signature of that side's key over this handshake.
    """
    key, body = transcript.key_of(role), transcript.body(role)
    context, genesis_hash = SigningContext.HELLO, transcript.genesis_hash
    if not verify_signature(key, context, genesis_hash, body, signature):
        raise RefusalError(
            NetworkCode.BAD_PROOF,
            "signature: it does not prove the node key for this handshake; sign its genesis hash, "
            "keys, nonces and address with that key",
            field="signature",
        )


def encode_identity(
    genesis: Genesis, node_key: bytes, agent: str, listen_address: str, height: int
) -> NodeIdentity:
    """Encode this node's identity.

    Args:
        genesis: The network's genesis.
        node_key: This node's public key, 32 bytes.
        agent: The program and its version.
        listen_address: Where this node listens, as host:port.
        height: The height of its last final block.

    Returns:
        The message that goes into `Hello` or its reply.
    """
    return NodeIdentity(
        chain_id=genesis.chain_id,
        genesis_hash=genesis.hash,
        protocol_version=PROTOCOL_VERSION,
        agent=agent[:MAX_AGENT_CHARACTERS],
        node_key=node_key,
        listen_address=listen_address,
        height=height,
    )


def check_identity(message: NodeIdentity, genesis: Genesis, own_key: bytes) -> Identity:
    """Check that a peer belongs to this network and is not this node.

    Args:
        message: The identity that the peer sent.
        genesis: The network's genesis.
        own_key: This node's public key, 32 bytes.

    Returns:
        The decoded identity; only the network is checked, nothing in it is proved yet.

    Raises:
        RefusalError: MALFORMED when a field has a wrong length or is out of range; BAD_HOST when
            its address is not `host:port`; WRONG_PROTOCOL, WRONG_CHAIN or WRONG_GENESIS when it
            follows another version of the protocol or belongs to another network; SELF_CONNECTION
            when it has this node's key.
    """
    if len(message.chain_id) > MAX_CHAIN_ID_CHARACTERS:
        raise _malformed("identity.chain_id", f"at most {MAX_CHAIN_ID_CHARACTERS} characters")
    if len(message.agent) > MAX_AGENT_CHARACTERS or not _printable(message.agent):
        raise _malformed("identity.agent", f"at most {MAX_AGENT_CHARACTERS} printable characters")
    check_field_length("identity.genesis_hash", message.genesis_hash, HASH_BYTES)
    check_field_length("identity.node_key", message.node_key, PUBLIC_KEY_BYTES)
    endpoint = None
    if message.listen_address:
        endpoint = parse_endpoint(message.listen_address, "identity.listen_address")
    _check_network(message, genesis)
    if message.node_key == own_key:
        raise RefusalError(
            NetworkCode.SELF_CONNECTION,
            "identity.node_key: this node's own key; a node does not dial itself",
            field="identity.node_key",
        )
    return Identity(message.node_key, message.agent, endpoint, message.height)


def _check_network(message: NodeIdentity, genesis: Genesis) -> None:
    if message.protocol_version != PROTOCOL_VERSION:
        raise RefusalError(
            NetworkCode.WRONG_PROTOCOL,
            f"identity.protocol_version: {message.protocol_version}, but this node has "
            f"{PROTOCOL_VERSION}; update the older program of the two",
            field="identity.protocol_version",
            limit=str(PROTOCOL_VERSION),
        )
    if message.chain_id != genesis.chain_id:
        raise RefusalError(
            NetworkCode.WRONG_CHAIN,
            f"identity.chain_id: {message.chain_id!r}, but this node has {genesis.chain_id!r}",
            field="identity.chain_id",
            limit=genesis.chain_id,
        )
    if message.genesis_hash != genesis.hash:
        raise RefusalError(
            NetworkCode.WRONG_GENESIS,
            f"identity.genesis_hash: {message.genesis_hash.hex()}, but this node's genesis.json "
            f"has {genesis.hash.hex()}; both need the same file, byte for byte",
            field="identity.genesis_hash",
            limit=genesis.hash.hex(),
        )


def check_field_length(field: str, value: bytes, length: int) -> None:
    """Refuse a field of another length.

    Args:
        field: The field's name for the error.
        value: The field's bytes, from another machine.
        length: The number of bytes that it must have.

    Raises:
        RefusalError: MALFORMED when the field does not have `length` bytes.
    """
    if len(value) != length:
        raise _malformed(field, f"exactly {length} bytes", f"{len(value)} bytes, ")


def check_signature_length(field: str, value: bytes) -> None:
    """Refuse a field that does not have the 64 bytes of a signature.

    Args:
        field: The field's name for the error.
        value: The field's bytes, from another machine.

    Raises:
        RefusalError: MALFORMED when it does not have 64 bytes.
    """
    check_field_length(field, value, SIGNATURE_BYTES)


def _malformed(field: str, wanted: str, found: str = "") -> RefusalError:
    return RefusalError(
        NetworkCode.MALFORMED, f"{field}: {found}must be {wanted}", field=field, limit=wanted
    )


def _printable(text: str) -> bool:
    return all(character.isprintable() for character in text)


@dataclass(frozen=True, slots=True)
class PendingHandshake:
    """The server's record of a handshake between the first and the second call."""

    identity: Identity
    """The caller's identity."""
    caller_nonce: bytes
    """The 32 bytes that the caller chose."""
    address: str
    """The address that the caller dialled, as host:port."""
    transport: str
    """gRPC's name of the connection, with the port."""
    host: str
    """The host of the connection; empty for a Unix socket."""


class NonceTable:
    """The nonces that this node gave out and that have not been used; bounded.

    Args:
        random: Returns a number of random bytes.
        group: Names the group of hosts whose handshakes count together.
    """

    def __init__(
        self,
        random: Callable[[int], bytes] = secrets.token_bytes,
        group: Callable[[str], str] = group_of,
    ) -> None:
        self._random = random
        self._group = group
        # Each with its group of hosts and the time at which it becomes invalid; the oldest first.
        self._pending: OrderedDict[bytes, tuple[PendingHandshake, str, float]] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of handshakes in progress."""
        return len(self._pending)

    def issue(self, handshake: PendingHandshake, now: float) -> bytes:
        """Draw a fresh nonce for a caller.

        When the table is full, the host with the most handshakes in progress loses its oldest one,
        so that few hosts cannot keep the others out.

        Args:
            handshake: The caller and its connection.
            now: The present time in seconds on the monotonic clock.

        Returns:
            The nonce, 32 bytes.
        """
        self._expire(now)
        group = self._group(handshake.host)
        of_host = Counter(other for _, other, _ in self._pending.values())
        if of_host[group] >= MAX_NONCES_OF_HOST:
            self._drop_oldest(group)
        elif len(self._pending) >= MAX_NONCES:
            self._drop_oldest(max(of_host, key=lambda host: of_host[host]))
        nonce = self._random(NONCE_BYTES)
        self._pending[nonce] = handshake, group, now + NONCE_LIFETIME_S
        return nonce

    def redeem(self, nonce: bytes, node_key: bytes, transport: str, now: float) -> PendingHandshake:
        """Use a nonce. It is invalid from now on, also when this call raises.

        Args:
            nonce: The nonce that the caller sent, 32 bytes if it is one of `issue`.
            node_key: The node key of the caller, 32 bytes.
            transport: gRPC's name of the connection.
            now: The present time in seconds on the monotonic clock.

        Returns:
            The handshake that the nonce belongs to.

        Raises:
            RefusalError: BAD_NONCE when this node did not issue it for this key and connection, or
                it was used or has expired.
        """
        pending, _, expires = self._pending.pop(nonce, (None, "", 0.0))
        if (
            pending is None
            or expires <= now
            or pending.transport != transport
            or pending.identity.node_key != node_key
        ):
            raise RefusalError(
                NetworkCode.BAD_NONCE,
                "nonce: not one that this node gave to this key on this connection within the "
                f"last {NONCE_LIFETIME_S:g} s, or used before; start again with Hello",
                field="nonce",
                limit=f"{NONCE_LIFETIME_S:g} s",
            )
        return pending

    def _drop_oldest(self, group: str) -> None:
        oldest = next(nonce for nonce, (_, other, _) in self._pending.items() if other == group)
        del self._pending[oldest]

    def _expire(self, now: float) -> None:
        # All nonces have the same lifetime, so the oldest come first.
        while self._pending:
            nonce, (_, _, expires) = next(iter(self._pending.items()))
            if expires > now:
                return
            del self._pending[nonce]
