"""The table of statuses has every code of every layer, and no others."""

from __future__ import annotations

import importlib
from enum import Enum
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

import fedcoin
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.status import (
    DETAILS_KEY,
    STATUS_OF,
    Details,
    details_of,
    layer_of,
    rich_status,
    status_of,
)

LAYERS = [
    "data", "shapley", "learning", "incentive", "consensus", "contract", "network", "application"
]  # fmt: skip


def codes_of(layer: str) -> list[Enum]:
    module = importlib.import_module(f"fedcoin.{layer}.errors")
    enums = [
        value
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Enum)
        and value.__module__ == module.__name__
    ]
    assert len(enums) == 1, f"fedcoin.{layer} should have one enum of codes"
    return list(enums[0])


def test_every_layer_with_codes_is_known() -> None:
    root = Path(fedcoin.__file__).parent
    assert sorted(path.parent.name for path in root.glob("*/errors.py")) == sorted(LAYERS)
    assert list(root.glob("*/*/errors.py")) == [], "a layer has one enum of codes"


@pytest.mark.parametrize("layer", LAYERS)
def test_the_table_is_complete_and_has_nothing_left_over(layer: str) -> None:
    names = {code.name for code in codes_of(layer)}
    listed = {name for owner, name in STATUS_OF if owner == layer}
    assert names - listed == set(), "codes without a status"
    assert listed - names == set(), "statuses without a code"


@pytest.mark.parametrize("layer", LAYERS)
def test_codes_are_their_own_names(layer: str) -> None:
    for code in codes_of(layer):
        assert code.value == code.name
        assert layer_of(code) == layer
        assert status_of(code) is not grpc.StatusCode.OK


def test_one_word_may_mean_different_things_in_different_layers() -> None:
    # A transaction for another chain can never be right; a peer of another chain is not wrong.
    assert status_of(DataCode.WRONG_CHAIN) is grpc.StatusCode.INVALID_ARGUMENT
    assert status_of(NetworkCode.WRONG_CHAIN) is grpc.StatusCode.FAILED_PRECONDITION


def test_a_forgotten_code_is_unknown() -> None:
    class Code(str, Enum):
        NEW = "NEW"

    Code.__module__ = "fedcoin.data.errors"
    assert status_of(Code.NEW) is grpc.StatusCode.UNKNOWN


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
    status = rich_status(refusal)
    info, bad = unpacked(status)
    assert status.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status.details == "body has 9 bytes"
    assert (info.reason, info.domain) == ("TOO_LARGE", "fedcoin.data")
    assert dict(info.metadata) == {"field": "body", "limit": "8"}
    assert bad is not None
    assert bad.field_violations[0].field == "body"
    assert bad.field_violations[0].description == "body has 9 bytes"


def test_a_refusal_without_a_field_is_none() -> None:
    info, bad = unpacked(rich_status(RefusalError(NetworkCode.NO_ROOM, "full")))
    assert info.reason == "NO_ROOM"
    assert not info.metadata
    assert bad is None


def test_whatever_a_refusal_quotes_fits_into_the_trailers() -> None:
    refusal = RefusalError(DataCode.MALFORMED, "€" * 50_000, field="f" * 50_000, limit="l" * 50_000)
    status = rich_status(refusal)
    assert len(dict(status.trailing_metadata)[DETAILS_KEY]) < 2_000
    assert len(status.details.encode()) <= 600
    assert set(status.details) == {"€"}


def error_with(trailers: grpc.aio.Metadata) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(grpc.StatusCode.INTERNAL, grpc.aio.Metadata(), trailers, "no", "no")


def test_details_come_back() -> None:
    refusal = RefusalError(DataCode.BAD_CHUNK, "no", field="chunk", limit="3")
    trailers = grpc.aio.Metadata(*rich_status(refusal).trailing_metadata)
    expected = Details(reason="BAD_CHUNK", domain="fedcoin.data", field="chunk", limit="3")
    assert details_of(error_with(trailers)) == expected


@pytest.mark.parametrize("value", [b"", b"\xff\xff", b"\x0a\x01"])
def test_nonsense_in_the_trailers_is_no_details(value: bytes) -> None:
    assert details_of(error_with(grpc.aio.Metadata((DETAILS_KEY, value)))) == Details()
    assert details_of(error_with(grpc.aio.Metadata())) == Details()
