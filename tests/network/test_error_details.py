"""A refusal that a server encodes is what its client decodes."""

from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.error_details import (
    DETAILS_KEY,
    ErrorDetails,
    encode_refusal,
    read_error_details,
)
from fedcoin.network.errors import NetworkCode


def unpacked(
    status: grpc.Status,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest | None]:
    raw = dict(status.trailing_metadata)[DETAILS_KEY]
    details = status_pb2.Status.FromString(raw).details
    info = error_details_pb2.ErrorInfo()
    assert details[0].Unpack(info)
    if len(details) == 1:
        return info, None
    bad = error_details_pb2.BadRequest()
    assert details[1].Unpack(bad)
    return info, bad


def test_a_refusal_with_a_field_is_a_bad_request() -> None:
    refusal = RefusalError(DataCode.TOO_LARGE, "body has 9 bytes", field="body", limit="8")
    status = encode_refusal(refusal)
    info, bad = unpacked(status)
    assert status.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status.details == "body has 9 bytes"
    assert (info.reason, info.domain) == ("TOO_LARGE", "fedcoin.data")
    assert dict(info.metadata) == {"field": "body", "limit": "8"}
    assert bad is not None
    assert bad.field_violations[0].field == "body"
    assert bad.field_violations[0].description == "body has 9 bytes"


def test_a_refusal_without_a_field_is_none() -> None:
    info, bad = unpacked(encode_refusal(RefusalError(NetworkCode.NO_ROOM, "full")))
    assert info.reason == "NO_ROOM"
    assert not info.metadata
    assert bad is None


def test_long_quotations_fit_into_the_trailers() -> None:
    refusal = RefusalError(DataCode.MALFORMED, "€" * 50_000, field="f" * 50_000, limit="l" * 50_000)
    status = encode_refusal(refusal)
    assert len(dict(status.trailing_metadata)[DETAILS_KEY]) < 2_000
    assert len(status.details.encode()) <= 600
    assert set(status.details) == {"€"}


def error_with(trailers: grpc.aio.Metadata) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), trailers, "no", "no")


def test_details_come_back() -> None:
    refusal = RefusalError(DataCode.BAD_CHUNK, "no", field="chunk", limit="3")
    trailers = grpc.aio.Metadata(*encode_refusal(refusal).trailing_metadata)
    expected = ErrorDetails(reason="BAD_CHUNK", domain="fedcoin.data", field="chunk", limit="3")
    assert read_error_details(error_with(trailers)) == expected


@pytest.mark.parametrize("value", [b"", b"\xff\xff", b"\x0a\x01"])
def test_nonsense_in_the_trailers_is_no_details(value: bytes) -> None:
    assert read_error_details(error_with(grpc.aio.Metadata((DETAILS_KEY, value)))) == ErrorDetails()
    assert read_error_details(error_with(grpc.aio.Metadata())) == ErrorDetails()
