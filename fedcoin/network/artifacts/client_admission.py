"""What a private campaign's coordinator sends to whom: model and base, to its clients."""

from __future__ import annotations

from collections.abc import Callable, Set
from dataclasses import dataclass

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.clock import Clock
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.network.artifacts.artifact_admission import (
    artifact_not_found,
    check_proof,
    not_a_reader,
)
from fedcoin.v1.artifact_pb2 import ReaderProof


@dataclass(frozen=True, slots=True)
class ClientArtifacts:
    """What the clients of a private campaign may fetch at present."""

    campaign_id: bytes
    """The campaign's id, 32 bytes; empty before it is on the chain."""
    clients: Set[bytes]
    """The addresses of the clients that may take part, 20 bytes each."""
    artifacts: Set[bytes]
    """The ids of the model, its frozen weights and the present round's base, 32 bytes each."""


class ClientAdmission:
    """The admission of a private campaign's coordinator. Implements `ArtifactAdmission`.

    Args:
        store: The coordinator's artifacts.
        genesis_hash: The genesis hash of the network, 32 bytes.
        server: The coordinator's public key, which proofs must name, 32 bytes.
        present: Tells what clients may fetch.
        clock_ms: The wall clock.
    """

    def __init__(
        self,
        store: ArtifactStore,
        genesis_hash: bytes,
        server: bytes,
        present: Callable[[], ClientArtifacts],
        clock_ms: Clock,
    ) -> None:
        self._store = store
        self._genesis_hash = genesis_hash
        self._server = server
        self._present = present
        self._clock_ms = clock_ms

    def readable(self, id: bytes, proof: ReaderProof | None) -> ArtifactStore:
        """Implement `ArtifactAdmission.readable`: send clients what they train from.

        Raises:
            RefusalError: ARTIFACT_NOT_FOUND without a proof, whatever is asked for;
                BAD_READER_PROOF when the proof is not valid; NOT_A_READER when its key is none of
                the campaign's clients, or the artifact is none that clients get.
        """
        if proof is None:
            raise artifact_not_found(id, has_proof=False)
        context = SigningContext.CLIENT_READER
        reader = check_proof(proof, self._genesis_hash, self._server, self._clock_ms(), context)
        present = self._present()
        if reader.campaign_id != present.campaign_id or reader.address not in present.clients:
            raise not_a_reader("the key is none of this campaign's clients, or names another one")
        if id not in present.artifacts:
            raise not_a_reader(
                f"artifact {id.hex()} is neither the model nor the base of the present round;"
                " clients get no others here"
            )
        return self._store

    def writable(self, proof: ReaderProof | None) -> ArtifactStore:
        """Implement `ArtifactAdmission.writable`: take what clients have announced."""
        return self._store
