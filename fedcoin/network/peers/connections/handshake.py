"""Who is there: the two calls by which peers prove their node keys to each other.

::

    caller                                   server
      Hello(identity, nonce A)          ->     same chain, genesis, protocol? room? banned?
      same chain? the key expected?     <-     identity, nonce B, sign(01 A caller server)
      Authenticate(key, B, sign(02 B server caller))
                                        <-     session

Each side signs the other's fresh nonce together with both keys and its own part in the
play (01 serves, 02 calls): without that byte, somebody could have his proof to one node made
by asking another node for an answer to Hello. A nonce is good once, for ten seconds, from
the connection and for the key that it was given to.

Nothing here does I/O or looks at a clock.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from fedcoin.data.crypto.hashing import HASH_BYTES, SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, KeyPair, verify_signature
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.network.errors import NetworkCode
from fedcoin.network.options import PROTOCOL_VERSION
from fedcoin.network.peers.connections.endpoints import Endpoint, parse_endpoint
from fedcoin.v1.peer_service_pb2 import NodeIdentity

NONCE_BYTES = 32
NONCE_LIFETIME_S = 10.0
MAX_AGENT_CHARACTERS = 64
MAX_CHAIN_ID_CHARACTERS = 64
MAX_NONCES = 1024
"""The most handshakes under way at once."""
MAX_NONCES_OF_HOST = 64
"""The most of them from one host; a further one takes the oldest one's place."""


class Role(bytes, Enum):
    """What the signer of a proof does in the handshake."""

    SERVER = b"\x01"
    CALLER = b"\x02"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is and says of itself; only the key is ever proved."""

    node_key: bytes
    agent: str
    endpoint: Endpoint | None
    height: int


def sign_proof(key: KeyPair, chain_id: str, role: Role, nonce: bytes, other_key: bytes) -> bytes:
    """Prove the own key to who chose `nonce` (32 bytes) and has `other_key`; 64 bytes."""
    return key.sign(
        SigningContext.HELLO, chain_id, _proof_body(role, nonce, other_key, key.public_key)
    )


def check_proof(
    signature: bytes, chain_id: str, role: Role, nonce: bytes, own_key: bytes, signer_key: bytes
) -> None:
    """Check that `signer_key` signed our nonce for us. Raises Refusal BAD_PROOF."""
    body = _proof_body(role, nonce, own_key, signer_key)
    if not verify_signature(signer_key, SigningContext.HELLO, chain_id, body, signature):
        raise RefusalError(
            NetworkCode.BAD_PROOF,
            "signature: it does not prove the node key; sign this handshake's nonce with it",
            field="signature",
        )


def _proof_body(role: Role, nonce: bytes, verifier_key: bytes, signer_key: bytes) -> bytes:
    return role.value + nonce + verifier_key + signer_key


def encode_identity(
    genesis: Genesis, node_key: bytes, agent: str, listen_address: str, height: int
) -> NodeIdentity:
    """Tell who this node is."""
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
    """Check that somebody belongs to our network and is not ourselves.

    Raises Refusal: MALFORMED, BAD_HOST, WRONG_PROTOCOL, WRONG_CHAIN, WRONG_GENESIS,
    SELF_CONNECTION.
    """
    if len(message.chain_id) > MAX_CHAIN_ID_CHARACTERS:
        raise _malformed("identity.chain_id", f"at most {MAX_CHAIN_ID_CHARACTERS} characters")
    if len(message.agent) > MAX_AGENT_CHARACTERS or not _printable(message.agent):
        raise _malformed("identity.agent", f"at most {MAX_AGENT_CHARACTERS} printable characters")
    check_bytes("identity.genesis_hash", message.genesis_hash, HASH_BYTES)
    check_bytes("identity.node_key", message.node_key, PUBLIC_KEY_BYTES)
    endpoint = None
    if message.listen_address:
        endpoint = parse_endpoint(message.listen_address, "identity.listen_address")
    _check_network(message, genesis)
    if message.node_key == own_key:
        raise RefusalError(
            NetworkCode.SELF_CONNECTION,
            "identity.node_key: this is our own key; a node does not dial itself",
            field="identity.node_key",
        )
    return Identity(message.node_key, message.agent, endpoint, message.height)


def _check_network(message: NodeIdentity, genesis: Genesis) -> None:
    if message.protocol_version != PROTOCOL_VERSION:
        raise RefusalError(
            NetworkCode.WRONG_PROTOCOL,
            f"identity.protocol_version: {message.protocol_version}, but this node speaks "
            f"{PROTOCOL_VERSION}; the older program of the two needs an update",
            field="identity.protocol_version",
            limit=str(PROTOCOL_VERSION),
        )
    if message.chain_id != genesis.chain_id:
        raise RefusalError(
            NetworkCode.WRONG_CHAIN,
            f"identity.chain_id: {message.chain_id!r}, but this node is of {genesis.chain_id!r}",
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


def check_bytes(field: str, value: bytes, length: int) -> None:
    """Refuse a field that has not exactly so many bytes. Raises Refusal MALFORMED."""
    if len(value) != length:
        raise _malformed(field, f"exactly {length} bytes", f"{len(value)} bytes, ")


def check_signature_field(field: str, value: bytes) -> None:
    """Refuse what cannot be an Ed25519 signature. Raises Refusal MALFORMED."""
    check_bytes(field, value, SIGNATURE_BYTES)


def _malformed(field: str, wanted: str, found: str = "") -> RefusalError:
    return RefusalError(
        NetworkCode.MALFORMED, f"{field}: {found}must be {wanted}", field=field, limit=wanted
    )


def _printable(text: str) -> bool:
    return all(character.isprintable() for character in text)


@dataclass(frozen=True, slots=True)
class Pending:
    """A handshake between its two calls."""

    identity: Identity
    transport: str
    """gRPC's name of the connection, with the port."""
    host: str
    expires: float


class Nonces:
    """The nonces that this node gave out and that were not used yet; bounded."""

    def __init__(self, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random = random
        self._pending: OrderedDict[bytes, Pending] = OrderedDict()

    def __len__(self) -> int:
        """How many handshakes are under way."""
        return len(self._pending)

    def issue(self, identity: Identity, transport: str, host: str, now: float) -> bytes:
        """A fresh nonce for one caller. Raises Refusal NO_ROOM when too many are under way."""
        self._expire(now)
        of_host = [nonce for nonce, pending in self._pending.items() if pending.host == host]
        if len(of_host) >= MAX_NONCES_OF_HOST:
            del self._pending[of_host[0]]
        if len(self._pending) >= MAX_NONCES:
            raise RefusalError(
                NetworkCode.NO_ROOM,
                f"{MAX_NONCES} handshakes are under way; come back later",
                limit=str(MAX_NONCES),
            )
        nonce = self._random(NONCE_BYTES)
        self._pending[nonce] = Pending(identity, transport, host, now + NONCE_LIFETIME_S)
        return nonce

    def redeem(self, nonce: bytes, node_key: bytes, transport: str, now: float) -> Pending:
        """What a nonce was given out for; it is spent in any case. Raises Refusal BAD_NONCE."""
        pending = self._pending.pop(nonce, None)
        if (
            pending is None
            or pending.expires <= now
            or pending.transport != transport
            or pending.identity.node_key != node_key
        ):
            raise RefusalError(
                NetworkCode.BAD_NONCE,
                "nonce: not one that this node gave to this key on this connection within the "
                f"last {NONCE_LIFETIME_S:g} s, or used before; begin again with Hello",
                field="nonce",
                limit=f"{NONCE_LIFETIME_S:g} s",
            )
        return pending

    def _expire(self, now: float) -> None:
        # All live equally long, so the oldest come first.
        while self._pending:
            nonce, pending = next(iter(self._pending.items()))
            if pending.expires > now:
                return
            del self._pending[nonce]
