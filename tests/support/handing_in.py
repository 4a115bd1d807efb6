"""How a client hands in an update: it announces it, uploads the weights, and submits it."""

from __future__ import annotations

from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.v1.task_pb2 import SignedUpdate


async def hand_in_update(
    client: FederatedClient, update: SignedUpdate, weights: bytes | None = None
) -> None:
    """Hand in an update; without weights, nothing is uploaded."""
    await client.announce_update(update)
    if weights is not None:
        await client.upload_artifact(weights)
    await client.submit_update(update)
