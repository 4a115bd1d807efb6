"""Client updates: a client's signed statement of what it trained, from which base weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto.addresses import ADDRESS_BYTES, derive_address
from fedcoin.data.crypto.hashing import HASH_BYTES, SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, KeyPair, verify_signature
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range, check_size
from fedcoin.data.messages import canonical
from fedcoin.data.messages.client_names import check_name
from fedcoin.data.messages.privacy_claims import check_privacy
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate

_MAX_UPDATE_BYTES: Final = 256
"""The largest size of a serialised ClientUpdate, in bytes."""

_MAX_SAMPLES: Final = 1_000_000_000
"""The largest number of examples that a client may claim to have trained on."""


@dataclass(frozen=True, slots=True)
class Update:
    """A client update whose signature was verified."""

    campaign_id: bytes
    """The campaign's id, 32 bytes."""
    round: int
    """The round's number, from 1."""
    base: bytes
    """Artifact id of the weights that the client started from, 32 bytes."""
    update: bytes
    """Artifact id of the weights that it ended with, 32 bytes."""
    num_samples: int
    """The number of examples that it trained on, from 1."""
    address: bytes
    """The address that is paid, 20 bytes: that of `public_key`."""
    public_key: bytes
    """The client's Ed25519 key, 32 bytes."""
    name: str
    """What the client calls itself; empty when it gave no name. Nobody checks it."""
    envelope: SignedUpdate = field(compare=False, repr=False)
    """The signed message, as it is sent and stored; must not be changed."""


def sign_update(update: ClientUpdate, key: KeyPair, genesis_hash: bytes) -> SignedUpdate:
    """Sign a client update.

    Args:
        update: What to sign; its `address` must be that of the key.
        key: The client's key.
        genesis_hash: The genesis hash of the network that it is signed for, 32 bytes.

    Returns:
        The signed message, ready to be sent.
    """
    body = canonical.encode(update)
    return SignedUpdate(
        body=body,
        public_key=key.public_key,
        signature=key.sign(SigningContext.UPDATE, genesis_hash, body),
    )


def decode_update(envelope: SignedUpdate, genesis_hash: bytes) -> Update:
    """Decode a client update and verify its signature.

    Args:
        envelope: The signed message, as it was received.
        genesis_hash: The genesis hash of the network that it must be signed for, 32 bytes.

    Returns:
        The update's fields, with the signed form in `envelope`.

    Raises:
        RefusalError: TOO_LARGE when the body has too many bytes; MALFORMED when it is not
            canonical, an id, round or number of examples is out of range, or a claim is not
            allowed, as in `check_name` and `check_privacy`; BAD_ADDRESS when the address is not
            that of the key; BAD_SIGNATURE when the key has not signed it for this network.
    """
    check_size(envelope.body, _MAX_UPDATE_BYTES, "update.body")
    check_length(envelope.public_key, PUBLIC_KEY_BYTES, "update.public_key")
    check_length(envelope.signature, SIGNATURE_BYTES, "update.signature")
    body = canonical.decode(ClientUpdate, envelope.body)
    for name in ("campaign_id", "base", "update"):
        check_length(getattr(body, name), HASH_BYTES, f"update.{name}")
    check_length(body.address, ADDRESS_BYTES, "update.address")
    check_range(body.round, 1, 2**32 - 1, "update.round")
    check_range(body.num_samples, 1, _MAX_SAMPLES, "update.num_samples")
    check_name(body.name, "update.name")
    if body.HasField("privacy"):
        check_privacy(body.privacy)
    if body.address != derive_address(envelope.public_key):
        raise RefusalError(
            DataCode.BAD_ADDRESS,
            "update.address is not the address of the key that signed the update",
            field="update.address",
        )
    if not verify_signature(
        envelope.public_key, SigningContext.UPDATE, genesis_hash, envelope.body, envelope.signature
    ):
        raise RefusalError(
            DataCode.BAD_SIGNATURE,
            "update.signature is not a signature of this update by update.public_key for this "
            "network",
            field="update.signature",
        )
    return Update(
        campaign_id=body.campaign_id,
        round=body.round,
        base=body.base,
        update=body.update,
        num_samples=body.num_samples,
        address=body.address,
        public_key=envelope.public_key,
        name=body.name,
        envelope=envelope,
    )
