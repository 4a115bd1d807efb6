"""Guard the explorer's requests: headers of each response, hosts and methods that are answered."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
"""What a request to a listener on loopback may name as its host, with any port."""


@dataclass(frozen=True, slots=True)
class AnsweredHosts:
    """The hosts that requests may name.

    A web site can point its own name at any address (DNS rebinding), and would then read the
    explorer through a browser that reaches it. An address cannot be pointed elsewhere.
    """

    loopback_only: bool
    """Whether the listener is on loopback: then of all addresses only those of loopback count."""
    names: frozenset[str] = frozenset()
    """More names, in lower case, such as that of a proxy."""

    def has(self, host: str) -> bool:
        """Tell whether a request may name a host.

        Args:
            host: The header `Host`, with or without a port; empty when it was missing.

        Returns:
            True for `LOOPBACK_HOSTS` and `names`, and for addresses unless `loopback_only`.
        """
        name, colon, port = host.lower().rpartition(":")
        if not colon or not port.isdecimal():
            name = host.lower()
        if name in LOOPBACK_HOSTS or name in self.names:
            return True
        return not self.loopback_only and _is_address(name.strip("[]"))


class RequestGuard:
    """ASGI middleware that adds `HEADERS`, and refuses other methods than GET and other hosts.

    Args:
        app: Answers the requests that pass.
        refuse: Makes the response with an HTTP status and an explanation.
        hosts: The hosts that requests may name.
    """

    def __init__(
        self, app: ASGIApp, refuse: Callable[[int, PageFailure], Response], hosts: AnsweredHosts
    ) -> None:
        self._app = app
        self._refuse = refuse
        self._hosts = hosts

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
        if not self._hosts.has(_host(scope)):
            app = self._refuse(421, WRONG_HOST)
        elif scope["method"] not in ("GET", "HEAD"):
            app = self._refuse(405, WRONG_METHOD)
            app.headers["allow"] = "GET, HEAD"
        await app(scope, receive, send_guarded)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _host(scope: Scope) -> str:
    values = [value for name, value in scope["headers"] if name == b"host"]
    return values[0].decode("latin-1") if len(values) == 1 else ""
