"""Which store a caller's artifacts come from and go to: everybody's, or a private campaign's room.

A call without a proof is about what everybody may have. A call with one names a private campaign
(`data.artifacts.reader_proofs`), and gets what is held for that campaign, and nothing else. Who
asks without a proof, or for another campaign, is answered as if the artifact were not there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fedcoin.contract.queries.artifact_readers import may_read, may_write
from fedcoin.contract.state.overlay import StateReader
from fedcoin.data.artifacts.reader_proofs import Reader, verify_reader_proof
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock, unix_ms
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.v1.artifact_pb2 import ReaderProof

_MayUse = Callable[[StateReader, int, bytes, bytes], bool]


class ArtifactAdmission(Protocol):
    """Chooses the store that a call reads or writes, and refuses who may use neither."""

    def readable(self, id: bytes, proof: ReaderProof | None) -> ArtifactStore:
        """Choose the store that an artifact is read from.

        Args:
            id: The artifact's id, 32 bytes.
            proof: The caller's proof; None without one.

        Returns:
            The store, which may lack the artifact.

        Raises:
            RefusalError: BAD_READER_PROOF when the proof is not valid; NOT_A_READER when its key
                may not read; ARTIFACT_NOT_FOUND when nothing is held for its campaign.
        """

    def writable(self, proof: ReaderProof | None) -> ArtifactStore:
        """Choose the store that an artifact is uploaded to.

        Args:
            proof: The caller's proof; None without one.

        Returns:
            The store.

        Raises:
            RefusalError: BAD_READER_PROOF when the proof is not valid; NOT_A_READER when its key
                may not upload for the campaign.
        """


class OpenAdmission:
    """The admission of a listener that serves one store to all of its callers.

    Args:
        store: The store. Nothing in its rooms is served.
    """

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def readable(self, id: bytes, proof: ReaderProof | None) -> ArtifactStore:
        """Implement `ArtifactAdmission.readable`: serve no private campaign."""
        return self.writable(proof)

    def writable(self, proof: ReaderProof | None) -> ArtifactStore:
        """Implement `ArtifactAdmission.writable`: serve no private campaign."""
        if proof is not None:
            raise not_a_reader("this server holds artifacts of no private campaign")
        return self._store


class ChainAdmission:
    """The admission of a node: the chain says who reads a private campaign's artifacts.

    Args:
        store: The node's artifacts.
        chain: The node's chain.
        server: The node's key, which proofs must name, 32 bytes.
        clock_ms: The wall clock.
    """

    def __init__(
        self, store: ArtifactStore, chain: ChainPort, server: bytes, clock_ms: Clock = unix_ms
    ) -> None:
        self._store = store
        self._chain = chain
        self._server = server
        self._clock_ms = clock_ms

    def readable(self, id: bytes, proof: ReaderProof | None) -> ArtifactStore:
        """Implement `ArtifactAdmission.readable`."""
        if proof is None:
            return self._store
        # A room that is missing is not made: its campaign may be anybody's.
        room = self._store.rooms().get(self._check(proof, may_read))
        if room is None:
            raise artifact_not_found(id)
        return room

    def writable(self, proof: ReaderProof | None) -> ArtifactStore:
        """Implement `ArtifactAdmission.writable`."""
        return self._store.room(b"" if proof is None else self._check(proof, may_write))

    def _check(self, proof: ReaderProof, may_use: _MayUse) -> bytes:
        """Return the campaign that a proof names, if its key may use what is held for it."""
        chain = self._chain
        reader = check_proof(proof, chain.genesis.hash, self._server, self._clock_ms())
        header = chain.store.header(chain.height())
        time_ms = header.time_ms if header is not None else chain.genesis.time_ms
        if not may_use(chain.ledger.reader, time_ms, reader.campaign_id, reader.address):
            raise not_a_reader(
                f"{format_address(reader.address)} may not use artifacts of campaign"
                f" {reader.campaign_id.hex()} here: it is none of its readers, or the campaign is"
                " not private, or not on this node's chain"
            )
        return reader.campaign_id


def check_proof(
    proof: ReaderProof,
    genesis_hash: bytes,
    server: bytes,
    now_ms: int,
    context: SigningContext = SigningContext.READER,
) -> Reader:
    """Verify a caller's proof.

    Args:
        proof: The proof, as it was received.
        genesis_hash: The genesis hash of the network, 32 bytes.
        server: The key that it must name, 32 bytes.
        now_ms: The server's time, Unix ms.
        context: The purpose that it must be signed for.

    Returns:
        Who asks, and for which campaign.

    Raises:
        RefusalError: BAD_READER_PROOF when it is not valid.
    """
    try:
        return verify_reader_proof(proof, genesis_hash, server, now_ms, context)
    except RefusalError as refusal:
        raise RefusalError(
            NetworkCode.BAD_READER_PROOF,
            refusal.message,
            field=refusal.field,
            limit=refusal.limit,
        ) from None


def not_a_reader(why: str) -> RefusalError:
    """Make the refusal of a caller whose key may not use a campaign's artifacts.

    Args:
        why: What is wrong, and what to do.

    Returns:
        A refusal with code NOT_A_READER, which the caller raises.
    """
    return RefusalError(NetworkCode.NOT_A_READER, why, field="proof")


def artifact_not_found(id: bytes, *, has_proof: bool = True) -> RefusalError:
    """Make the refusal of a call for an artifact that is not there for its caller.

    It says the same whether or not the artifact is held for a private campaign.

    Args:
        id: The artifact's id, 32 bytes.
        has_proof: Whether the caller has sent a proof.

    Returns:
        A refusal with code ARTIFACT_NOT_FOUND, which the caller raises.
    """
    hint = (
        "; what is held for a private campaign is sent to its readers alone: name the campaign and"
        " prove a reader's key"
    )
    return RefusalError(
        NetworkCode.ARTIFACT_NOT_FOUND,
        f"id: this node does not hold artifact {id.hex()}{'' if has_proof else hint}",
        field="id",
    )
