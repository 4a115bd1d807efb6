"""The API's tokens: made at random, stored as hashes in one file, and read again when it changes.

A token has 256 random bits, so that its SHA-256 tells nothing about it and needs no slow function.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from fedcoin.data.atomic_files import replace_file
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.network.api.permissions import ApiRole
from fedcoin.network.errors import NetworkCode

log = logging.getLogger(__name__)

PREFIX: Final = "fct_"
"""How each token begins, so that one that leaked is recognised."""

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""The names that a token may have."""

LOOK_MS: Final = 1_000
"""The time between two looks at the file, in ms."""

_FIELDS: Final = {"name", "role", "sha256", "created_ms"}


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token, as the file keeps it: without the token itself."""

    name: str
    """Who or what has it: 1 to 63 lower-case letters, digits, - and _."""
    role: ApiRole
    """What its bearer may do."""
    sha256: str
    """SHA-256 of the token's text, 64 hex digits."""
    created_ms: int
    """When it was made, in Unix ms."""


def make_token(name: str, role: ApiRole, now_ms: int) -> tuple[str, ApiToken]:
    """Make a token.

    Args:
        name: Who or what will have it, of the form `NAME`.
        role: What its bearer may do.
        now_ms: The present time in Unix ms.

    Returns:
        The token's text, which nothing keeps, and its entry for the file.
    """
    text = PREFIX + secrets.token_urlsafe(32)
    return text, ApiToken(name, role, _hash(text), now_ms)


def read_tokens(path: Path) -> tuple[ApiToken, ...] | None:
    """Read a file of tokens.

    Args:
        path: The file.

    Returns:
        Its tokens in order; None when there is no file, so that the API is open.

    Raises:
        OSError: The file cannot be read.
        RefusalError: BAD_TOKEN_FILE when it is malformed.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        return tuple(map(_parse, json.loads(content)["tokens"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RefusalError(
            NetworkCode.BAD_TOKEN_FILE,
            f"{path} is not a file of API tokens ({type(error).__name__}: {error}): restore it, or"
            " delete it and make the tokens again",
            field="token",
        ) from error


def write_tokens(path: Path, tokens: Sequence[ApiToken]) -> None:
    """Write a file of tokens in one step, for its owner alone.

    Args:
        path: The file, which may exist.
        tokens: All tokens. Without any, the API is closed to everybody.
    """
    content = json.dumps({"tokens": [asdict(token) for token in tokens]}, indent=1) + "\n"
    replace_file(path, content.encode())
    path.chmod(0o600)


class TokenFile:
    """The tokens of a running node. Looks for changes of the file at most once a second.

    A file that cannot be read, or is gone, leaves the tokens as they were: only a restart without
    the file opens an API that had tokens.

    Args:
        path: The file.
        clock: Gives ms.

    Raises:
        OSError: The file cannot be read.
        RefusalError: BAD_TOKEN_FILE when it is malformed.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = unix_ms) -> None:
        self._path = path
        self._clock = clock
        self._stamp = self._read_stamp()
        self._tokens = read_tokens(path)
        self._looked_ms = clock()

    @property
    def is_required(self) -> bool:
        """True when callers need a token."""
        return self.current() is not None

    def current(self) -> tuple[ApiToken, ...] | None:
        """Return the tokens; None when there is no file of them, so that callers need none."""
        now_ms = self._clock()
        if abs(now_ms - self._looked_ms) >= LOOK_MS:
            self._looked_ms = now_ms
            self._look()
        return self._tokens

    def find(self, text: str) -> ApiToken | None:
        """Find the entry of a token.

        Compares with every entry, each in constant time.

        Args:
            text: The token.

        Returns:
            Its entry; None when there is none.
        """
        digest, found = _hash(text), None
        for token in self.current() or ():
            if hmac.compare_digest(token.sha256, digest):
                found = token
        return found

    def _look(self) -> None:
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            read = read_tokens(self._path)
        except (OSError, RefusalError) as error:
            log.warning("the API's tokens stay as they were: %s", error)
            return
        if read is None:
            log.warning("%s is gone; the API's tokens stay as they were", self._path)
            return
        self._tokens = read
        log.info("read %d API tokens again", len(read))

    def _read_stamp(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _hash(text: str) -> str:
    return sha256(text.encode()).hex()


def _parse(entry: Any) -> ApiToken:
    if set(entry) != _FIELDS or not NAME.fullmatch(entry["name"]):
        raise ValueError(f"an entry has the fields {sorted(entry)}, or a name that is not allowed")
    if len(bytes.fromhex(entry["sha256"])) != 32:
        raise ValueError("sha256 is not 64 hex digits")
    role, created_ms = ApiRole(entry["role"]), int(entry["created_ms"])
    return ApiToken(entry["name"], role, entry["sha256"].lower(), created_ms)
