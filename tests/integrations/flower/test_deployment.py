"""Flower's deployment engine and a network of FedCoin nodes, all as real processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")
pytest.importorskip("torch", reason="torch is not installed: make test-integrations has it")

from fedcoin.data.crypto.key_files import save_key
from fedcoin.data.crypto.keys import KeyPair
from tests.support.e2e.network import BOND, SERVER, Network
from tests.support.flower_deployment import RUN_SECONDS, Deployment
from tests.support.keys import key_of
from tests.support.paths import ROOT
from tests.support.programs import Stage
from tests.support.waiting import LOADED_SECONDS, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

APP = ROOT / "examples" / "flower_paid"
CLIENTS = 2
ROUNDS = 3


def write_key(folder: Path, name: str, key: KeyPair) -> Path:
    path = folder / f"{name}.json"
    save_key(path, key)
    return path


class Federation:
    """A network of four nodes, a SuperLink and SuperNodes, and the settings of the app."""

    def __init__(self, stage: Stage) -> None:
        root = stage.root
        self.network = Network(stage, [BOND] * 4)
        self.flower = Deployment(stage)
        self.keys = [key_of(f"client {number}") for number in range(CLIENTS)]
        self.genesis = self.network.nodes[0].home.genesis_path
        self.campaign = root / "campaign" / "campaign.json"
        for number, key in enumerate(self.keys):
            config = {
                "partition-id": number,
                "num-partitions": CLIENTS,
                "fedcoin-key": str(write_key(root, f"client-{number}", key)),
                "fedcoin-genesis": str(self.genesis),
            }
            self.flower.add_node(f"supernode-{number}", config)
        self.settings: dict[str, object] = {
            "node": self.network.nodes[0].api,
            "key": str(write_key(root, "server", SERVER)),
            "genesis": str(self.genesis),
            "folder": str(self.campaign.parent),
            "rounds": ROUNDS,
            "clients": CLIENTS,
        }

    async def start(self) -> None:
        await self.network.start(seconds=LOADED_SECONDS)
        await self.flower.start()

    def rounds_on_disk(self) -> int:
        """Return how many rounds the campaign's file has."""
        if not self.campaign.exists():
            return 0
        return len(json.loads(self.campaign.read_text())["history"])

    async def paid(self) -> list[int]:
        """Return the clients' balances, as another node than the server's tells them."""
        async with self.network.nodes[1].client() as client:
            return [int((await client.get_account(key.address)).balance) for key in self.keys]

    async def last_round(self) -> int:
        async with self.network.nodes[1].client() as client:
            (campaign,) = await client.list_campaigns()
            return int(campaign.last_round)


async def test_clients_of_supernodes_are_paid(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        here = Federation(stage)
        await here.start()
        run = here.flower.submit(APP, here.settings)
        assert await here.flower.ended(run) == "finished:completed", here.flower.said()
        assert await here.last_round() == ROUNDS
        assert min(await here.paid()) > 0
        here.network.finish()


async def test_a_killed_server_goes_on_without_a_client_that_is_gone(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        here = Federation(stage)
        await here.start()
        run = here.flower.submit(APP, here.settings)
        await until(lambda: here.rounds_on_disk() >= 1, "a round is paid", seconds=RUN_SECONDS)
        here.flower.kill_server_app()
        assert await here.flower.ended(run) == "finished:failed"
        # Flower says so in the status alone.
        assert here.flower.streams(run) == 0
        before, done = await here.paid(), here.rounds_on_disk()
        here.flower.nodes[1].end()
        again = here.flower.submit(APP, {**here.settings, "clients": 1})
        assert await here.flower.ended(again) == "finished:completed", here.flower.said()
        assert await here.last_round() == ROUNDS
        after = await here.paid()
        assert after[1] == before[1]
        assert 1 <= done < ROUNDS
        here.network.finish()
