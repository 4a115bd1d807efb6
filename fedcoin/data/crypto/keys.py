"""Ed25519 keys (RFC 8032, by libsodium): signing and verifying signatures.

A signature covers `hashing.signing_digest`, never bare bytes. libsodium decides whether it is
valid: it refuses keys of small order and encodings that are not canonical. All nodes must decide
this in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from nacl import bindings
from nacl.exceptions import BadSignatureError

from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import SigningContext, signing_digest
from fedcoin.data.errors import DataCode
from fedcoin.data.field_checks import check_length

SEED_BYTES: Final = 32
"""The length of a secret seed, in bytes."""
PUBLIC_KEY_BYTES: Final = 32
"""The length of a public key, in bytes."""
SIGNATURE_BYTES: Final = 64
"""The length of a signature, in bytes."""


class SigningKey(Protocol):
    """Something that signs with one key: a `KeyPair`, or a process that holds one."""

    @property
    def public_key(self) -> bytes:
        """The Ed25519 public key, 32 bytes."""

    @property
    def address(self) -> bytes:
        """The address, 20 bytes."""

    def sign(self, context: SigningContext, genesis_hash: bytes, body: bytes) -> bytes:
        """Sign bytes for one purpose on one chain. May block for a few ms.

        Args:
            context: The purpose of the signature.
            genesis_hash: The genesis hash of the network that the signature is valid for, 32 bytes.
            body: The bytes to sign.

        Returns:
            The signature, 64 bytes.

        Raises:
            RefusalError: The process that holds the key refuses, or cannot be reached.
        """


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A secret seed with the public key and the address that follow from it."""

    seed: bytes = field(repr=False)
    """32 bytes; secret."""
    public_key: bytes
    """The Ed25519 public key, 32 bytes."""
    address: bytes
    """The address, 20 bytes."""
    _secret: bytes = field(repr=False, compare=False)

    @classmethod
    def from_seed(cls, seed: bytes) -> KeyPair:
        """Derive the key pair of a seed.

        Args:
            seed: The secret seed, 32 bytes.

        Returns:
            The key pair.

        Raises:
            RefusalError: BAD_KEY when the seed does not have 32 bytes.
        """
        check_length(seed, SEED_BYTES, "seed", code=DataCode.BAD_KEY)
        public_key, secret = bindings.crypto_sign_seed_keypair(seed)
        return cls(seed, public_key, derive_address(public_key), secret)

    @classmethod
    def generate(cls) -> KeyPair:
        """Generate a new key pair from the operating system's randomness."""
        return cls.from_seed(bindings.randombytes(SEED_BYTES))

    def sign(self, context: SigningContext, genesis_hash: bytes, body: bytes) -> bytes:
        """Sign bytes for one purpose on one chain.

        Args:
            context: The purpose of the signature.
            genesis_hash: The genesis hash of the network that the signature is valid for, 32 bytes.
            body: The bytes to sign.

        Returns:
            The signature, 64 bytes.
        """
        digest = signing_digest(context, genesis_hash, body)
        return bindings.crypto_sign(digest, self._secret)[:SIGNATURE_BYTES]


def is_public_key(value: bytes) -> bool:
    """Tell whether some key could sign for a public key.

    Args:
        value: Any bytes.

    Returns:
        True for the 32 bytes of a point of libsodium's main subgroup; False for others, whose
        signatures are never valid.
    """
    if len(value) != PUBLIC_KEY_BYTES:
        return False
    return bool(bindings.crypto_core_ed25519_is_valid_point(value))


def verify_signature(
    public_key: bytes, context: SigningContext, genesis_hash: bytes, body: bytes, signature: bytes
) -> bool:
    """Verify a signature for one purpose on one chain.

    Args:
        public_key: The signer's Ed25519 public key, 32 bytes.
        context: The purpose of the signature.
        genesis_hash: The genesis hash of the network that the signature must be valid for, 32
            bytes.
        body: The bytes that were signed.
        signature: The Ed25519 signature, 64 bytes.

    Returns:
        True when the signature is valid; False when it is not, or when key or signature do not
        have 32 and 64 bytes.
    """
    return verify_digest(public_key, signing_digest(context, genesis_hash, body), signature)


def verify_digest(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Verify a signature of a digest, for callers that verify several of one digest.

    Args:
        public_key: The signer's Ed25519 public key, 32 bytes.
        digest: What `hashing.signing_digest` returned, 32 bytes.
        signature: The Ed25519 signature, 64 bytes.

    Returns:
        True when the signature is valid; False when it is not, or when key or signature do not
        have 32 and 64 bytes.
    """
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        bindings.crypto_sign_open(signature + digest, public_key)
    except BadSignatureError:
        return False
    return True
