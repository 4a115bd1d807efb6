"""Hand in a trained update, or a gentler one when the coordinator refuses it as harmful.

Data of few classes or of another kind than the others' can make an honest update harmful by itself.
Half of its change, or a quarter, usually is not, and is still worth something to the others.

A coordinator could call updates harmful to have more of them than it pays for. So a client that was
refused begins later rounds with the part that was taken, and leaves when all is refused twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from fedcoin.application.client.fetched_model import MAX_ARTIFACT_BYTES
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.artifacts.tensors import decode_tensors, encode_tensors
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.updates import sign_update
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.task_pb2 import ClientUpdate, SignedReceipt, SignedUpdate

PARTS: Final = (1.0, 0.5, 0.25)
"""The parts of the change that are handed in, each after the one before was refused."""


@dataclass(frozen=True, slots=True)
class HandedIn:
    """An update that the coordinator took."""

    signed: SignedUpdate
    """The update with the client's signature."""
    weights: bytes
    """Its weights, as encoded tensors."""
    receipt: SignedReceipt
    """The coordinator's receipt, not checked."""
    part: float
    """The part of the trained change that it holds, one of `PARTS`."""


@dataclass(frozen=True, slots=True)
class UpdateSigner:
    """Signs the updates of one client for one round, of whatever weights."""

    update: ClientUpdate
    """What is signed, but for the artifact id of the weights."""
    key: KeyPair
    """The client's key."""
    genesis_hash: bytes
    """The genesis hash of the network, 32 bytes."""

    def sign(self, weights: bytes) -> SignedUpdate:
        """Sign the update with weights.

        Args:
            weights: The weights, as encoded tensors.

        Returns:
            The signed update.
        """
        update = ClientUpdate()
        update.CopyFrom(self.update)
        update.update = compute_artifact_id(weights)
        return sign_update(update, self.key, self.genesis_hash)


async def hand_in(
    client: FederatedClient,
    signer: UpdateSigner,
    weights: bytes,
    report: Callable[[str], None],
    first: float = 1.0,
) -> HandedIn:
    """Announce, upload and submit an update; a smaller one if it is refused as harmful.

    Args:
        client: The connection to the coordinator.
        signer: Signs the update.
        weights: The trained weights, as encoded tensors.
        report: Gets a line when less is handed in than was trained.
        first: The part of the change to begin with, one of `PARTS`.

    Returns:
        The update that was taken.

    Raises:
        RpcError: The coordinator's refusal; HARMFUL_UPDATE when a quarter of the change is too
            harmful as well.
    """
    for part, following in zip(PARTS, (*PARTS[1:], None), strict=True):
        if part > first:
            continue
        sent = weights
        if part < 1:
            base = await client.download_artifact(signer.update.base, MAX_ARTIFACT_BYTES)
            sent = await asyncio.to_thread(shrink_change, base, weights, part)
        signed = signer.sign(sent)
        try:
            # Announced first, so that a copy of the upload cannot be announced before it.
            await client.announce_update(signed)
            await client.upload_artifact(sent)
            return HandedIn(signed, sent, await client.submit_update(signed), part)
        except RpcError as error:
            if error.code != ApplicationCode.HARMFUL_UPDATE.name or following is None:
                raise
            what = f"handing in {following:g} of the change instead"
            report(f"round {signer.update.round}: {error.message}; {what}")
    raise AssertionError("the last refusal is raised")


def shrink_change(base: bytes, weights: bytes, part: float) -> bytes:
    """Go only a part of the way from the base weights to trained ones.

    Args:
        base: The base weights, as encoded tensors.
        weights: The trained weights, with the same names and shapes.
        part: The part of the way, 0 to 1.

    Returns:
        The weights there, float32, as encoded tensors.
    """
    start, end = decode_tensors(base), decode_tensors(weights)
    step = np.float32(part)
    return encode_tensors({name: start[name] + step * (end[name] - start[name]) for name in end})
