"""Three hospitals hold one purse: two of them open a campaign, see a round trained, and end it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.wallet.key_policy_file import read_policy
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.key_policies import KeyPolicy
from fedcoin.network.client.node_client import NodeClient
from tests.support.e2e.learners import CoordinatorProcess, Learner, learning, prepared
from tests.support.e2e.network import BOND, BRISK, FDC, Network, serving
from tests.support.keys import ALICE
from tests.support.programs import attempted
from tests.support.transfers import transfer_to
from tests.support.waiting import LOADED_SECONDS, until

HOSPITALS = ("berlin", "paris", "rome")
PURSE_FDC = 50

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with serving(tmp_path_factory.mktemp("purses"), [BOND], BRISK) as network:
        yield network


async def fedcoin(*arguments: object, code: int = 0) -> Any:
    """Run a command; returns its JSON, or its errors."""
    found, out, err = await asyncio.to_thread(attempted, *arguments, "--json", seconds=120)
    assert found == code, (arguments, err)
    return json.loads(out) if code == 0 else err


async def make_purse(folder: Path) -> Path:
    """Make a key for each hospital, and an account of two of the three."""
    keys = []
    for name in HOSPITALS:
        made = await fedcoin("keys", "new", "--home", folder / name, "--no-encrypt")
        keys.append(made["public_key"])
    path = folder / "purse.json"
    await fedcoin("keys", "policy", "create", "--threshold", 2, *keys, "--out", path)
    return path


async def sign_and_send(network: Network, folder: Path, file: Path, *names: str) -> Any:
    """Have each hospital sign a copy; put the copies together, and send the result."""
    copies = []
    for name in names:
        copies.append(folder / f"{file.stem}-from-{name}.json")
        home = ("--home", folder / name, "--genesis", network.chain.genesis_hash.hex())
        await fedcoin("transaction", "sign", file, *home, "--yes", "--out", copies[-1])
    node = network.nodes[0].home.root
    few = await fedcoin("transaction", "send", copies[0], "--home", node, code=1)
    assert "TOO_FEW_SIGNATURES" in few
    whole = folder / f"{file.stem}-signed.json"
    await fedcoin("transaction", "combine", *copies, "--out", whole)
    return await fedcoin("transaction", "send", whole, "--home", node)


async def train_round(coordinator: CoordinatorProcess) -> None:
    """Have one client take part in round 1, and in no other."""
    learner = Learner(coordinator, 0, 1)
    async with learning(learner):
        is_settling = lambda: coordinator.state()["phase"] == "settling"  # noqa: E731
        await until(is_settling, "round 1 is valued", seconds=LOADED_SECONDS)
        learner.hold.clear()
        await until(lambda: learner.paid.get(1), "round 1 is paid", seconds=LOADED_SECONDS)


async def close(network: Network, folder: Path, campaign: str) -> Any:
    """End the campaign early, by another pair of hospitals."""
    file, node = folder / "close.json", network.nodes[0].home.root
    named = ("--policy", folder / "purse.json", "--prepare", file)
    await fedcoin("task", "close", campaign, "--home", node, *named)
    return await sign_and_send(network, folder, file, "paris", "berlin")


async def balance(node: NodeClient, policy: KeyPolicy) -> int:
    return (await node.get_account(policy.address)).balance


async def test_two_of_three_open_train_and_are_paid_back(network: Network) -> None:
    folder = network.stage.root
    purse = await make_purse(folder)
    policy = read_policy(purse)
    coordinator = await prepared(
        network,
        rounds=2,
        clients=1,
        budget="10fdc",
        requester=str(purse),
        receipt_seconds=0,
    )
    async with network.nodes[0].client() as node:
        payer = Wallet(node, ALICE, network.chain)
        await payer.execute(transfer_to((policy.address, PURSE_FDC * FDC)))
        await coordinator.start()
        await coordinator.program.says("2 of 3 keys of")
        opening = coordinator.home.root / "open-campaign.json"
        opened = await sign_and_send(network, folder, opening, "rome", "paris")
        assert (opened["action"], opened["threshold"], opened["num_keys"]) == (
            "open_campaign",
            2,
            3,
        )
        fees = (await node.get_fees()).state_fee * 4 + opened["fee"]
        assert await balance(node, policy) == (PURSE_FDC - 10) * FDC - fees
        await train_round(coordinator)
        left = await balance(node, policy)
        escrow = (await node.get_campaign(opened["hash"])).escrow
        assert 0 < escrow < 10 * FDC
        coordinator.program.stop()
        closed = await close(network, folder, opened["hash"])
        coordinator.program.start()
        assert await coordinator.program.ended() == 1
        assert "CAMPAIGN_FINISHED" in coordinator.program.said()
        campaign = await node.get_campaign(opened["hash"])
        assert (campaign.closed, campaign.escrow, campaign.last_round) == (True, 0, 1)
        assert await balance(node, policy) == left + escrow - closed["fee"]
    account = await fedcoin("account", opened["sender"], "--home", network.nodes[0].home.root)
    assert (account["threshold"], account["num_keys"], account["nonce"]) == (2, 3, 2)
