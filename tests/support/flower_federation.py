"""A paid Flower federation of real processes: a network of nodes, a SuperLink, and SuperNodes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.data.crypto.key_files import save_key
from fedcoin.v1.views_pb2 import CampaignView
from tests.support.e2e.network import BOND, SERVER, Network
from tests.support.flower_deployment import Deployment
from tests.support.keys import key_of
from tests.support.paths import ROOT
from tests.support.programs import Stage
from tests.support.waiting import LOADED_SECONDS

APP = ROOT / "examples" / "flower_paid"
ROUNDS = 3


class Federation:
    """Nodes, a SuperLink and a SuperNode with a home for each client, and the app's settings."""

    def __init__(
        self,
        stage: Stage,
        clients: int,
        *,
        bonds: Sequence[int] = (BOND,) * 4,
        receipt_seconds: int = 0,
    ) -> None:
        root = stage.root
        self.network = Network(stage, bonds)
        self.flower = Deployment(stage)
        self.keys = [key_of(f"client {number}") for number in range(clients)]
        self.homes = [Home(root / f"client-{number}") for number in range(clients)]
        self.campaign = root / "campaign" / "campaign.json"
        for number, (home, key) in enumerate(zip(self.homes, self.keys, strict=True)):
            home.add_key(NODE_KEY, key)
            home.write(self.network.raw_genesis, {})
            config = {
                "partition-id": number,
                "num-partitions": clients,
                "fedcoin-key": str(home.key_path(NODE_KEY)),
                "fedcoin-genesis": str(home.genesis_path),
                "fedcoin-home": str(home.root),
            }
            if number == 0:  # The others ask no node which rounds are over.
                config["fedcoin-node"] = self.network.nodes[0].api
            self.flower.add_node(f"supernode-{number}", config)
        save_key(root / "server.json", SERVER)
        self.settings: dict[str, object] = {
            "node": self.network.nodes[0].api,
            "key": str(root / "server.json"),
            "genesis": str(self.network.nodes[0].home.genesis_path),
            "folder": str(self.campaign.parent),
            "rounds": ROUNDS,
            "clients": clients,
            "receipt-seconds": receipt_seconds,
        }

    async def start(self) -> None:
        await self.network.start(seconds=LOADED_SECONDS)
        await self.flower.start()

    def run(self, app: Path = APP, **settings: object) -> int:
        """Submit a run of an app with these other settings; returns its id."""
        return self.flower.submit(app, {**self.settings, **settings})

    def rounds_on_disk(self) -> int:
        """Return how many rounds the campaign's file has."""
        if not self.campaign.exists():
            return 0
        return len(json.loads(self.campaign.read_text())["history"])

    async def paid(self) -> list[int]:
        """Return the clients' balances, as the last node tells them."""
        async with self.network.nodes[-1].client() as client:
            return [int((await client.get_account(key.address)).balance) for key in self.keys]

    async def on_chain(self) -> CampaignView:
        """Return the only campaign, as the last node tells it."""
        async with self.network.nodes[-1].client() as client:
            (campaign,) = await client.list_campaigns()
            return campaign

    def kept_weights(self, number: int) -> list[int]:
        """Return the rounds of which a client keeps the weights, in order."""
        files = (self.homes[number].root / "receipts").glob("*.weights")
        return sorted(int(file.name.split("-")[1]) for file in files)

    def receipts(self, number: int) -> list[int]:
        """Return the rounds of which a client keeps the server's receipt, in order."""
        folder = ReceiptFolder(self.homes[number].root, self.network.chain.genesis_hash)
        kept = folder.load()
        assert {entry.receipt.server for entry in kept} <= {SERVER.address}
        return sorted(entry.update.round for entry in kept)
