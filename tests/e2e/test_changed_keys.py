"""A coordinator and a client change their keys, as docs/OPERATIONS.md says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.updates import sign_update
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.federated_learning_service_pb2 import WatchRoundsResponse
from fedcoin.v1.task_pb2 import ClientUpdate, SignedUpdate
from fedcoin.v1.views_pb2 import CampaignView
from tests.support.e2e.learners import CoordinatorProcess, Learner, learning, prepared
from tests.support.e2e.network import BOND, BRISK, FDC, SERVER, Network, serving
from tests.support.programs import fedcoin, spawned
from tests.support.waiting import LOADED_SECONDS, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("keys"), [BOND], BRISK) as network:
        yield network


class Rider(Learner):
    """A client that hands in what it gets, for models that a `Learner` cannot train."""

    async def make(
        self, client: FederatedClient, change: WatchRoundsResponse
    ) -> tuple[SignedUpdate, bytes]:
        base = await client.download_artifact(change.base)
        update = ClientUpdate(
            campaign_id=change.campaign_id,
            round=change.round,
            base=change.base,
            update=change.base,
            num_samples=10,
            address=self.key.address,
        )
        return sign_update(update, self.key, self.coordinator.chain.genesis_hash), base


async def command(*arguments: object) -> Any:
    """Run a command in a process of its own; returns its JSON."""
    return json.loads(await asyncio.to_thread(fedcoin, *arguments, "--json", seconds=90))


async def new_key(home: Path) -> str:
    """Make the key `next`; returns its address."""
    made = await command("keys", "new", "next", "--home", home, "--no-encrypt")
    return str(made["address"])


async def train_first_round(coordinator: CoordinatorProcess) -> None:
    learner = Learner(coordinator, 0, 1)
    async with learning(learner):
        is_settling = lambda: coordinator.state()["phase"] == "settling"  # noqa: E731
        await until(is_settling, "round 1 is valued", seconds=LOADED_SECONDS)
        learner.hold.clear()
        await until(lambda: learner.paid.get(1), "round 1 is paid", seconds=LOADED_SECONDS)


async def latest_campaign(node: NodeClient, former: str) -> CampaignView:
    """Wait until there is a later campaign than `former`."""

    async def found() -> CampaignView | None:
        (latest, *_) = await node.list_campaigns()
        return latest if latest.campaign_id != former else None

    view = await until(found, "another campaign is open", seconds=LOADED_SECONDS)
    assert view is not None
    return view


async def test_a_coordinator_changes_its_key(network: Network) -> None:
    coordinator = await prepared(network, rounds=2, clients=1, budget="10fdc", receipt_seconds=0)
    home, node = coordinator.home.root, ("--node", network.nodes[0].api)
    program = coordinator.program
    await coordinator.start()
    await train_first_round(coordinator)
    program.stop()
    campaign = str(coordinator.state()["campaign_id"])
    address = await new_key(home)

    await command("task", "close", campaign, "--key", "node", "--home", home, *node)
    async with network.nodes[0].client() as client:
        assert (await client.get_campaign(campaign)).escrow == 0
        rest = (await client.get_account(SERVER.address)).balance
        await command("send", address, "20fdc", "--key", "node", "--home", home, *node)
        assert (await client.get_account(SERVER.address)).balance < rest - 20 * FDC

        code, _, complaint = spawned(
            "train", "server", "--key", "next", "--home", home, *node, seconds=90
        )
        assert (code, "begin another with --new-campaign" in complaint) == (1, True), complaint

        program.start("--key", "next", "--new-campaign")
        opened = await latest_campaign(client, campaign)
        assert (opened.server, opened.requester) == (address, address)
        rider = Rider(coordinator, 0, 1)
        async with learning(rider) as tasks:
            await asyncio.wait_for(asyncio.gather(*tasks), LOADED_SECONDS)
        assert await program.ended() == 0
        kept = json.loads((home / f"coordinator-{campaign[:16]}.json").read_text())
        assert kept["campaign_id"] == campaign
        assert (await client.get_campaign(opened.campaign_id)).last_round == 2


async def check_client(
    network: Network, coordinator: CoordinatorProcess, home: Path, old: str, new: str
) -> None:
    """The old key was paid for round 1, the new one for the last; coins can be sent on."""
    async with network.nodes[0].client() as api:
        campaign = str(coordinator.state()["campaign_id"])
        tasks_done = await api.list_tasks(campaign)
        by_round = {task.round: {each.address for each in task.clients} for task in tasks_done}
        assert old in by_round[1]
        assert (old in by_round[3], new in by_round[3]) == (False, True)
        assert (await api.get_campaign(campaign)).clients_count == 2
        earned = (await api.get_account(old)).balance
        assert earned > 0
        kept = await command("task", "receipts", "list", "--home", home)
        assert {(row["address"], row["round"]) for row in kept} >= {(old, 1), (new, 3)}
        fee = 10**6
        await command(
            "send", new, f"{earned - fee}sap", "--home", home, "--node", network.nodes[0].api
        )
        assert (await api.get_account(new)).balance >= earned - fee


async def test_a_client_changes_its_key(network: Network) -> None:
    listed, home = network.stage.root / "clients.txt", network.stage.root / "d"
    node = ("--node", network.nodes[0].api)
    made = await command("keys", "new", "--home", home, "--no-encrypt")
    listed.write_text(f"{made['address']} 2000\n")
    old = str(made["address"])
    coordinator = await prepared(
        network,
        "listed",
        rounds=3,
        clients=2,
        budget="30fdc",
        round_seconds=120,
        clients_file=str(listed),
    )
    learner = Learner(coordinator, 0, 2)
    always = f"{format_address(learner.key.address)} 2000\n"
    listed.write_text(f"{always}{old} 2000\n")
    client = network.stage.program(
        "client", "train", "client", "--home", home, "--server", coordinator.address, *node,
        "--data", "digits", "--share", "2/2", "--genesis", network.nodes[0].home.genesis_path,
    )  # fmt: skip
    await coordinator.start()
    client.start()
    async with learning(learner) as tasks:
        await client.says("round 1: handed in")
        learner.hold.clear()
        new = await new_key(home)
        listed.write_text(f"{always}{old} 2000\n{new} 2000\n")
        await coordinator.program.says(": 3 clients may take part", LOADED_SECONDS)
        client.stop()
        client.start("--key", "next")
        await client.says("joined the campaign", LOADED_SECONDS)
        listed.write_text(f"{always}{new} 2000\n")
        learner.hold.set()
        assert await client.ended(LOADED_SECONDS) == 0
        await asyncio.wait_for(asyncio.gather(*tasks), LOADED_SECONDS)
    assert await coordinator.program.ended() == 0
    await check_client(network, coordinator, home, old, new)
