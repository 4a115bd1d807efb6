"""Receipts of clients of Flower's deployment engine: all processes are real, the commands too."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")
pytest.importorskip("torch", reason="torch is not installed: make test-integrations has it")

from fedcoin.data.crypto.addresses import format_address
from tests.support.e2e.network import BOND
from tests.support.flower_deployment import RUN_SECONDS
from tests.support.flower_federation import APP, ROUNDS, Federation
from tests.support.programs import Stage, fedcoin
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

WINDOW_S = 60
LEAVING = {
    "it closes the campaign": "await self.return_rest()\n    os._exit(0)",
    "it is killed": "os.kill(os.getpid(), signal.SIGKILL)",
}
"""What a server does instead of opening the second round's task: it has the updates by then."""

DISHONEST = """
import os
import signal

from fedcoin.integrations.flower.paid_rounds import PaidRounds

honest_end = PaidRounds.end


async def end(self):
    if self.campaign.round == 1:
        return await honest_end(self)
    LEAVING


PaidRounds.end = end
"""


def dishonest_app(folder: Path, leaving: str) -> Path:
    """Copy the example, and let its server leave once it has sent the second round's receipts."""
    app = folder / "app"
    shutil.copytree(APP, app)
    with (app / "paid" / "server_app.py").open("a") as file:
        file.write(DISHONEST.replace("LEAVING", leaving))
    return app


def claim(here: Federation, client: int, *words: str) -> Any:
    """Run `fedcoin-node task receipts` for a client; returns what it prints."""
    options = ("--home", here.homes[client].root, "--json")
    return json.loads(fedcoin("task", "receipts", *words, *options, seconds=RUN_SECONDS))


async def test_clients_keep_receipts_of_three_rounds_and_one_leaves(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        here = Federation(stage, 3, bonds=[BOND], receipt_seconds=WINDOW_S)
        await here.start()
        run = here.run(clients=2)
        await until(lambda: here.rounds_on_disk() >= 1, "a round is paid", seconds=RUN_SECONDS)
        here.flower.nodes[2].kill()
        assert await here.flower.ended(run) == "finished:completed", here.flower.said()
        assert (await here.on_chain()).last_round == ROUNDS
        paid = await here.paid()
        assert min(paid[:2]) > 0
        for client in (0, 1):
            assert here.receipts(client) == [1, 2, 3]
            listed = claim(here, client, "list")
            address = format_address(here.keys[client].address)
            assert [(row["round"], row["address"]) for row in listed] == [
                (number, address) for number in (1, 2, 3)
            ]
        assert set(here.receipts(2)) < {1, 2}
        # The third receipt came before the third round was over.
        assert (here.kept_weights(0), here.kept_weights(1)) == ([3], [1, 2, 3])
        for client in (0, 1):
            assert claim(here, client, "prune", "--node", here.network.nodes[0].api)["bytes"] > 0
            assert here.kept_weights(client) == []
        here.network.finish()


@pytest.mark.parametrize("leaving", LEAVING.values(), ids=LEAVING)
async def test_clients_open_the_round_whose_server_leaves(leaving: str, tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        here = Federation(stage, 2, bonds=[BOND], receipt_seconds=WINDOW_S)
        await here.start()
        here.run(dishonest_app(tmp_path, leaving))
        await until(
            lambda: here.receipts(0) == here.receipts(1) == [1, 2],
            "both clients have two receipts",
            seconds=RUN_SECONDS,
        )
        if "return_rest" in leaving:

            async def closing() -> bool:
                return bool((await here.on_chain()).closing_ms)

            await until(closing, "the server asks to close", seconds=RUN_SECONDS)
        campaign, before = await here.on_chain(), await here.paid()
        assert (campaign.last_round, campaign.closed) == (1, False)
        node = ("--node", here.network.nodes[0].api)
        for client in (0, 1):
            done = await asyncio.to_thread(
                claim, here, client, "register", campaign.campaign_id, *node
            )
            assert done["status"] == "final"
        task = await asyncio.to_thread(
            claim, here, 0, "open", campaign.campaign_id, "--wait", *node
        )
        assert (task["phase"], task["round"]) == ("settled", 2)
        assert task["opener"] == format_address(here.keys[0].address)
        payouts = {client["address"]: client["payout"] for client in task["clients"]}
        assert len(payouts) == 2
        assert sum(payouts.values()) > 0
        gains = [new - old for new, old in zip(await here.paid(), before, strict=True)]
        assert gains[0] > payouts[format_address(here.keys[0].address)]
        here.network.finish()
