"""Explain on a page why a request failed, with the codes of docs/API.md."""

from __future__ import annotations

from typing import Final

from grpc import StatusCode

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.explorer.reading.view_models import PageFailure
from fedcoin.data.errors import RefusalError
from fedcoin.network.client.rpc_error import TOKEN_CODES, RpcError
from fedcoin.network.errors import NetworkCode

_HTTP_STATUS: Final = {
    StatusCode.INVALID_ARGUMENT: 400,
    StatusCode.OUT_OF_RANGE: 400,
    StatusCode.NOT_FOUND: 404,
    StatusCode.UNAUTHENTICATED: 502,
    StatusCode.PERMISSION_DENIED: 502,
    StatusCode.UNIMPLEMENTED: 502,
    StatusCode.RESOURCE_EXHAUSTED: 503,
    StatusCode.UNAVAILABLE: 503,
    StatusCode.CANCELLED: 503,
    StatusCode.DEADLINE_EXCEEDED: 504,
}

_TITLES: Final = {
    400: "This cannot be looked up",
    404: "Not found",
    503: "The node cannot be reached",
    504: "The node does not answer",
}

_ADVICE: Final = {
    400: "Correct the address of this page, or search for what you want.",
    404: "Check what you typed. What was submitted a moment ago may not be in a block yet.",
    503: "See whether the node runs. This page comes back by itself when the node does.",
    504: "It may be busy. This page comes back by itself.",
}


def explain_failure(error: RpcError | RefusalError) -> tuple[int, PageFailure]:
    """Explain why a page cannot be read from the node.

    Args:
        error: What a call raised, or how its answer was refused.

    Returns:
        The HTTP status and what the page says.
    """
    if isinstance(error, RefusalError):
        message = "the node’s answer cannot be read: " + error.message
        failure = PageFailure("The node’s answer is wrong", message, str(error.code.value), "")
        return 502, failure
    status = _HTTP_STATUS.get(error.status, 502)
    title = _TITLES.get(status, "The node refused")
    if status == 503 and error.status is StatusCode.RESOURCE_EXHAUSTED:
        title = "The node is busy"
    advice = _ADVICE.get(status, "Read the node’s log.")
    if error.code in TOKEN_CODES:
        advice = "Start the explorer with --token-file and a token that the node knows."
    return status, PageFailure(
        title, str(error).removesuffix(f" [{error.code}]"), error.code, advice
    )


NO_PAGE: Final = PageFailure(
    "Not found",
    "There is no page at this address.",
    ApplicationCode.NO_FILE.value,
    "Begin with the overview, or search for what you want.",
)

WRONG_METHOD: Final = PageFailure(
    "Only for reading",
    "The explorer answers GET requests alone.",
    ApplicationCode.BAD_ARGUMENT.value,
    "Nothing can be changed here: use fedcoin-node or the node’s API.",
)

WRONG_HOST: Final = PageFailure(
    "Another host was asked for",
    "This explorer does not answer to the name in your browser’s address bar, so that no other "
    "site can read it through your browser.",
    NetworkCode.WRONG_ADDRESS.value,
    "Use 127.0.0.1 or localhost. The explorer's operator can add names with --host.",
)

TOO_BUSY: Final = PageFailure(
    "Too many pages at a time",
    "The explorer answers as many requests as it allows.",
    NetworkCode.TOO_MANY_CALLS.value,
    "Try again in a moment.",
)
