"""The server below the metrics: callers that say nothing, and many of them."""

from __future__ import annotations

import shutil
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.node.metrics import scrape_server
from fedcoin.application.node.metrics.scrape_server import MAX_REQUESTS, ScrapeServer
from fedcoin.network.peer_options import Tls
from tests.support.certificates import issue, make_authority

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")


def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"answered"]


@contextmanager
def serving(tls: Tls | None = None) -> Iterator[ScrapeServer]:
    server = ScrapeServer("127.0.0.1", 0, answer, tls)
    thread = threading.Thread(target=lambda: server.serve_forever(0.01), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        stop = threading.Thread(target=server.shutdown, daemon=True)
        stop.start()
        stop.join(5)
        assert not stop.is_alive(), "the server does not stop"
        server.server_close()


def fetch(server: ScrapeServer, context: ssl.SSLContext | None = None) -> bytes:
    url = f"{'https' if context else 'http'}://127.0.0.1:{server.server_port}/metrics"
    with urllib.request.urlopen(url, timeout=5, context=context) as reply:
        return bytes(reply.read())


def connect(server: ScrapeServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_port), timeout=5)


def member(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.authority))
    context.load_cert_chain(tls.certificate, tls.key)
    return context


@needs_openssl
def test_a_caller_that_shakes_no_hands_keeps_nobody_waiting(tmp_path: Path) -> None:
    tls = issue(make_authority(tmp_path / "authority"), "node", "IP:127.0.0.1")
    with serving(tls) as server, connect(server):
        assert fetch(server, member(tls)) == b"answered"
        # And the server stops, while the silent connection is open.


@needs_openssl
def test_a_renewed_certificate_is_used_and_half_a_renewal_is_not(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "authority")
    tls, renewed = (issue(authority, name, "IP:127.0.0.1") for name in ("node", "renewed"))

    def shown(server: ScrapeServer) -> str:
        with connect(server) as plain, member(renewed).wrap_socket(
            plain, server_hostname="127.0.0.1"
        ) as secured:  # fmt: skip
            certificate = secured.getpeercert() or {}
        return str(certificate["subject"])

    with serving(tls) as server:
        shutil.copy(renewed.certificate, tls.certificate)
        assert "node" in shown(server)
        shutil.copy(renewed.key, tls.key)
        assert "renewed" in shown(server)


def test_silent_callers_take_few_threads_and_give_their_places_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scrape_server, "REQUEST_SECONDS", 0.5)
    before = threading.active_count()
    with serving() as server, ExitStack() as stack:
        silent = [stack.enter_context(connect(server)) for _ in range(3 * MAX_REQUESTS)]
        # The last are closed at once: all places are taken.
        assert silent[-1].recv(1) == b""
        # The server, and a thread and a timer for each place.
        assert threading.active_count() <= before + 1 + 2 * MAX_REQUESTS
        assert all(connection.recv(1) == b"" for connection in silent)
        assert fetch(server) == b"answered"


def test_a_caller_that_sends_single_bytes_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape_server, "REQUEST_SECONDS", 0.3)

    def send_slowly(connection: socket.socket) -> None:
        for _ in range(100):
            connection.send(b"G")
            time.sleep(0.05)

    with serving() as server, connect(server) as slow, pytest.raises(OSError):
        send_slowly(slow)
