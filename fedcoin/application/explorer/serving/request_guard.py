"""Guard the explorer's requests: headers of each response, hosts and methods that are answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from fedcoin.application.explorer.pages.failure_pages import WRONG_HOST, WRONG_METHOD
from fedcoin.application.explorer.reading.view_models import PageFailure

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        # No script of a page may turn text into HTML.
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Pages load nothing from elsewhere, have no inline script or style, and are in no frame."""

HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
"""The headers of every response."""

LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""What a request to a listener on loopback may name as its host, with any port. Another name is
that of a site whose DNS entry was turned to this machine (DNS rebinding)."""


class RequestGuard:
    """ASGI middleware that adds `HEADERS`, and refuses other methods than GET and other hosts.

    Args:
        app: Answers the requests that pass.
        refuse: Makes the response with an HTTP status and an explanation.
        loopback_only: Whether only `LOOPBACK_HOSTS` are answered.
    """

    def __init__(
        self, app: ASGIApp, refuse: Callable[[int, PageFailure], Response], *, loopback_only: bool
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._loopback_only = loopback_only

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Args:
            scope: The request, by ASGI.
            receive: Gives the request's messages.
            send: Takes the response's messages.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        app = self._app
        if self._loopback_only and not is_loopback_host(_host(scope)):
            app = self._refuse(421, WRONG_HOST)
        elif scope["method"] not in ("GET", "HEAD"):
            app = self._refuse(405, WRONG_METHOD)
            app.headers["allow"] = "GET, HEAD"
        await app(scope, receive, send_guarded)


def is_loopback_host(host: str) -> bool:
    """Tell whether a Host header names this machine's loopback interface.

    Args:
        host: The header's value, with or without a port; empty when it was missing.

    Returns:
        True when it is one of `LOOPBACK_HOSTS`.
    """
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    return name.lower() in LOOPBACK_HOSTS


def _host(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"host"]
    return values[0].decode("latin-1") if len(values) == 1 else ""
