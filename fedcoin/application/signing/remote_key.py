"""A key in another process, which is asked for each signature by a Unix socket."""

from __future__ import annotations

import json
import socket
from typing import Any, Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.crypto.hashing import SigningContext
from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verify_signature
from fedcoin.data.errors import DataCode, RefusalError

PREFIX: Final = "unix:"
"""How the address of a signer begins; the path of its socket follows."""

MAX_REPLY_BYTES: Final = 4_096
"""The longest reply of a signer, in bytes."""

TIMEOUT_S: Final = 3.0
"""How long a signer may take to connect, and for each part of its reply, in seconds."""

_PASSED_ON: Final = {code.value: code for code in (DataCode.CONFLICTING_VOTE,)}


class RemoteKey:
    """A `SigningKey` whose seed is in a signer's process. Its methods block for a few ms.

    Each signature takes a connection of its own, so that a signer that starts again is found.

    Args:
        address: `unix:` and the path of the signer's socket.

    Raises:
        RefusalError: SIGNER_AWAY when the signer cannot be reached, or its reply makes no sense;
            SIGNER_REFUSED when it refuses.
    """

    def __init__(self, address: str) -> None:
        self._path = address.removeprefix(PREFIX)
        key = self._ask({"show": "key"}, "public_key")
        if len(key) != PUBLIC_KEY_BYTES:
            raise self._away("its public key does not have 32 bytes")
        self.public_key = key
        """The Ed25519 public key, 32 bytes."""
        self.address = derive_address(key)
        """The address, 20 bytes."""

    def sign(self, context: SigningContext, genesis_hash: bytes, body: bytes) -> bytes:
        """Have bytes signed for one purpose on one chain. Blocks.

        Args:
            context: The purpose of the signature.
            genesis_hash: The genesis hash of the network that the signature is valid for, 32 bytes.
            body: The bytes to sign.

        Returns:
            The signature, 64 bytes, which was verified.

        Raises:
            RefusalError: SIGNER_AWAY when the signer cannot be reached, or signs wrongly;
                CONFLICTING_VOTE when it has signed another vote of this height and round;
                SIGNER_REFUSED when it refuses for another reason.
        """
        request = {"sign": context.value, "genesis_hash": genesis_hash.hex(), "body": body.hex()}
        signature = self._ask(request, "signature")
        is_valid = len(signature) == SIGNATURE_BYTES and verify_signature(
            self.public_key, context, genesis_hash, body, signature
        )
        if not is_valid:
            raise self._away("its signature is not of the key that it showed at first")
        return signature

    def _ask(self, request: dict[str, str], wanted: str) -> bytes:
        try:
            reply = json.loads(self._exchange(json.dumps(request).encode() + b"\n"))
            if "code" in reply:
                raise _refusal_of(reply)
            return bytes.fromhex(reply[wanted])
        except OSError as error:
            raise self._away(error.strerror or str(error)) from error
        except (ValueError, KeyError, TypeError) as error:
            raise self._away(f"its reply makes no sense ({error})") from error

    def _exchange(self, line: bytes) -> bytes:
        reply = b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(self._path)
            connection.sendall(line)
            while not reply.endswith(b"\n") and len(reply) <= MAX_REPLY_BYTES:
                part = connection.recv(MAX_REPLY_BYTES)
                if not part:
                    raise ConnectionResetError(None, "it closed the connection without a reply")
                reply += part
        return reply

    def _away(self, problem: str) -> RefusalError:
        return RefusalError(
            ApplicationCode.SIGNER_AWAY,
            f"the signer at {PREFIX}{self._path} gives no signature: {problem}; start it with"
            " `fedcoin-node signer`",
            field="miner.signer",
        )


def _refusal_of(reply: dict[str, Any]) -> RefusalError:
    code = _PASSED_ON.get(str(reply["code"]), ApplicationCode.SIGNER_REFUSED)
    return RefusalError(code, str(reply.get("message", ""))[:1_000], field="miner.signer")
