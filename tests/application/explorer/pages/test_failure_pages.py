"""What a page says when the node refuses a request."""

from __future__ import annotations

import pytest
from grpc import StatusCode

from fedcoin.application.explorer.pages.failure_pages import explain_failure
from fedcoin.network.client.rpc_error import RpcError


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (StatusCode.UNAUTHENTICATED, "NO_TOKEN", "--token-file"),
        (StatusCode.UNAUTHENTICATED, "BAD_TOKEN", "--token-file"),
        (StatusCode.PERMISSION_DENIED, "NOT_ALLOWED", "--token-file"),
        (StatusCode.INTERNAL, "INTERNAL", "log"),
    ],
)
def test_the_advice_names_what_helps(status: StatusCode, code: str, advice: str) -> None:
    http_status, failure = explain_failure(RpcError(status, code, "no", target="127.0.0.1:1"))
    assert (http_status, failure.code) == (502, code)
    assert advice in failure.advice
