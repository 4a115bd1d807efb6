"""A coordinator that takes updates and goes away, and a requester that closes the campaign."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from fedcoin.application.client.receipt_folder import ReceiptFolder, check_receipt
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.clock import unix_ms
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.messages.updates import decode_update
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.transaction_pb2 import CloseCampaign
from tests.conftest import ReportAttack
from tests.support.e2e.learners import Learner, learning, prepared
from tests.support.e2e.network import BOND, BRISK, SERVER, Network, serving
from tests.support.programs import PROGRAM
from tests.support.waiting import WAIT_SECONDS, until

pytestmark = [
    pytest.mark.skipif(not PROGRAM.exists(), reason="fedcoin-node is not installed"),
    pytest.mark.timeout(240),
]

ROUND_S, WINDOW_S = 20, 40


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("abandoned"), [BOND], BRISK) as network:
        yield network


@dataclass
class Claimant(Learner):
    """A learner that keeps its receipts in a home, for the commands."""

    home: Home | None = None
    last_round: int = 2
    """The last round in which it hands in an update."""

    @property
    def folder(self) -> ReceiptFolder:
        assert self.home is not None
        return ReceiptFolder(self.home.root, self.coordinator.chain.genesis_hash)

    async def _hand_in(self, client: FederatedClient, change: pb.WatchRoundsResponse) -> None:
        if change.round > self.last_round:
            return
        signed, weights = await self.make(client, change)
        await client.announce_update(signed)
        await client.upload_artifact(weights)
        receipt = await client.submit_update(signed)
        genesis_hash = self.coordinator.chain.genesis_hash
        update = decode_update(signed, genesis_hash)
        kept = check_receipt(receipt, update, genesis_hash, server=SERVER.address, now_ms=unix_ms())
        self.folder.save(kept, weights)

    def has_receipt(self, round: int) -> bool:
        return any(kept.update.round == round for kept in self.folder.load())


def claimant(network: Network, coordinator: Any, number: int) -> Claimant:
    made = Claimant(coordinator, number, 3)
    made.home = Home(network.stage.root / f"claimant-{number}")
    made.home.add_key(NODE_KEY, made.key)
    made.home.write(network.raw_genesis, {})
    return made


def command(learner: Claimant, node: str, *words: str) -> dict[str, Any]:
    """Run `fedcoin-node task receipts` for a client; returns what it prints."""
    assert learner.home is not None
    line = [PROGRAM, "task", "receipts", *words, "--home", learner.home.root, "--node", node]
    done = subprocess.run(
        [*map(str, line), "--json"],
        check=False,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


async def close(node: NodeClient, network: Network, campaign_id: str) -> str:
    """Ask for the end of the campaign as its requester; returns the refusal's code, if any."""
    wallet = Wallet(node, SERVER, network.chain)
    try:
        await wallet.execute(CloseCampaign(campaign_id=bytes.fromhex(campaign_id)))
    except RpcError as failure:
        return failure.code
    return ""


async def hand_in_and_lose_the_coordinator(
    network: Network,
) -> tuple[str, Claimant, Claimant]:
    """Play one round whole and one until two clients have receipts, then kill the coordinator.

    Returns the campaign's id and the two clients.
    """
    coordinator = await prepared(
        network,
        clients=3,
        rounds=2,
        budget="30fdc",
        round_seconds=ROUND_S,
        receipt_seconds=WINDOW_S,
    )
    first, second, third = (claimant(network, coordinator, number) for number in range(3))
    third.last_round = 1  # The round waits for it, so that the task is not opened.
    await coordinator.start()
    async with learning(first, second, third):
        await until(lambda: coordinator.state()["round"] == 2, "round 1 is over")
        await until(lambda: first.has_receipt(2) and second.has_receipt(2), "two receipts")
        coordinator.program.kill()
    return coordinator.state()["campaign_id"], first, second


async def close_in_vain(
    network: Network, node: NodeClient, campaign_id: str, *claimants: Claimant
) -> None:
    """Ask for the coins back at once, as the requester, which has to wait for the clients."""
    assert await close(node, network, campaign_id) == ""
    campaign = await node.get_campaign(campaign_id)
    assert (campaign.closed, campaign.last_round) == (False, 1)
    assert campaign.escrow > 5 * SAP_PER_FDC
    (miner,) = network.nodes
    for learner in claimants:
        shown = await asyncio.to_thread(command, learner, miner.api, "register", campaign_id)
        assert shown["status"] == "final"
    assert await close(node, network, campaign_id) == LedgerCode.CAMPAIGN_CLOSING.name
    assert (await node.get_campaign(campaign_id)).receipts == len(claimants)


async def balances(node: NodeClient, *learners: Claimant) -> list[int]:
    return [(await node.get_account(learner.key.address)).balance for learner in learners]


async def test_clients_open_the_round_that_their_coordinator_left(
    network: Network, report_attack: ReportAttack
) -> None:
    (miner,) = network.nodes
    async with miner.client() as node:
        campaign_id, first, second = await hand_in_and_lose_the_coordinator(network)
        await close_in_vain(network, node, campaign_id, first, second)
        before = await balances(node, first, second)
        task = await asyncio.to_thread(command, first, miner.api, "open", campaign_id, "--wait")
        assert task["phase"] == "settled"
        assert (task["round"], task["opener"]) == (2, format_address(first.key.address))
        paid = {client["address"]: client["payout"] for client in task["clients"]}
        assert len(paid) == 2
        assert sum(paid.values()) > 0
        after = await balances(node, first, second)
        gains = [new - old for old, new in zip(before, after, strict=True)]
        # The aggregation price of the round is the opener's: 1.5 FDC, less fees.
        assert gains[0] > paid[format_address(first.key.address)] + SAP_PER_FDC
        assert gains[1] >= paid[format_address(second.key.address)]
        campaign = await node.get_campaign(campaign_id)
        assert (campaign.closed, campaign.escrow) == (True, 0)
    report_attack(
        "a coordinator takes a round's updates and goes away; its requester closes the campaign",
        "the updates for nothing",
        "the clients register their receipts, open the round and are paid (real processes)",
    )
