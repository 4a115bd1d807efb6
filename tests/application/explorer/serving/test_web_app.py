"""All pages of a real chain, read through the real API."""

from __future__ import annotations

import asyncio
import html.parser
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fedcoin.application.verification.proof_file import check_file
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.genesis import Genesis
from tests.support.explored_chain import SCRIPT, Answer, Played, explore, play
from tests.support.genesis import FDC
from tests.support.keys import ALICE
from tests.support.shared_accounts import MEMBERS, PURSE, sign_on
from tests.support.transfers import transfer_to

VOID = {"meta", "link", "input", "rect", "line", "polyline", "circle", "br"}


class PageReader(html.parser.HTMLParser):
    """Collects a page's text, links and scripts, and checks that elements close in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.links: list[str] = []
        self.sources: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        self.links += [found.get("href") or ""] if tag == "a" else []
        self.sources += [
            found[name] or "" for name in ("src", "href") if tag != "a" and name in found
        ]
        self.ids += [found["id"] or ""] if "id" in found else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@dataclass(frozen=True)
class Visit:
    """The answers to one visit of each page, and what was played."""

    played: Played
    genesis: Genesis
    answers: Mapping[str, Answer]

    def page(self, name: str) -> PageReader:
        answer = self.answers[name]
        assert answer.status == 200, answer.text
        return PageReader(answer.text)


def paths_of(played: Played) -> dict[str, str]:
    address = format_address(played.job.clients[0].address)
    miner = format_address(played.job.chain.miners[0].address)
    return {
        "overview": "/",
        "blocks": "/blocks",
        "block": "/block/2",
        "campaigns": "/campaigns",
        "campaign": f"/campaign/{played.job.campaign_id.hex()}",
        "settled": f"/task/{played.settled}",
        "failed": f"/task/{played.failed}",
        "open": f"/task/{played.open}",
        "transaction": f"/tx/{played.open}",
        "pending": "/pending",
        "address": f"/address/{address}",
        "miner": f"/address/{miner}",
        "csv": f"/address/{address}/payments.csv",
        "proof": f"/address/{address}/proof/{played.settled}.json",
        "check": f"/check?task={played.settled}&address={address}",
        "search": "/search?q=ALERT",
        "nothing": "/search?q=x",
    }


PAGES = sorted({
    "overview", "blocks", "block", "campaigns", "campaign", "settled", "failed", "open",
    "transaction", "pending", "address", "miner", "check", "search", "nothing",
})  # fmt: skip


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    async def ask() -> Visit:
        async with explore(tmp_path_factory.mktemp("site")) as explored:
            played = play(explored.live.chain)
            await explored.caught_up()
            answers = {name: await explored.get(path) for name, path in paths_of(played).items()}
            return Visit(played, explored.live.chain.genesis, answers)

    return asyncio.run(ask())


@pytest.mark.parametrize("name", PAGES)
def test_each_page_is_well_formed_and_loads_only_its_own_files(visit: Visit, name: str) -> None:
    page = visit.page(name)
    assert len(page.ids) == len(set(page.ids))
    assert all(source.startswith("/assets/") for source in page.sources)
    assert all(link.startswith(("/", "#")) for link in page.links)
    for tag, attributes in page.tags:
        assert "style" not in attributes
        assert not any(attribute.startswith("on") for attribute in attributes), tag
        assert tag != "script" or "src" in attributes
        assert tag != "table" or page.text
    captions = sum(tag == "caption" for tag, _ in page.tags)
    assert captions == sum(tag == "table" for tag, _ in page.tags)
    live = [found["id"] for _, found in page.tags if "data-live" in found]
    assert all(live)


def test_a_name_that_would_be_a_script_is_text(visit: Visit) -> None:
    shown = [name for name in PAGES if SCRIPT in visit.page(name).text]
    assert {"settled", "failed", "open", "address", "search"} <= set(shown)
    for name in PAGES:
        assert "alert(1)" not in [t for t, _ in visit.page(name).tags]
        assert "<script>alert" not in visit.answers[name].text


def test_the_overview_shows_the_network(visit: Visit) -> None:
    page = visit.page("overview")
    height = visit.played.job.chain.height
    for expected in (
        "fedcoin-test",
        f"Height{height}",
        "recounted",
        "2 validators",
        "values a round",
    ):
        assert expected in " ".join(page.text.split())
    votes = {found["aria-label"] for _, found in page.tags if found.get("class") == "votes"}
    assert votes == {f"{height} of {height}"}


def test_a_settled_round_shows_values_intervals_and_pay(visit: Visit) -> None:
    text = " ".join(visit.page("settled").text.split())
    # 18 % of the examples are answered right: the base's 10, and 5 + 3.
    for expected in ("settled", "18.0 %", "+0.0500 to +0.0500", "+0.0300", "4.3750 FDC", "62.5 %"):
        assert expected in text
    assert "A value of +0.0100 is one percentage point of accuracy." in text
    assert "Distance to S-bar" in text
    assert "0.0000" in text
    assert "won" in text


def test_a_failed_round_says_so(visit: Visit) -> None:
    assert "This task failed" in visit.page("failed").text
    assert "This task failed" not in visit.page("settled").text
    assert "No miner has committed yet." in visit.page("open").text


def test_a_campaign_shows_its_rounds_and_plots(visit: Visit) -> None:
    page = visit.page("campaign")
    assert sum(tag == "svg" and found.get("role") == "img" for tag, found in page.tags) == 2
    for task in (visit.played.settled, visit.played.failed, visit.played.open):
        assert f"/task/{task}" in page.links


def test_an_address_shows_what_it_earned(visit: Visit) -> None:
    page = visit.page("address")
    assert "4.3750 FDC" in page.text
    address = format_address(visit.played.job.clients[0].address)
    assert f"/address/{address}/proof/{visit.played.settled}.json" in page.links
    lines = visit.answers["csv"].text.splitlines()
    assert lines[0].startswith("height,time,kind,amount_sap")
    (line,) = lines[1:]
    assert ",training,437500000,4.37500000,1,0.050000000," in line
    assert "attachment" in visit.answers["csv"].headers["content-disposition"]
    assert "deposit returned" in visit.page("miner").text


def test_a_downloaded_proof_is_valid(visit: Visit) -> None:
    raw = visit.answers["proof"].text.encode()
    proved = check_file(raw, visit.genesis)
    assert proved.task_id.hex() == visit.played.settled
    assert json.loads(raw)["payments"][0]["amount"] == 437_500_000


@pytest.mark.parametrize("name", ["overview", "csv", "proof"])
def test_each_response_has_the_headers_of_a_strict_site(visit: Visit, name: str) -> None:
    headers = visit.answers[name].headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


async def test_failures_are_pages_with_codes(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        await explored.caught_up()
        cases = {
            "/block/9": (404, "BLOCK_NOT_FOUND"),
            "/block/0": (400, "MALFORMED"),
            "/tx/" + "ab" * 32: (404, "TRANSACTION_NOT_FOUND"),
            "/tx/<b>": (400, "MALFORMED"),
            "/task/" + "ab" * 32: (404, "TASK_NOT_FOUND"),
            "/campaign/" + "ab" * 32: (404, "CAMPAIGN_NOT_FOUND"),
            "/address/fc1qqq": (400, "BAD_ADDRESS"),
            "/blocks?after=x": (400, "BAD_PAGE_TOKEN"),
            "/nowhere": (404, "NO_FILE"),
            "/assets/x/y.js": (404, "NO_FILE"),
        }
        for path, (status, code) in cases.items():
            answer = await explored.get(path)
            assert (answer.status, code in PageReader(answer.text).text) == (status, True), path
            assert "<b>" not in answer.text.split("<main")[1].replace("<b></b>", "")
        await explored.live.server.stop(0)
        gone = await explored.get("/")
        assert gone.status == 503
        assert "The node cannot be reached" in gone.text
        assert "data-failure" in gone.text


async def test_accounts_of_several_keys_show_how_many_must_sign(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        chain = explored.live.chain
        chain.produce(chain.sign(ALICE, transfer_to((PURSE.address, FDC))))
        payment = sign_on(chain, transfer_to((ALICE.address, 1)))
        chain.produce(payment)
        await explored.caught_up()
        shown = PageReader((await explored.get(f"/tx/{payment.hash.hex()}")).text).text
        assert "2 of 3 keys" in shown
        assert [key.public_key.hex() in shown for key in MEMBERS] == [True, True, False]
        purse = await explored.get(f"/address/{format_address(PURSE.address)}")
        assert "2 of 3 keys must sign" in PageReader(purse.text).text
        alone = await explored.get(f"/address/{format_address(ALICE.address)}")
        assert "must sign" not in alone.text


async def test_searching_leads_to_the_page(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        played = play(explored.live.chain)
        await explored.caught_up()
        campaign, address = played.job.campaign_id.hex(), format_address(played.job.server.address)
        block = explored.live.chain.blocks[0].hash.hex()
        transaction = explored.live.chain.sign(ALICE, transfer_to((ALICE.address, 1)))
        explored.live.chain.produce(transaction)
        await explored.caught_up()
        payment = transaction.hash.hex()
        for query, path in {
            "%2312": "/block/12",
            campaign.upper(): f"/campaign/{campaign}",
            played.failed: f"/task/{played.failed}",
            address: f"/address/{address}",
            block: f"/block/{block}",
            # Up to 19 decimal digits are a height.
            f"{block[:20]}%E2%80%A6": f"/block/{block}",
            f"0x{payment[:20]}": f"/tx/{payment}",
        }.items():
            answer = await explored.get(f"/search?q={query}")
            assert (answer.status, answer.headers["location"]) == (303, path)
        part = await explored.get(f"/search?q={played.open[:8]}")
        assert f"/task/{played.open}" in part.text
        assert "Nothing was found" in (await explored.get("/search?q=" + "ab" * 32)).text


async def test_assets_are_kept_by_browsers_and_change_their_path(tmp_path: Path) -> None:
    async with explore(tmp_path) as explored:
        sources = PageReader((await explored.get("/check")).text).sources
        assert len(sources) == 4
        for source in sources:
            asset = await explored.get(source)
            assert asset.status == 200
            assert "immutable" in asset.headers["cache-control"]
        old = await explored.get(sources[0].replace("/assets/", "/assets/x"))
        assert old.headers["cache-control"] == "no-store"
