"""The explorer in a real browser, over a network of real nodes.

The chain holds a settled round of 100 clients, with a free rider and a name that would be a script,
and a round that failed because it pays too little for any miner.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1 import task_pb2
from fedcoin.v1.task_pb2 import OpenCampaign, SignedUpdate
from tests.support.e2e.browser import Window, browse, find_barriers
from tests.support.e2e.campaigns import Campaign, reached
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, BRISK, Network, pay
from tests.support.explored_chain import SCRIPT
from tests.support.keys import ALICE, BOB
from tests.support.ports import reserve_addresses
from tests.support.programs import Program, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLIENTS = 100
FREE_RIDER = 5
NAMES = {0: SCRIPT, 1: "Klinik Süd", FREE_RIDER: "نبيل"}


class NamedCampaign(Campaign):
    """A campaign whose clients have the names of `NAMES`."""

    def update(self, index: int, **changes: Any) -> SignedUpdate:
        return super().update(index, name=NAMES.get(index, ""), **changes)


class PoorCampaign(Campaign):
    """A campaign that pays a few sap, for which no miner works."""

    def offer(self, **changes: Any) -> OpenCampaign:
        return super().offer(budget=1_000, unit_price=700, **changes)


@dataclass(frozen=True)
class World:
    """A network and its explorer."""

    network: Network
    explorer: Program
    url: str
    genesis: Path
    campaign: str
    settled: str
    failed: str
    # The clients' addresses, in the order of `NAMES`.
    clients: tuple[str, ...]

    def client(self) -> NodeClient:
        return self.network.nodes[0].client()

    def paths(self) -> dict[str, str]:
        return {
            "overview": "/",
            "campaigns": "/campaigns",
            "campaign": f"/campaign/{self.campaign}",
            "settled": f"/task/{self.settled}",
            "failed": f"/task/{self.failed}",
            "address": f"/address/{self.clients[0]}",
            "blocks": "/blocks",
            "block": "/block/3",
            "transaction": f"/tx/{self.settled}",
            "pending": "/pending",
            "check": "/check",
            "search": "/search?q=Klinik",
            "missing": "/block/999999",
        }


async def play(network: Network) -> tuple[str, str, str, tuple[str, ...]]:
    """Settle the round of all clients, and let the poor one fail."""
    async with network.nodes[0].client() as client:
        work = Round(CLIENTS, 200)
        work.updates[FREE_RIDER] = work.base
        rich = NamedCampaign(
            client, network.chain, work, 2, task_pb2.SCHEDULE_PERMUTATION, max_samples=6
        )
        await rich.upload()
        await rich.open()
        poor = PoorCampaign(client, network.chain, Round(3))
        await poor.upload()
        await poor.open()
        failed = await poor.open_task(
            commit_window_ms=2_000, reveal_window_ms=2_000, max_attempts=1
        )
        await reached(client, failed, "FAILED")
        settled = await rich.open_task()
        await reached(client, settled, "SETTLED", seconds=300)
        addresses = tuple(format_address(key.address) for key in rich.keys)
        return rich.campaign_id.hex(), settled.hex(), failed.hex(), addresses


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with Stage(tmp_path_factory.mktemp("explored")) as stage:
        network = Network(stage, [BOND] * 2, BRISK)
        asyncio.run(network.start())
        played = asyncio.run(play(network))
        (listener,) = reserve_addresses(1)
        home = network.nodes[0].home
        explorer = stage.program(
            "explorer", "explorer", "--home", home.root, "--listen", listener
        ).start()
        asyncio.run(explorer.says("explorer of"))
        genesis = home.root / "genesis.json"
        yield World(network, explorer, f"http://{listener}", genesis, *played)
        explorer.stop()
        network.finish()


async def is_live(window: Window) -> None:
    # Not `wait_for_function`: the policy forbids the evaluation of text.
    await window.page.wait_for_selector("#live[data-state=live]")


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
async def test_every_page_is_sound_for_everybody(world: World, scheme: str, width: int) -> None:
    barriers: dict[str, list[str]] = {}
    async with browse(
        world.url, color_scheme=scheme, viewport={"width": width, "height": 800}
    ) as window:
        for name, path in world.paths().items():
            await window.open(path)
            await is_live(window)
            assert await window.overflow() <= 0, name
            found = await find_barriers(window)
            if found:
                barriers[name] = found
        window.check()
    assert barriers == {}


async def test_names_are_shown_as_text(world: World) -> None:
    async with browse(world.url) as window:
        for path in (f"/task/{world.settled}", f"/address/{world.clients[0]}"):
            await window.open(path)
            assert SCRIPT in await window.text()
        await window.open("/search?q=" + "alert(1)")
        assert SCRIPT in await window.text()
        # The page fetches itself again, which moves parsed elements into it.
        async with world.client() as client:
            await pay(client, ALICE, BOB.address, 1)
        await window.page.wait_for_timeout(2_000)
        window.check()


async def test_a_round_of_a_hundred_clients(world: World) -> None:
    async with world.client() as client:
        task = await client.get_task(world.settled)
    async with browse(world.url) as window:
        await window.open(f"/task/{world.settled}")
        rows = window.page.locator("#clients tbody tr")
        assert await rows.count() == CLIENTS
        assert await window.page.locator("figure.plot rect").count() == CLIENTS
        rider = window.page.locator("#clients tbody tr", has_text="نبيل")
        assert "+0.0000" in await rider.inner_text()
        assert task.clients[FREE_RIDER].payout == 0
        for index in (0, 50, 99):
            cells = await rows.nth(index).inner_text()
            value = task.clients[index].shapley_nano / 1e9
            assert f"{value:+.4f}".replace("-", "\N{MINUS SIGN}") in cells
        miners = await window.text("#miners")
        assert miners.count("yes") == 6
        await window.open(f"/task/{world.failed}")
        assert "This task failed" in await window.text()
        window.check()


async def test_the_overview_follows_the_chain_and_keeps_the_focus(world: World) -> None:
    async with browse(world.url) as window, world.client() as client:
        await window.open("/")
        await is_live(window)
        link = window.page.locator("#validators a.hash").first
        await link.focus()
        href = await link.get_attribute("href")
        height = (await pay(client, ALICE, BOB.address, 2)).height
        await window.page.wait_for_selector(f"#blocks a[href='/block/{height}']")
        focused = await window.page.evaluate("document.activeElement.getAttribute('href')")
        assert focused == href
        window.check()


async def test_pages_come_back_by_themselves(world: World) -> None:
    """The explorer goes away and comes back, then the node behind it."""
    async with browse(world.url) as window:
        await window.open("/")
        await is_live(window)
        world.explorer.stop()
        await window.page.wait_for_selector("#live[data-state=lost]")
        world.explorer.start()
        await is_live(window)
        node = world.network.nodes[0]
        node.program.stop()
        await window.page.wait_for_selector("[data-failure]")
        assert "The node cannot be reached" in await window.text()
        assert "UNAVAILABLE" in await window.text()
        await node.start()
        await window.page.wait_for_selector("#facts", timeout=60_000)
        async with world.client() as client:
            height = (await pay(client, ALICE, BOB.address, 3, seconds=60)).height
        await window.page.wait_for_selector(f"#blocks a[href='/block/{height}']")
        window.check()


async def test_the_browser_checks_a_payment(world: World, tmp_path: Path) -> None:
    async with browse(world.url, accept_downloads=True) as window:
        page = window.page
        async with world.client() as client:
            task = await client.get_task(world.settled)
        paid = next(each for each in task.clients if each.payout)
        await window.open(f"/address/{paid.address}")
        async with page.expect_download() as downloading:
            await page.get_by_label(re.compile("Download the proof")).first.click()
        proof = Path(await (await downloading.value).path())
        await page.get_by_label(re.compile("Check the proof")).first.click()
        await page.set_input_files("#genesis", world.genesis)
        await page.get_by_role("button", name="Check").click()
        await page.wait_for_selector(".notice.good")
        verdict = await window.text("#verdict")
        assert "The proof is valid: 1 payment" in verdict
        assert paid.address in verdict
        assert "2 validators with 100.0 % of the voting power" in verdict
        await check_forged(window, proof, world.genesis, tmp_path)
        assert await find_barriers(window) == []
        window.check()


def write_forged(proof: Path, genesis: Path, folder: Path) -> tuple[Path, Path]:
    """Write a proof of one sap more, and a genesis with one space more."""
    document = json.loads(proof.read_text())
    document["payments"][0]["amount"] += 1
    forged, other = folder / "forged.json", folder / "other.json"
    forged.write_text(json.dumps(document))
    other.write_bytes(genesis.read_bytes() + b" ")
    return forged, other


async def check_forged(window: Window, proof: Path, genesis: Path, folder: Path) -> None:
    """Check that a richer proof and another genesis are refused."""
    forged, other = write_forged(proof, genesis, folder)
    for chosen, trusted, code in (
        (forged, genesis, "BAD_PROOF"),
        (proof, other, "WRONG_GENESIS"),
        (proof, proof, "BAD_GENESIS"),
        (genesis, genesis, "MALFORMED"),
    ):
        await window.open("/check")
        await window.page.set_input_files("#genesis", trusted)
        await window.page.set_input_files("#proof", chosen)
        await window.page.get_by_role("button", name="Check").click()
        await window.page.wait_for_selector(".notice.bad")
        assert code in await window.text("#verdict")


async def test_payments_as_csv(world: World) -> None:
    async with world.client() as client:
        paid = next(each for each in (await client.get_task(world.settled)).clients if each.payout)
    async with browse(world.url, accept_downloads=True) as window:
        await window.open(f"/address/{paid.address}")
        link = window.page.get_by_role("link", name="Download as CSV")
        async with window.page.expect_download() as downloading:
            await link.click()
        assert (await downloading.value).suggested_filename == f"payments-{paid.address}.csv"
        reply = await window.page.request.get(world.url + str(await link.get_attribute("href")))
        assert f",training,{paid.payout}," in await reply.text()


async def test_pages_are_read_without_scripts(world: World) -> None:
    async with browse(world.url, java_script_enabled=False) as window:
        for name, path in world.paths().items():
            await window.open(path)
            assert await window.page.locator("h1").count() == 1, name
        await window.open(f"/task/{world.settled}")
        assert await window.page.locator("#clients tbody tr").count() == CLIENTS
        await window.page.fill("#query", "1")
        await window.page.press("#query", "Enter")
        await window.page.wait_for_url("**/block/1")


async def test_a_keyboard_is_enough(world: World) -> None:
    async with browse(world.url) as window:
        page = window.page
        await window.open("/campaigns")
        await page.keyboard.press("Tab")
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.focus("#query")
        await page.keyboard.type(world.settled)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/task/{world.settled}")
        await page.focus("nav a[href='/blocks']")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        window.check()


async def test_another_site_cannot_read_it(world: World) -> None:
    """A page of another origin, and a name that was turned to this machine, get nothing."""
    async with browse("about:blank") as window:
        script = f"fetch('{world.url}/').then((r) => r.text()).then(() => 'read', () => 'refused')"
        assert await window.page.evaluate(script) == "refused"
        refused = await window.page.request.get(
            world.url + "/", headers={"host": "evil.example:7080"}
        )
        assert refused.status == 421


async def test_a_devnet_shows_itself(tmp_path: Path) -> None:
    """`fedcoin-node devnet` with its own explorer: the page sees a round settle."""
    with Stage(tmp_path) as stage:
        devnet = stage.program(
            *("devnet", "devnet", "--miners", "2", "--clients", "4", "--rounds", "2", "--json"),
            "--stay",  # Its two rounds may be over before the browser has started.
        ).start()
        await devnet.says("see it while it runs", 120)
        found = re.search(r"http://\S+", devnet.said())
        assert found
        async with browse(found[0]) as window:
            await window.open("/campaigns")
            link = window.page.locator("#campaigns tbody a[href^='/campaign/']").first
            await link.click(timeout=240_000)
            settled = window.page.locator("#rounds .tag.good", has_text="settled").first
            await settled.wait_for(timeout=240_000)
            await window.page.locator("#rounds a[href^='/task/']").last.click()
            assert await window.page.locator("#clients tbody tr").count() == 4
            assert "+0.0000" in await window.text("#clients")
            window.check()
        await devnet.says('"rounds"', 240)
        devnet.stop()
