"""The explorer as an ASGI application: which address shows which page."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from fedcoin import __version__
from fedcoin.application.explorer.pages.failure_pages import (
    NO_PAGE,
    TOO_BUSY,
    explain_failure,
)
from fedcoin.application.explorer.pages.page_renderer import Site, render_page
from fedcoin.application.explorer.pages.payment_csv import write_csv
from fedcoin.application.explorer.reading.campaign_page_reader import CampaignPageReader
from fedcoin.application.explorer.reading.chain_follower import ChainFollower
from fedcoin.application.explorer.reading.chain_reader import ChainReader
from fedcoin.application.explorer.reading.chain_search import ChainSearch
from fedcoin.application.explorer.reading.view_models import PageFailure, PageView, ProofForm
from fedcoin.application.explorer.serving.asset_files import load_assets
from fedcoin.application.explorer.serving.event_stream import EventStreams
from fedcoin.application.explorer.serving.request_guard import AnsweredHosts, RequestGuard
from fedcoin.data.errors import RefusalError
from fedcoin.network.client.rpc_error import RpcError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp

MAX_READS: Final = 16
"""How many pages are read from the node at a time."""

MAX_WAITING: Final = 128
"""How many requests wait for that; more are refused."""

Page = Callable[["Request"], Awaitable["Response"]]


class ExplorerApp:
    """Answers requests; `make_app` gives it to a server.

    Args:
        chain: Reads what the pages of blocks, transactions and addresses show.
        campaigns: Reads what the pages of campaigns and tasks show.
        search: Finds what somebody is looking for.
        follower: Follows the chain.
        streams: Opens the streams of open pages.
        node: The node's address, which pages name.
    """

    def __init__(
        self,
        chain: ChainReader,
        campaigns: CampaignPageReader,
        search: ChainSearch,
        follower: ChainFollower,
        streams: EventStreams,
        node: str,
    ) -> None:
        self._chain_reader = chain
        self._campaign_reader = campaigns
        self._search = search
        self._follower = follower
        self._streams = streams
        self._node = node
        self._assets = load_assets()
        self._paths = {name: asset.path for name, asset in self._assets.items()}
        self._reads = asyncio.Semaphore(MAX_READS)
        self._waiting = 0

    def make_app(self, hosts: AnsweredHosts) -> ASGIApp:
        """Make the ASGI application.

        Args:
            hosts: The hosts that requests may name.

        Returns:
            The application, guarded by `RequestGuard`.
        """
        from starlette.applications import Starlette
        from starlette.routing import Route

        shown: dict[str, Page] = {
            "/": self._overview,
            "/blocks": self._blocks,
            "/block/{which}": self._block,
            "/tx/{hash}": self._transaction,
            "/pending": self._pending,
            "/campaigns": self._campaigns,
            "/campaign/{id}": self._campaign,
            "/task/{id}": self._task,
            "/address/{address}": self._address,
            "/address/{address}/payments.csv": self._csv,
            "/address/{address}/proof/{task}.json": self._proof,
            "/search": self._find,
        }
        routes = [Route(path, self._guarded(page), methods=["GET"]) for path, page in shown.items()]
        routes += [
            Route("/check", self._check, methods=["GET"]),
            Route("/events", self._events, methods=["GET"]),
            Route("/assets/{version}/{name}", self._asset, methods=["GET"]),
        ]

        async def missing(request: Request, error: Exception) -> Response:
            return self._fail(404, NO_PAGE)

        app = Starlette(routes=routes, exception_handlers={404: missing})
        return RequestGuard(app, self._fail, hosts)

    @property
    def _site(self) -> Site:
        follower = self._follower
        return Site(
            chain_id=follower.chain_id,
            genesis_hash=follower.genesis_hash,
            node=self._node,
            version=__version__,
            is_connected=follower.is_connected,
            asset_paths=self._paths,
        )

    def _guarded(self, page: Page) -> Page:
        """Bound how many pages are read at a time, and explain failures."""

        async def answer(request: Request) -> Response:
            if self._waiting >= MAX_WAITING:
                return self._fail(503, TOO_BUSY)
            self._waiting += 1
            try:
                async with self._reads:
                    return await page(request)
            except (RpcError, RefusalError) as error:
                return self._fail(*explain_failure(error))
            finally:
                self._waiting -= 1

        return answer

    def _show(self, view: PageView, status: int = 200) -> Response:
        from starlette.responses import HTMLResponse

        page = render_page(self._site, view)
        return HTMLResponse(page, status, headers={"cache-control": "no-store"})

    def _fail(self, status: int, failure: PageFailure) -> Response:
        return self._show(failure, status)

    async def _overview(self, request: Request) -> Response:
        return self._show(await self._chain_reader.read_overview())

    async def _blocks(self, request: Request) -> Response:
        return self._show(await self._chain_reader.read_blocks(_token(request)))

    async def _block(self, request: Request) -> Response:
        which = request.path_params["which"]
        known = int(which) if which.isascii() and which.isdecimal() and len(which) < 20 else which
        return self._show(await self._chain_reader.read_block(known, _page(request)))

    async def _transaction(self, request: Request) -> Response:
        return self._show(await self._chain_reader.read_transaction(request.path_params["hash"]))

    async def _pending(self, request: Request) -> Response:
        return self._show(await self._chain_reader.read_pending())

    async def _campaigns(self, request: Request) -> Response:
        return self._show(await self._campaign_reader.read_campaigns(_token(request)))

    async def _campaign(self, request: Request) -> Response:
        campaign = request.path_params["id"]
        return self._show(await self._campaign_reader.read_campaign(campaign, _token(request)))

    async def _task(self, request: Request) -> Response:
        return self._show(
            await self._campaign_reader.read_task(request.path_params["id"], _page(request))
        )

    async def _address(self, request: Request) -> Response:
        address = request.path_params["address"]
        return self._show(await self._chain_reader.read_address(address, _page(request)))

    async def _csv(self, request: Request) -> Response:
        view = await self._chain_reader.read_address(request.path_params["address"], 1)
        text = await asyncio.to_thread(write_csv, view.payments)
        return _download(text, "text/csv", f"payments-{view.account.address}.csv")

    async def _proof(self, request: Request) -> Response:
        task, address = request.path_params["task"], request.path_params["address"]
        document = await self._chain_reader.read_proof(task, address)
        text = await asyncio.to_thread(json.dumps, document)
        name = f"proof-{document['task_id'][:16]}-{document['address']}.json"
        return _download(text, "application/json", name)

    async def _find(self, request: Request) -> Response:
        from starlette.responses import RedirectResponse

        found = await self._search.find(request.query_params.get("q", ""))
        if isinstance(found, str):
            return RedirectResponse(found, 303, headers={"cache-control": "no-store"})
        return self._show(found)

    async def _check(self, request: Request) -> Response:
        task, address = (request.query_params.get(name, "") for name in ("task", "address"))
        return self._show(ProofForm(task, address) if task and address else ProofForm("", ""))

    async def _events(self, request: Request) -> Response:
        from starlette.responses import Response as PlainResponse
        from starlette.responses import StreamingResponse

        if not self._streams.has_room:
            return self._fail(503, TOO_BUSY)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        if request.method == "HEAD":
            return PlainResponse(media_type="text/event-stream", headers=headers)
        events = self._streams.open(request.headers.get("last-event-id", ""))
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    async def _asset(self, request: Request) -> Response:
        from starlette.responses import Response as PlainResponse

        asset = self._assets.get(request.path_params["name"])
        if asset is None:
            return self._fail(404, NO_PAGE)
        is_current = request.url.path == asset.path
        age = "public, max-age=31536000, immutable" if is_current else "no-store"
        headers = {"content-type": asset.media_type, "cache-control": age}
        return PlainResponse(asset.content, headers=headers)


def _token(request: Request) -> str:
    return request.query_params.get("after", "")


def _page(request: Request) -> int:
    text = request.query_params.get("page", "1")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 8 else 1


def _download(text: str, media_type: str, name: str) -> Response:
    from starlette.responses import Response as PlainResponse

    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name)}",
        "cache-control": "no-store",
    }
    return PlainResponse(text, media_type=media_type, headers=headers)
