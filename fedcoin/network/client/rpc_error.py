"""The one exception of a failed call, made from gRPC's errors in one place."""

from __future__ import annotations

import re
from typing import Final

from grpc import StatusCode
from grpc.aio import AioRpcError

from fedcoin.contract.errors import LedgerCode
from fedcoin.network.error_details import read_error_details
from fedcoin.network.errors import NetworkCode

_MAX_MESSAGE_CHARACTERS: Final = 600

TOKEN_CODES: Final = frozenset(
    code.name for code in (NetworkCode.NO_TOKEN, NetworkCode.BAD_TOKEN, NetworkCode.NOT_ALLOWED)
)
"""The codes of a node that works, and asks for another token than the call brought."""

# gRPC's own texts do not say what they mean for the caller.
_EXPLANATIONS: Final = {
    StatusCode.UNAVAILABLE: "cannot be reached",
    StatusCode.DEADLINE_EXCEEDED: "did not answer in time",
    StatusCode.UNIMPLEMENTED: (
        "does not offer this: a node answers there for its peers alone (its API is at `api.listen`,"
        " port 7051 by default), or it is another service, or an older version"
    ),
}

_SYSTEM_REASON: Final = re.compile(
    r"Failed to connect to remote host: (?:connect: )?(.+?)(?: \(\d+\))?$"
)
"""The system's reason for a failed connection in what gRPC writes. grpcio 1.72.1 puts the name of
the system's call before it and the error's number after it; 1.85.3 does not."""

_TRANSIENT_STATUSES: Final = frozenset({StatusCode.UNAVAILABLE, StatusCode.DEADLINE_EXCEEDED})
_TRANSIENT_CODES: Final = frozenset(
    code.name
    for code in (
        NetworkCode.RATE_LIMITED,
        NetworkCode.TOO_MANY_CALLS,
        NetworkCode.NO_ROOM,
        # A nonce belongs to one attempt to connect: the next one gets another.
        NetworkCode.BAD_NONCE,
        LedgerCode.POOL_FULL,
        LedgerCode.TOO_MANY_TASKS,
        LedgerCode.TOO_MANY_PENDING,
    )
)

_TLS_EXPLANATIONS = (
    ("certificate has expired", "its TLS certificate has expired"),
    ("certificate is not yet valid", "its TLS certificate is not valid yet: compare the clocks"),
    (
        "unable to get local issuer certificate",
        "its TLS certificate is signed by another authority than the one that this side trusts",
    ),
    ("CERTIFICATE_VERIFY_FAILED", "its TLS certificate is refused"),
    ("WRONG_VERSION_NUMBER", "it answers without TLS, and this side expects TLS"),
    (
        "Socket closed",
        "it closed the connection; with TLS also when it refuses this side's certificate "
        "(`fedcoin-node tls show`), without when it expects TLS",
    ),
)
"""What gRPC's messages contain when a TLS handshake fails, and what it means: the first counts."""


class RpcError(Exception):
    """A server refused a call, broke it off, or could not be reached.

    Attributes:
        status: The gRPC status.
        code: The refusing layer's own code, such as `NONCE_TOO_LOW`; the status' name where the
            server gave no code.
        message: A sentence for a person, without the server's name.
        field: The request's field at fault; empty where the server named none.
        limit: The limit that the field broke; empty where the server named none.
        target: The address that was called, `host:port` or `unix:/path`.
    """

    def __init__(
        self,
        status: StatusCode,
        code: str,
        message: str,
        *,
        field: str = "",
        limit: str = "",
        target: str = "",
    ) -> None:
        """Describe the failure of a call.

        Args:
            status: The gRPC status.
            code: The refusing layer's code, or the status' name.
            message: A sentence for a person, without the server's name.
            field: The request's field at fault, if any.
            limit: The limit that the field broke, if any.
            target: The address that was called.
        """
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.limit = limit
        self.target = target

    def __str__(self) -> str:
        return f"{self.target}: {self.message} [{self.code}]"

    @property
    def is_lost(self) -> bool:
        """True when the server went away or cut the stream: go on with a new call."""
        return _is_lost(self.status, self.code)

    @property
    def is_transient(self) -> bool:
        """True when the same call may succeed later: the server is away, slow or full."""
        return is_transient(self.status, self.code)


def is_transient(status: StatusCode, code: str) -> bool:
    """Tell whether the same call may succeed later: the server is away, slow or full.

    Args:
        status: The gRPC status with which the call failed, or that belongs to the code.
        code: The refusing layer's code; the status' name where there is none.

    Returns:
        True when it may; False when it fails until the request or the server changes.
    """
    return _is_lost(status, code) or status in _TRANSIENT_STATUSES or code in _TRANSIENT_CODES


def _is_lost(status: StatusCode, code: str) -> bool:
    return status is StatusCode.UNAVAILABLE or code == NetworkCode.SLOW_READER.name


def _explain(status: StatusCode, message: str) -> str:
    """Put a plain sentence before gRPC's words for a failed connection."""
    found = (words for sign, words in _TLS_EXPLANATIONS if sign in message)
    explanation = next(found, None)
    if explanation is None and status is StatusCode.UNAVAILABLE:
        # The system's reason, without the addresses and layers that gRPC names before it.
        found_reason = _SYSTEM_REASON.search(message)
        message = found_reason[1] if found_reason is not None else message
        return f"{_EXPLANATIONS[status]} ({message}): compare the address, and see that it runs"
    return f"{explanation or _EXPLANATIONS[status]} ({message})"


def rpc_error_of(error: AioRpcError, target: str) -> RpcError:
    """Convert an error of gRPC's library.

    Args:
        error: What a call raised.
        target: The address that was called.

    Returns:
        The error with the server's code, field and limit, where it sent them. Line breaks in the
        server's message become spaces, since messages go into logs, and it is cut after 600
        characters.
    """
    status = error.code()
    details = read_error_details(error)
    message = " ".join((error.details() or "").split())[:_MAX_MESSAGE_CHARACTERS]
    message = message or status.name.lower().replace("_", " ")
    if not details.reason and status in _EXPLANATIONS:
        message = _explain(status, message)
    return RpcError(
        status,
        details.reason or status.name,
        message,
        field=details.field,
        limit=details.limit,
        target=target,
    )
