"""Client updates: a client's signed word on what it trained."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from fedcoin.data.crypto.addresses import ADDRESS_BYTES, derive_address
from fedcoin.data.crypto.hashing import HASH_BYTES, SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, KeyPair, verify_signature
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_length, check_range, check_size
from fedcoin.data.messages import canonical
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate

MAX_UPDATE_BYTES: Final = 256
"""The most bytes of a serialised ClientUpdate."""

MAX_SAMPLES: Final = 1_000_000_000
"""The most examples that a client may claim to have trained on."""


@dataclass(frozen=True, slots=True)
class Update:
    """A client update whose signature was checked.

    `campaign_id`, `base` and `update` have 32 bytes, `address` 20; `envelope` is the message
    as it travels and must not be changed.
    """

    campaign_id: bytes
    round: int
    base: bytes
    update: bytes
    num_samples: int
    address: bytes
    public_key: bytes
    envelope: SignedUpdate = field(compare=False, repr=False)


def sign_update(update: ClientUpdate, key: KeyPair, chain_id: str) -> SignedUpdate:
    """Sign an update for a chain; its `address` is expected to be the key's."""
    body = canonical.encode(update)
    return SignedUpdate(
        body=body,
        public_key=key.public_key,
        signature=key.sign(SigningContext.UPDATE, chain_id, body),
    )


def decode_update(envelope: SignedUpdate, chain_id: str) -> Update:
    """Check a signed update: size, structure, ranges, signature.

    Raises `Refusal` (TOO_LARGE, MALFORMED, BAD_ADDRESS, BAD_SIGNATURE).
    """
    check_size(envelope.body, MAX_UPDATE_BYTES, "update.body")
    check_length(envelope.public_key, PUBLIC_KEY_BYTES, "update.public_key")
    check_length(envelope.signature, SIGNATURE_BYTES, "update.signature")
    body = canonical.decode(ClientUpdate, envelope.body)
    for name in ("campaign_id", "base", "update"):
        check_length(getattr(body, name), HASH_BYTES, f"update.{name}")
    check_length(body.address, ADDRESS_BYTES, "update.address")
    check_range(body.round, 1, 2**32 - 1, "update.round")
    check_range(body.num_samples, 1, MAX_SAMPLES, "update.num_samples")
    if body.address != derive_address(envelope.public_key):
        raise RefusalError(
            DataCode.BAD_ADDRESS,
            "update.address is not the address of the key that signed the update",
            field="update.address",
        )
    if not verify_signature(
        envelope.public_key, SigningContext.UPDATE, chain_id, envelope.body, envelope.signature
    ):
        raise RefusalError(
            DataCode.BAD_SIGNATURE,
            "update.signature is not the client's signature of this update on this chain",
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
        envelope=envelope,
    )
