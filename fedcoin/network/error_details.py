"""Refusals on the wire: encoded by the server as a `google.rpc.Status`, decoded by the client.

The status carries the code of `error_statuses`, the refusal's sentence as its message, and two
details (google/rpc/error_details.proto), in the trailer `grpc-status-details-bin`:

* `ErrorInfo`: `reason` is the code (`NONCE_TOO_LOW`), `domain` the layer that refused
  (`fedcoin.contract`), `metadata` the field and the limit, where there are any;
* `BadRequest`: the field and the sentence, when the refusal names a field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc_status import rpc_status

from fedcoin.data.errors import RefusalError
from fedcoin.network.error_statuses import layer_of, status_of

# Callers may reject trailers over 8 KiB. A message is in them three times: as it is, where each
# byte may become three, and twice in the details.
_MAX_MESSAGE_BYTES: Final = 600
_MAX_FIELD_BYTES: Final = 100

DETAILS_KEY: Final = "grpc-status-details-bin"
"""The trailer that carries the status with its details."""


@dataclass(frozen=True, slots=True)
class ErrorDetails:
    """The details of a failed call; empty strings for what the server did not send."""

    reason: str = ""
    """The code, such as `NONCE_TOO_LOW`."""
    domain: str = ""
    """The layer that refused, such as `fedcoin.contract`."""
    field: str = ""
    """The request's field at fault."""
    limit: str = ""
    """The limit that the field broke."""


def encode_refusal(refusal: RefusalError) -> grpc.Status:
    """Encode a refusal as a status with details.

    Args:
        refusal: What a servicer raised. The message is cut at 600 bytes, field and limit at 100,
            for a trailer has little room.

    Returns:
        The status, for `context.abort`.
    """
    message = _cut(str(refusal), _MAX_MESSAGE_BYTES)
    field, limit = _cut(refusal.field, _MAX_FIELD_BYTES), _cut(refusal.limit, _MAX_FIELD_BYTES)
    info = error_details_pb2.ErrorInfo(
        reason=refusal.code.name,
        domain=f"fedcoin.{layer_of(refusal.code)}",
        metadata={key: text for key, text in (("field", field), ("limit", limit)) if text},
    )
    details = [_packed(info)]
    if field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=field, description=message)
        details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    number: int = status_of(refusal.code).value[0]
    status = status_pb2.Status(code=number, message=message, details=details)
    encoded: grpc.Status = rpc_status.to_status(status)
    return encoded


def read_error_details(error: grpc.aio.AioRpcError) -> ErrorDetails:
    """Decode the details of a failed call.

    Args:
        error: What the call raised.

    Returns:
        The details; empty ones when the server sent none, or none that can be decoded.
    """
    trailers = cast("Iterable[tuple[str, str | bytes]]", error.trailing_metadata() or ())
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            return _parsed(value)
    return ErrorDetails()


def _parsed(raw: bytes) -> ErrorDetails:
    try:
        for detail in status_pb2.Status.FromString(raw).details:
            info = error_details_pb2.ErrorInfo()
            if detail.Unpack(info):
                return ErrorDetails(
                    reason=info.reason,
                    domain=info.domain,
                    field=info.metadata.get("field", ""),
                    limit=info.metadata.get("limit", ""),
                )
    except DecodeError:
        pass
    return ErrorDetails()


def _cut(text: str, max_bytes: int) -> str:
    """Cut a text to at most `max_bytes` bytes of UTF-8."""
    return text.encode(errors="replace")[:max_bytes].decode(errors="ignore")


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
