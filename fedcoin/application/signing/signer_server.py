"""The process that holds a validator's key: it answers each request with a signature or a refusal.

A request and its reply are one line of JSON each:

    {"show": "key"}                                  {"public_key": HEX}
    {"sign": CONTEXT, "genesis_hash": HEX, "body": HEX}      {"signature": HEX}
                                                     {"code": CODE, "message": TEXT}

`CONTEXT` is the purpose that goes into what is signed, such as `fedcoin/vote/v2`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.signing.signing_policy import SigningPolicy
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import DataCode, RefusalError

log = logging.getLogger(__name__)

MAX_REQUEST_BYTES: Final = 8 << 20
"""The longest request in bytes: the largest transaction in hex, and some more."""

MAX_CONNECTIONS: Final = 32
"""The largest number of connections at a time; others are closed at once."""

REQUEST_TIMEOUT_S: Final = 5.0
"""How long a request may take to arrive, in seconds."""

SOCKET_MODE: Final = 0o660
"""Who may ask: the signer's user and group."""


class SignerServer:
    """Answers on a Unix socket with the signatures of one key.

    Args:
        key: The validator's key.
        policy: Decides what is signed.
    """

    def __init__(self, key: KeyPair, policy: SigningPolicy) -> None:
        self._key = key
        self._policy = policy
        self._num_connections = 0

    @asynccontextmanager
    async def serve(self, path: Path) -> AsyncIterator[None]:
        """Listen while the `with` block runs.

        Args:
            path: The socket's path. A socket that an ended signer left is replaced.

        Yields:
            Nothing; requests are answered meanwhile.

        Raises:
            OSError: The socket cannot be made.
        """
        _remove_socket(path)
        server = await asyncio.start_unix_server(self._answer, path, limit=MAX_REQUEST_BYTES)
        try:
            os.chmod(path, SOCKET_MODE)
            yield
        finally:
            server.close()
            _remove_socket(path)

    def reply_to(self, line: bytes) -> dict[str, str]:
        """Answer a request. Blocks until a vote's mark is on disk.

        Args:
            line: The request, a line of JSON.

        Returns:
            The reply.
        """
        try:
            request = json.loads(line)
            if request.get("show") == "key":
                return {"public_key": self._key.public_key.hex()}
            return {"signature": self._sign(request).hex()}
        except RefusalError as refusal:
            log.warning("a signature was refused: %s", refusal)
            return {"code": refusal.code.value, "message": refusal.message}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"the request makes no sense ({type(error).__name__}: {error})"
            return {"code": DataCode.MALFORMED.value, "message": message}
        except OSError as error:
            log.exception("could not store what was to be signed")
            return {"code": ApplicationCode.OS_ERROR.value, "message": str(error)}

    def _sign(self, request: Any) -> bytes:
        body, genesis_hash = bytes.fromhex(request["body"]), bytes.fromhex(request["genesis_hash"])
        context = self._policy.check(str(request["sign"]), genesis_hash, body)
        return self._key.sign(context, genesis_hash, body)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._num_connections += 1
        try:
            if self._num_connections <= MAX_CONNECTIONS:
                with suppress(asyncio.TimeoutError, ValueError, ConnectionError):
                    line = await asyncio.wait_for(reader.readline(), REQUEST_TIMEOUT_S)
                    if line.endswith(b"\n"):
                        writer.write(json.dumps(self.reply_to(line)).encode() + b"\n")
                        await asyncio.wait_for(writer.drain(), REQUEST_TIMEOUT_S)
        finally:
            self._num_connections -= 1
            writer.close()


def _remove_socket(path: Path) -> None:
    if path.is_socket():
        path.unlink()
