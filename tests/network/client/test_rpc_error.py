from __future__ import annotations

import grpc
import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from fedcoin.contract.errors import LedgerCode
from fedcoin.data.errors import RefusalError
from fedcoin.network.client.rpc_error import RpcError, rpc_error_of
from fedcoin.network.error_details import encode_refusal
from fedcoin.network.errors import NetworkCode


def raised(
    status: StatusCode, message: str | None, *trailers: tuple[str, str | bytes]
) -> AioRpcError:
    return AioRpcError(status, Metadata(), Metadata(*trailers), message, message)


def refused(refusal: RefusalError) -> RpcError:
    status = encode_refusal(refusal)
    return rpc_error_of(raised(status.code, status.details, *status.trailing_metadata), "a:1")


def test_a_refusal_keeps_what_the_server_said() -> None:
    error = refused(RefusalError(LedgerCode.FEE_TOO_LOW, "pay more", field="fee", limit="70"))
    assert error.status is StatusCode.INVALID_ARGUMENT
    assert (error.code, error.field, error.limit) == ("FEE_TOO_LOW", "fee", "70")
    assert str(error) == "a:1: pay more [FEE_TOO_LOW]"


@pytest.mark.parametrize("reason", ["Connection refused", "connect: Connection refused (111)"])
def test_the_systems_reason_is_given_without_layers(reason: str) -> None:
    """As grpcio 1.85.3 words it, and as 1.72.1 does."""
    said = (
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:127.0.0.1:1: Failed to "
        f"connect to remote host: {reason}"
    )
    error = rpc_error_of(raised(StatusCode.UNAVAILABLE, said), "a:1")
    assert str(error) == (
        "a:1: cannot be reached (Connection refused): compare the address, and see that it runs"
        " [UNAVAILABLE]"
    )


def test_a_bare_status_is_explained() -> None:
    error = rpc_error_of(raised(StatusCode.DATA_LOSS, None), "a:1")
    assert str(error) == "a:1: data loss [DATA_LOSS]"


def test_a_message_is_one_line_of_bounded_length() -> None:
    error = rpc_error_of(raised(StatusCode.INTERNAL, "one\nERROR two\r\n" + "x" * 10_000), "a:1")
    assert error.message.startswith("one ERROR two xxx")
    assert len(error.message) == 600


@pytest.mark.parametrize(
    ("error", "is_lost", "is_transient"),
    [
        (RefusalError(NetworkCode.SHUTTING_DOWN, ""), True, True),
        (RefusalError(NetworkCode.SLOW_READER, ""), True, True),
        (RefusalError(NetworkCode.TIMED_OUT, ""), False, True),
        (RefusalError(NetworkCode.TOO_MANY_CALLS, ""), False, True),
        (RefusalError(LedgerCode.POOL_FULL, ""), False, True),
        (RefusalError(NetworkCode.NO_ROOM, ""), False, True),
        (RefusalError(NetworkCode.TOO_LARGE, ""), False, False),
        (RefusalError(NetworkCode.WRONG_CHAIN, ""), False, False),
        (RefusalError(NetworkCode.BANNED, ""), False, False),
        (RefusalError(LedgerCode.FEE_TOO_LOW, ""), False, False),
    ],
)
def test_what_may_go_better_later(error: RefusalError, is_lost: bool, is_transient: bool) -> None:
    found = refused(error)
    assert (found.is_lost, found.is_transient) == (is_lost, is_transient)


def test_unavailable_is_lost() -> None:
    assert rpc_error_of(raised(grpc.StatusCode.UNAVAILABLE, "gone"), "a:1").is_lost
