"""An explorer over a served chain, without a socket of its own: requests are made by ASGI calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcoin.application.explorer.reading.campaign_page_reader import CampaignPageReader
from fedcoin.application.explorer.reading.chain_follower import ChainFollower
from fedcoin.application.explorer.reading.chain_reader import ChainReader
from fedcoin.application.explorer.reading.chain_search import ChainSearch
from fedcoin.application.explorer.reading.payment_index import PaymentIndex
from fedcoin.application.explorer.serving.event_stream import EventStreams
from fedcoin.application.explorer.serving.request_guard import AnsweredHosts
from fedcoin.application.explorer.serving.web_app import ExplorerApp
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.v1.task_pb2 import SignedUpdate
from tests.support.genesis import FDC
from tests.support.ledger_campaign import FAILED, LedgerCampaign, additive
from tests.support.ledger_chain import LedgerChain
from tests.support.served_api import ServedApi, serve_api
from tests.support.waiting import until

SCRIPT = "<script>alert(1)</script>"
"""A client's name that would be a script."""


@dataclass
class Explored:
    """An explorer, its node, and what was played on the chain."""

    live: ServedApi
    follower: ChainFollower
    streams: EventStreams
    app: Any

    async def get(self, path: str, **headers: str) -> Answer:
        """Make a GET request to 127.0.0.1."""
        return await call(self.app, "GET", path, {"host": "127.0.0.1:7080", **headers})

    async def caught_up(self) -> None:
        """Wait until the follower has the chain's latest block."""
        await until(lambda: self.follower.index.height == self.live.chain.height)


@dataclass(frozen=True)
class Answer:
    """A whole response."""

    status: int
    headers: Mapping[str, str]
    text: str


@asynccontextmanager
async def explore(folder: Path, *, max_streams: int = 4) -> AsyncIterator[Explored]:
    """Serve a chain without blocks, and follow it."""
    async with serve_api(folder) as live:
        follower = ChainFollower(live.node, PaymentIndex())
        streams = EventStreams(follower, max_streams=max_streams, heartbeat=0.05)
        app = ExplorerApp(
            ChainReader(live.node, follower),
            CampaignPageReader(live.node),
            ChainSearch(live.node, follower),
            follower,
            streams,
            live.server.address,
        ).make_app(AnsweredHosts(loopback_only=True))
        following = asyncio.create_task(follower.run())
        try:
            yield Explored(live, follower, streams, app)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def call(app: Any, method: str, path: str, headers: Mapping[str, str]) -> Answer:
    """Make a request by ASGI, and wait for the whole response."""
    plain, _, query = path.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": plain,
        "raw_path": plain.encode(),
        "query_string": query.encode(),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()],
        "server": ("127.0.0.1", 7080),
        "scheme": "http",
        "http_version": "1.1",
        "root_path": "",
    }
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    start, *parts = sent
    body = b"".join(part.get("body", b"") for part in parts)
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], found, body.decode())


class NamedCampaign(LedgerCampaign):
    """A campaign whose first client calls itself a script."""

    def update(self, client: KeyPair, round: int, **changes: Any) -> SignedUpdate:
        name = SCRIPT if client == self.clients[0] else ""
        return super().update(client, round, name=name, **changes)


@dataclass(frozen=True)
class Played:
    """A campaign of which round 1 is settled, round 2 failed, and round 3 is open."""

    job: NamedCampaign
    settled: str
    """Id of the task of round 1, in hex."""
    failed: str
    """Id of the task of round 2, in hex."""
    open: str
    """Id of the task of round 3, in hex."""


def play(chain: LedgerChain) -> Played:
    """Settle a round with values of 5, 3 and 0 of 100 answers, let one fail, open the next."""
    job = NamedCampaign(chain)
    job.open_campaign(rounds=4, budget=40 * FDC)
    settled = job.open_task()
    job.settle({m: additive(5, 3, 0) for m in chain.miners})
    failed = job.open_task()
    while job.task.phase != FAILED:
        chain.produce(after_ms=10_000)
    return Played(job, settled.hex(), failed.hex(), job.open_task().hex())
