"""Proofs of readers: a key asks one server for the artifacts of one private campaign.

The chain knows addresses and no node keys, so whoever asks signs a short statement. It names the
server that is asked, so that this server cannot show it to another one, and the campaign, and it
expires after minutes. What is signed for a coordinator is nothing to a node: a client takes the
coordinator's own word for its key, and may be a reader or a miner as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import HASH_BYTES, SigningContext
from fedcoin.data.crypto.keys import (
    PUBLIC_KEY_BYTES,
    SIGNATURE_BYTES,
    SigningKey,
    verify_signature,
)
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range, check_size
from fedcoin.data.lru import LruDict
from fedcoin.data.messages import canonical
from fedcoin.v1.artifact_pb2 import ReaderProof, ReaderStatement

MAX_VALIDITY_MS: Final = 600_000
"""How far ahead of the server's clock a statement may expire, in ms."""

_VALIDITY_MS: Final = 300_000
"""For how long this program's statements hold, in ms."""
_MAX_STATEMENT_BYTES: Final = 128
_MAX_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Reader:
    """Who asks for which campaign's artifacts, as a proof has shown."""

    address: bytes
    """The address of the key that signed, 20 bytes."""
    campaign_id: bytes
    """The campaign's id, 32 bytes."""


def sign_reader_proof(
    key: SigningKey,
    genesis_hash: bytes,
    server: bytes,
    campaign_id: bytes,
    expires_ms: int,
    context: SigningContext = SigningContext.READER,
) -> ReaderProof:
    """Sign that a key asks a server for a campaign's artifacts. May block, as `SigningKey.sign`.

    Args:
        key: The reader's key.
        genesis_hash: The genesis hash of the network, 32 bytes.
        server: The public key of the server that is asked, 32 bytes.
        campaign_id: The campaign's id, 32 bytes.
        expires_ms: Until when the proof holds, Unix ms.
        context: What is asked: a node, or a coordinator by `CLIENT_READER`.

    Returns:
        The proof, ready to be sent.
    """
    statement = ReaderStatement(server=server, campaign_id=campaign_id, expires_ms=expires_ms)
    body = canonical.encode(statement)
    return ReaderProof(
        body=body,
        public_key=key.public_key,
        signature=key.sign(context, genesis_hash, body),
    )


def verify_reader_proof(
    proof: ReaderProof,
    genesis_hash: bytes,
    server: bytes,
    now_ms: int,
    context: SigningContext = SigningContext.READER,
) -> Reader:
    """Verify a proof.

    Args:
        proof: The proof, as it was received.
        genesis_hash: The genesis hash of the network that it must be signed for, 32 bytes.
        server: The public key that it must name, 32 bytes.
        now_ms: The server's time, Unix ms.
        context: The purpose that it must be signed for, as in `sign_reader_proof`.

    Returns:
        Who asks, and for which campaign.

    Raises:
        RefusalError: TOO_LARGE or MALFORMED when it is not well-formed, names another server, has
            expired or holds for too long; BAD_SIGNATURE when its key did not sign it for this
            network.
    """
    check_size(proof.body, _MAX_STATEMENT_BYTES, "proof.body")
    check_length(proof.public_key, PUBLIC_KEY_BYTES, "proof.public_key")
    check_length(proof.signature, SIGNATURE_BYTES, "proof.signature")
    statement = canonical.decode(ReaderStatement, proof.body)
    check_length(statement.server, PUBLIC_KEY_BYTES, "proof.body.server")
    check_length(statement.campaign_id, HASH_BYTES, "proof.body.campaign_id")
    if statement.server != server:
        raise RefusalError(
            DataCode.MALFORMED,
            f"proof.body.server is {statement.server.hex()}; this server has the key"
            f" {server.hex()}: sign for the server that is asked",
            field="proof.body.server",
            limit=server.hex(),
        )
    check_range(statement.expires_ms, now_ms + 1, now_ms + MAX_VALIDITY_MS, "proof.body.expires_ms")
    if not verify_signature(proof.public_key, context, genesis_hash, proof.body, proof.signature):
        raise RefusalError(
            DataCode.BAD_SIGNATURE,
            "proof.signature is not a signature of proof.body by proof.public_key for this network",
            field="proof.signature",
        )
    return Reader(derive_address(proof.public_key), statement.campaign_id)


class ReaderKey:
    """Proves who a reader is to servers. A proof is signed again when half of its time has passed.

    Safe to use from several threads; two of them may sign the same proof.

    Args:
        key: The reader's key.
        genesis_hash: The genesis hash of the network, 32 bytes.
        clock_ms: The wall clock.
        context: What is asked, as in `sign_reader_proof`.
    """

    def __init__(
        self,
        key: SigningKey,
        genesis_hash: bytes,
        clock_ms: Clock = unix_ms,
        context: SigningContext = SigningContext.READER,
    ) -> None:
        self._key = key
        self._context = context
        self._genesis_hash = genesis_hash
        self._clock_ms = clock_ms
        self._proofs: LruDict[tuple[bytes, bytes], tuple[int, ReaderProof]] = LruDict(_MAX_KEPT)

    @property
    def address(self) -> bytes:
        """The reader's address, 20 bytes."""
        return self._key.address

    def prove(self, server: bytes, campaign_id: bytes) -> ReaderProof:
        """Make the proof for a server and a campaign. May block, as `SigningKey.sign` may.

        Args:
            server: The public key of the server, 32 bytes.
            campaign_id: The campaign's id, 32 bytes.

        Returns:
            A proof that holds for some minutes.

        Raises:
            RefusalError: The process that holds the key refuses, or cannot be reached.
        """
        now = self._clock_ms()
        kept = self._proofs.get((server, campaign_id))
        if kept is not None and kept[0] - now > _VALIDITY_MS // 2:
            return kept[1]
        expires = now + _VALIDITY_MS
        proof = sign_reader_proof(
            self._key, self._genesis_hash, server, campaign_id, expires, self._context
        )
        self._proofs.put((server, campaign_id), (expires, proof))
        return proof
