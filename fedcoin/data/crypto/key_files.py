"""Keys on disk: one JSON file for each key, readable by its owner alone.

Without a passphrase the file holds the seed in hex. With one, the seed is encrypted with
XSalsa20-Poly1305 (libsodium's secretbox) under a key that Argon2id (RFC 9106) derives from the
passphrase.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from nacl import pwhash, utils
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from fedcoin.data.atomic_files import publish_file
from fedcoin.data.crypto.addresses import derive_address, format_address
from fedcoin.data.crypto.keys import SEED_BYTES, KeyPair
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.private_files import find_exposure

_FILE_VERSION: Final = 1
"""The version of key files that this program reads and writes."""

_MAX_FILE_BYTES: Final = 65_536

# Bounds of the cost that a file may ask for, so that opening a forged file cannot exhaust the
# computer's time or memory.
_MAX_OPSLIMIT: Final = 16
_MAX_MEMLIMIT: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Argon2Cost:
    """The cost parameters of Argon2id, which make each guess of a passphrase expensive."""

    opslimit: int = pwhash.argon2id.OPSLIMIT_MODERATE
    """The number of passes over the memory."""
    memlimit: int = pwhash.argon2id.MEMLIMIT_MODERATE
    """The memory in bytes."""


@dataclass(frozen=True, slots=True)
class KeyFileInfo:
    """The fields of a key file that can be read without its passphrase."""

    public_key: bytes
    """The Ed25519 public key, 32 bytes."""
    address: bytes
    """The address, 20 bytes."""
    is_encrypted: bool
    """Whether a passphrase is needed to read the seed."""


def save_key(
    path: Path, key: KeyPair, passphrase: str | None = None, cost: Argon2Cost = Argon2Cost()
) -> None:
    """Write a key to a new file that its owner alone can read (mode 0600).

    Args:
        path: The file to create.
        key: The key to write.
        passphrase: Encrypts the seed; None or an empty string leaves it unencrypted.
        cost: The time and memory that each guess of the passphrase takes.

    Raises:
        RefusalError: BAD_KEY_FILE when the file `path` exists, since a key is never overwritten.
    """
    content: dict[str, object] = {
        "version": _FILE_VERSION,
        "address": format_address(key.address),
        "public_key": key.public_key.hex(),
    }
    if passphrase:
        content["sealed"] = _encrypt(key.seed, passphrase, cost)
    else:
        content["seed"] = key.seed.hex()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(json.dumps(content, indent=2) + "\n")
        publish_file(part, path)
    except FileExistsError:
        raise _refused(path, "exists already; a key is never overwritten") from None
    finally:
        part.unlink(missing_ok=True)


def load_key(path: Path, passphrase: str | None = None) -> KeyPair:
    """Read a key from a file.

    Args:
        path: The key file.
        passphrase: Decrypts the seed; ignored when the seed is not encrypted.

    Returns:
        The key.

    Raises:
        FileNotFoundError: When the file is missing.
        RefusalError: BAD_KEY_FILE when others than the owner can read the file, or it is not a
            key file; WRONG_PASSPHRASE when the passphrase is missing or wrong.
    """
    content = _read(path)
    if "sealed" in content:
        seed: bytes | None = _decrypt(path, content["sealed"], passphrase)
    else:
        seed = _decode_hex(content.get("seed"))
    if seed is None or len(seed) != SEED_BYTES:
        raise _refused(path, f"has no seed of {SEED_BYTES} bytes in hex")
    key = KeyPair.from_seed(seed)
    if key.public_key != _info(path, content).public_key:
        raise _refused(path, "names a public key that does not belong to its seed")
    return key


def inspect_key(path: Path) -> KeyFileInfo:
    """Read which key a file holds, without the passphrase.

    Args:
        path: The key file.

    Returns:
        The public key, the address, and whether the seed is encrypted.

    Raises:
        FileNotFoundError: When the file is missing.
        RefusalError: BAD_KEY_FILE when others than the owner can read the file, or it is not a
            key file.
    """
    return _info(path, _read(path))


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        exposure = find_exposure(file.fileno())
        if exposure:
            raise _refused(path, exposure)
        raw = file.read(_MAX_FILE_BYTES + 1)
    if len(raw) > _MAX_FILE_BYTES:
        raise _refused(path, "is too large for a key file")
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        raise _refused(path, "is not JSON") from None
    if not isinstance(content, dict) or not isinstance(content.get("version"), int):
        raise _refused(path, "is not a key file: it has no version")
    if content["version"] != _FILE_VERSION:
        raise _refused(
            path, f"has version {content['version']}; this program reads version {_FILE_VERSION}"
        )
    return content


def _info(path: Path, content: dict[str, Any]) -> KeyFileInfo:
    public_key = _decode_hex(content.get("public_key"))
    if public_key is None or len(public_key) != SEED_BYTES:
        raise _refused(path, "has no public_key of 32 bytes in hex")
    address = derive_address(public_key)
    if content.get("address") != format_address(address):
        raise _refused(path, "names an address that does not belong to its public key")
    return KeyFileInfo(public_key, address, "sealed" in content)


def _encrypt(seed: bytes, passphrase: str, cost: Argon2Cost) -> dict[str, object]:
    salt = utils.random(pwhash.argon2id.SALTBYTES)
    secret = _derive_key(passphrase, salt, cost)
    return {
        "kdf": "argon2id",
        "opslimit": cost.opslimit,
        "memlimit": cost.memlimit,
        "salt": salt.hex(),
        "box": bytes(SecretBox(secret).encrypt(seed)).hex(),
    }


def _decrypt(path: Path, sealed: object, passphrase: str | None) -> bytes:
    if not isinstance(sealed, dict) or sealed.get("kdf") != "argon2id":
        raise _refused(path, "is encrypted by a method that this program does not know")
    salt, box = _decode_hex(sealed.get("salt")), _decode_hex(sealed.get("box"))
    cost = _read_cost(sealed)
    if salt is None or box is None or len(salt) != pwhash.argon2id.SALTBYTES or cost is None:
        raise _refused(path, "is encrypted, but its salt, box or limits are damaged")
    if not passphrase:
        raise RefusalError(
            DataCode.WRONG_PASSPHRASE,
            f"the key in {path} is encrypted: give its passphrase",
            field="passphrase",
        )
    secret = _derive_key(passphrase, salt, cost)
    try:
        return SecretBox(secret).decrypt(box)
    except (CryptoError, ValueError):
        raise RefusalError(
            DataCode.WRONG_PASSPHRASE,
            f"the passphrase is not that of {path}, or the file is damaged",
            field="passphrase",
        ) from None


def _derive_key(passphrase: str, salt: bytes, cost: Argon2Cost) -> bytes:
    return pwhash.argon2id.kdf(
        SecretBox.KEY_SIZE,
        passphrase.encode(),
        salt,
        opslimit=cost.opslimit,
        memlimit=cost.memlimit,
    )


def _decode_hex(text: object) -> bytes | None:
    try:
        return bytes.fromhex(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _read_cost(sealed: dict[str, Any]) -> Argon2Cost | None:
    opslimit, memlimit = sealed.get("opslimit"), sealed.get("memlimit")
    if not isinstance(opslimit, int) or not isinstance(memlimit, int):
        return None
    if not pwhash.argon2id.OPSLIMIT_MIN <= opslimit <= _MAX_OPSLIMIT:
        return None
    if not pwhash.argon2id.MEMLIMIT_MIN <= memlimit <= _MAX_MEMLIMIT:
        return None
    return Argon2Cost(opslimit, memlimit)


def _refused(path: Path, what: str) -> RefusalError:
    return RefusalError(DataCode.BAD_KEY_FILE, f"the key file {path} {what}", field="key_file")
