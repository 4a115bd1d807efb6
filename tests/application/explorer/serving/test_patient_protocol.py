"""Connections without requests do not keep the explorer from answering others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from fedcoin.application.explorer.serving import patient_protocol
from fedcoin.application.explorer.serving.patient_protocol import make_patient_protocol
from tests.conftest import ReportAttack

if TYPE_CHECKING:
    from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 4
REQUEST_S = 0.5


@asynccontextmanager
async def served(protocol: type[H11Protocol] | str) -> AsyncIterator[int]:
    """Serve a page as the explorer does, and yield the port."""
    import uvicorn

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            answer, http=protocol, ws="none", lifespan="off", log_config=None,
            limit_concurrency=MAX_CONNECTIONS, timeout_graceful_shutdown=1,
        )  # fmt: skip
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()[1]
        server.should_exit = True
        await serving


async def fetch_status(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return line.decode().split(" ")[1]


async def occupy(port: int, count: int) -> list[asyncio.StreamWriter]:
    """Open connections, every second one of which begins a request and does not go on."""
    writers = []
    for number in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        if number % 2:
            writer.write(b"GET / HTTP/1.1\r\nHost: local")
        writers.append(writer)
    return writers


@pytest.mark.attack
def test_connections_without_a_request_are_closed(report_attack: ReportAttack) -> None:
    async def check(protocol: type[H11Protocol] | str) -> str:
        async with served(protocol) as port:
            writers = await occupy(port, MAX_CONNECTIONS)
            assert await fetch_status(port) == "503"
            await asyncio.sleep(3 * REQUEST_S)
            status = await fetch_status(port)
            for writer in writers:
                writer.close()
            return status

    assert asyncio.run(check("h11")) == "503"
    assert asyncio.run(check(make_patient_protocol(REQUEST_S))) == "200"
    report_attack(
        "open as many connections to the explorer as it serves, and send no whole request",
        "everybody else gets 503, for as long as they are open",
        "they are closed after 10 s, and another machine has a quarter of them at most",
    )


def test_a_connection_that_sends_its_requests_in_time_stays_open() -> None:
    async def check() -> None:
        async with served(make_patient_protocol(REQUEST_S)) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(4):
                writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(2) == b"ok"
                await asyncio.sleep(REQUEST_S / 2)
            writer.close()

    asyncio.run(check())


def test_another_machine_has_a_share_of_the_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patient_protocol, "is_loopback", lambda _: False)

    async def check() -> None:
        async with served(make_patient_protocol(REQUEST_S * 20, max_of_host=2)) as port:
            writers = await occupy(port, 2)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            for each in (*writers, writer):
                each.close()
            await asyncio.sleep(0.1)
            assert await fetch_status(port) == "200"

    asyncio.run(check())
