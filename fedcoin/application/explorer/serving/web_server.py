"""Run the explorer: the node's client, the follower and the web server, on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.explorer.reading.campaign_page_reader import CampaignPageReader
from fedcoin.application.explorer.reading.chain_follower import ChainFollower
from fedcoin.application.explorer.reading.chain_reader import ChainReader
from fedcoin.application.explorer.reading.chain_search import ChainSearch
from fedcoin.application.explorer.reading.chain_source import ChainSource
from fedcoin.application.explorer.reading.payment_index import PaymentIndex
from fedcoin.application.explorer.serving.event_stream import EventStreams
from fedcoin.application.explorer.serving.patient_protocol import make_patient_protocol
from fedcoin.application.explorer.serving.request_guard import AnsweredHosts
from fedcoin.application.explorer.serving.web_app import ExplorerApp
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import Endpoint

if TYPE_CHECKING:
    from starlette.types import ASGIApp

MAX_CONNECTIONS: Final = 512
"""How many connections are served at a time; more are answered with 503."""

_BACKLOG: Final = 128


async def serve_explorer(
    source: ChainSource,
    node: str,
    endpoint: Endpoint,
    stop: asyncio.Event,
    tell: Callable[[str], None],
    *,
    names: Sequence[str] = (),
    insecure: bool = False,
) -> None:
    """Serve the explorer until it is asked to stop.

    Args:
        source: A client of the node.
        node: The node's address, which pages name.
        endpoint: Where to listen; port 0 for any free one.
        stop: Set when it should stop.
        tell: Is told the explorer's URL once it listens.
        names: More hosts that requests may name, such as that of a proxy.
        insecure: Whether other machines may reach it.

    Raises:
        RefusalError: EXPOSED when other machines could reach the endpoint and `insecure` is False;
            PORT_IN_USE when it cannot be bound.
    """
    if not endpoint.loopback and not insecure:
        raise RefusalError(
            ApplicationCode.EXPOSED,
            f"--listen {endpoint} can be reached by other machines, in plaintext: listen on "
            "127.0.0.1, put a proxy with TLS in front, or add --insecure",
            field="listen",
        )
    follower = ChainFollower(source, PaymentIndex())
    app = ExplorerApp(
        ChainReader(source, follower),
        CampaignPageReader(source),
        ChainSearch(source, follower),
        follower,
        EventStreams(follower),
        node,
    ).make_app(AnsweredHosts(endpoint.loopback, frozenset(name.lower() for name in names)))
    with bind(endpoint) as listener:
        following = asyncio.create_task(follower.run())
        try:
            host, port = listener.getsockname()[:2]
            tell(f"http://{f'[{host}]' if ':' in host else host}:{port}/")
            await _serve(app, listener, stop, follower, following)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


def bind(endpoint: Endpoint) -> socket.socket:
    """Bind and listen.

    Args:
        endpoint: Where to listen; port 0 for any free one.

    Returns:
        The socket, which the caller closes.

    Raises:
        RefusalError: PORT_IN_USE when the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((endpoint.host, endpoint.port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise RefusalError(
            NetworkCode.PORT_IN_USE,
            f"cannot listen on {endpoint} ({error.strerror or error}): stop the program that uses "
            "it, or give --listen another address",
            field="listen",
            limit=str(endpoint),
        ) from error
    listener.setblocking(False)
    return listener


async def _serve(
    app: ASGIApp,
    listener: socket.socket,
    stop: asyncio.Event,
    follower: ChainFollower,
    following: asyncio.Task[None],
) -> None:
    """Serve until `stop` is set, or the follower fails, which is a bug."""
    import uvicorn

    class Server(uvicorn.Server):
        """A server whose process handles its own signals."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        def install_signal_handlers(self) -> None:
            """Do nothing: uvicorn below 0.29 calls this one."""

    settings: dict[str, Any] = {
        "http": make_patient_protocol(),
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "limit_concurrency": MAX_CONNECTIONS,
        "timeout_graceful_shutdown": 1,
    }
    server = Server(uvicorn.Config(app, **settings))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopping, following), return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
    finally:
        follower.close()
        server.should_exit = True
        stopping.cancel()
        await serving
