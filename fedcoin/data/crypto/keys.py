"""Ed25519 keys (RFC 8032, by libsodium): signing and checking signatures.

A signature is over `hashing.signing_digest`, never over bare bytes. Whether it is valid is
what libsodium says: it refuses keys of small order and encodings that are not canonical, and
every node must say the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from nacl import bindings
from nacl.exceptions import BadSignatureError

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import SigningContext, signing_digest
from fedcoin.data.errors import DataCode, RefusalError

SEED_BYTES: Final = 32
PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A secret seed with the public key and the address that follow from it."""

    seed: bytes = field(repr=False)
    public_key: bytes
    address: bytes
    _secret: bytes = field(repr=False, compare=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """The key pair of a 32-byte seed. Raises `Refusal` (BAD_KEY) for another length."""
        if len(seed) != SEED_BYTES:
            raise RefusalError(
                DataCode.BAD_KEY,
                f"a key's seed has {SEED_BYTES} bytes, not {len(seed)}",
                field="seed",
                limit=str(SEED_BYTES),
            )
        public_key, secret = bindings.crypto_sign_seed_keypair(seed)
        return cls(seed, public_key, derive_address(public_key), secret)

    @classmethod
    def generate(cls) -> KeyPair:
        """A new key pair from the operating system's randomness."""
        return cls.from_seed(bindings.randombytes(SEED_BYTES))

    def sign(self, context: SigningContext, chain_id: str, body: bytes) -> bytes:
        """The 64-byte signature of `body` for one purpose on one chain."""
        digest = signing_digest(context, chain_id, body)
        return bindings.crypto_sign(digest, self._secret)[:SIGNATURE_BYTES]


def verify_signature(
    public_key: bytes, context: SigningContext, chain_id: str, body: bytes, signature: bytes
) -> bool:
    """Is this the key's signature of `body` for this purpose on this chain?

    Anything that is not 32 and 64 bytes long is not.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    digest = signing_digest(context, chain_id, body)
    try:
        bindings.crypto_sign_open(signature + digest, public_key)
    except BadSignatureError:
        return False
    return True
