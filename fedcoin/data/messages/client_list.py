"""The list of the clients that may take part in a campaign, as a Merkle tree.

A leaf is an address (20 bytes) and the largest number of examples that its client may claim (8
bytes, big-endian). The chain knows the root (RFC 6962) and the number of leaves; each task proves
its clients by paths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedcoin.data.crypto import merkle
from fedcoin.v1.task_pb2 import Admission, ClientList


@dataclass(frozen=True, slots=True, order=True)
class ListedClient:
    """A client that may take part."""

    address: bytes
    """The address, 20 bytes."""
    max_samples: int
    """The largest number of examples that it may claim, from 1."""

    def encode(self) -> bytes:
        """Return the leaf, 28 bytes."""
        return self.address + self.max_samples.to_bytes(8, "big")


def build_client_list(clients: Sequence[ListedClient]) -> ClientList:
    """Describe a list of clients by its root.

    Args:
        clients: The clients in order; an empty sequence lets anybody take part.

    Returns:
        The tree's root and the number of its leaves, as the chain keeps them; both empty when there
        are no clients.
    """
    if not clients:
        return ClientList()
    return ClientList(root=merkle.root(c.encode() for c in clients), count=len(clients))


def build_admission(clients: Sequence[ListedClient], address: bytes) -> Admission:
    """Prove that a client is on a list.

    Args:
        clients: The whole list, in the order of `build_client_list`.
        address: The address of the client to prove, 20 bytes.

    Returns:
        The proof, for a task's `admissions`; an empty one when the client is not on the list, which
        is enough for an update whose receipt is registered.
    """
    index = next((i for i, client in enumerate(clients) if client.address == address), None)
    if index is None:
        return Admission()
    return Admission(
        index=index,
        max_samples=clients[index].max_samples,
        path=merkle.audit_path([client.encode() for client in clients], index),
    )


def is_admitted(admission: Admission, address: bytes, clients: ClientList) -> bool:
    """Check the proof that a client is on a list.

    Args:
        admission: The proof: the leaf's index and largest number of examples, and the sibling
            hashes.
        address: The address that the client claims, 20 bytes.
        clients: The list's root and number of leaves, from the chain.

    Returns:
        True when the list holds this address with the proof's largest number of examples.
    """
    leaf = ListedClient(address, admission.max_samples).encode()
    return merkle.verify_path(leaf, admission.index, clients.count, admission.path, clients.root)
