"""An HTTP server for scrapes that no caller can stop or fill.

Each request has a thread, which also does the TLS handshake, a number of seconds, and one of few
places. So a caller that says nothing keeps neither other callers nor the node's end waiting, and
many callers take no more than these few threads and files of the node.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from fedcoin.network.peer_options import Tls

log = logging.getLogger(__name__)

MAX_REQUESTS: Final = 8
"""The number of requests that are answered at once; a connection beyond them is closed."""

REQUEST_SECONDS: Final = 10.0
"""How long a connection may take in all, in seconds; then it is closed."""

_NO_PASSPHRASE: Final = ""


class ScrapeServer(ThreadingMixIn, WSGIServer):
    """Answers requests by a WSGI application, in threads that end with the process.

    Binding is done when it is made; `serve_forever` runs in a thread of the caller.

    Args:
        host: The host to listen on, without brackets.
        port: The port; 0 for any free one.
        app: The WSGI application, called from several threads.
        tls: The TLS files, read again for each connection; with them callers must show a
            certificate of the authority. None for plain HTTP.

    Raises:
        OSError: The address cannot be bound, or a TLS file cannot be read.
    """

    daemon_threads = True
    request_queue_size = 4 * MAX_REQUESTS

    def __init__(self, host: str, port: int, app: Callable[..., Any], tls: Tls | None) -> None:
        self._tls = tls
        self._context = None if tls is None else _load(tls)
        self._places = threading.BoundedSemaphore(MAX_REQUESTS)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, _, _, _, address = found[0]
        super().__init__((str(address[0]), port), _QuietHandler)
        self.set_app(app)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer a connection in a thread of its own, or close it when all places are taken.

        Args:
            request: The accepted connection.
            client_address: The caller's host and port.
        """
        if not self._places.acquire(blocking=False):
            log.debug("metrics: closed a connection beyond %d at once", MAX_REQUESTS)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            # No thread could be started.
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a connection, and give its place back.

        Args:
            request: The accepted connection.
            client_address: The caller's host and port.
        """
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Do the TLS handshake, if any, and answer one request within `REQUEST_SECONDS`.

        Args:
            request: The accepted connection.
            client_address: The caller's host and port.
        """
        context = self._current_context()
        if context is not None:
            request = context.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        # The connection is ended from below: a caller that sends single bytes meets no timeout.
        timer = threading.Timer(REQUEST_SECONDS, _end, (request,))
        timer.daemon = True
        timer.start()
        try:
            if context is not None:
                request.do_handshake()
            super().finish_request(request, client_address)
        finally:
            timer.cancel()
            self.shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log that a connection failed, as by a wrong certificate; it is no fault of the node.

        Args:
            request: The accepted connection.
            client_address: The caller's host and port.
        """
        log.debug("metrics: the connection of %s failed", client_address, exc_info=True)

    def _current_context(self) -> ssl.SSLContext | None:
        """Read the TLS files; while they do not fit together, those that were read before hold."""
        if self._tls is not None:
            with suppress(OSError):
                self._context = _load(self._tls)
        return self._context


class _QuietHandler(WSGIRequestHandler):
    """Answers one request and logs none."""

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def _load(tls: Tls) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    # With a passphrase, or OpenSSL would ask for one at the terminal.
    context.load_cert_chain(tls.certificate, tls.key, _NO_PASSPHRASE)
    context.load_verify_locations(tls.authority)
    return context


def _end(connection: socket.socket) -> None:
    # Not SSLSocket.shutdown, which would take the TLS state away from the thread that uses it.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
