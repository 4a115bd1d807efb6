"""A call that failed, as the caller sees it."""

from __future__ import annotations

from grpc import StatusCode
from grpc.aio import AioRpcError

from fedcoin.network.status import details_of

# What gRPC itself says, in words that help.
_HINTS = {
    StatusCode.UNAVAILABLE: "cannot be reached",
    StatusCode.DEADLINE_EXCEEDED: "did not answer in time",
    StatusCode.UNIMPLEMENTED: "does not offer this; is it another service or an older version?",
}


class RpcError(Exception):
    """A server refused a call, or could not be reached.

    ``status`` is gRPC's; ``code`` is the refusing layer's own (``WRONG_NONCE``), or the
    status' name when the server did not say; ``field`` and ``limit`` are empty when the
    server named none; ``target`` is the address that was called.
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
    def lost(self) -> bool:
        """True when the server is gone or cut the stream: calling again may help."""
        return self.status is StatusCode.UNAVAILABLE or self.code == "SLOW_READER"


def failure_of(error: AioRpcError, target: str) -> RpcError:
    """What a gRPC error means, with the name of the host that failed."""
    status = error.code()
    details = details_of(error)
    message = error.details() or status.name.lower().replace("_", " ")
    if not details.reason and status in _HINTS:
        message = f"{_HINTS[status]} ({message})"
    return RpcError(
        status,
        details.reason or status.name,
        message,
        field=details.field,
        limit=details.limit,
        target=target,
    )
