"""Connections that send no request: closed after a while, and limited for each host."""

from __future__ import annotations

import asyncio
import ipaddress
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol

REQUEST_S: Final = 10.0
"""How long a connection may take for a whole request, in seconds."""

MAX_OF_HOST: Final = 128
"""How many connections each other machine may have. Those of this machine, such as a proxy's, have
no limit of their own."""


def make_patient_protocol(
    request_s: float = REQUEST_S, max_of_host: int = MAX_OF_HOST
) -> type[H11Protocol]:
    """Make the protocol of a server's connections. Uvicorn's own waits for requests without end.

    Args:
        request_s: How long a connection may take for a whole request, in seconds.
        max_of_host: How many connections another machine may have.

    Returns:
        The class, for `uvicorn.Config`.
    """
    from uvicorn.protocols.http.h11_impl import H11Protocol

    counts = Counter[str]()

    class PatientProtocol(H11Protocol):
        """A connection that is closed when a request takes too long to come."""

        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            host = self._host()
            counts[host] += 1
            if counts[host] > max_of_host and not is_loopback(host):
                transport.close()
            self._watch()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            host = self._host()
            counts[host] -= 1
            if not counts[host]:
                del counts[host]
            if self._deadline is not None:
                self._deadline.cancel()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def _host(self) -> str:
            return self.client[0] if self.client else "127.0.0.1"

        def _watch(self) -> None:
            """Begin to wait when a request is due, and stop when it has come."""
            is_due = self.cycle is None or self.cycle.response_complete
            if is_due and self._deadline is None:
                self._deadline = self.loop.call_later(request_s, self.transport.close)
            elif not is_due and self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return PatientProtocol


def is_loopback(host: str) -> bool:
    """Tell whether a connection comes from this machine.

    Args:
        host: The address of the other end.

    Returns:
        True for an address of loopback.
    """
    return ipaddress.ip_address(host).is_loopback
