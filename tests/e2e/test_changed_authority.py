"""The authority of all certificates is changed during a campaign; only a node and, later, the
coordinator restart, and each time all others go on.
"""

from __future__ import annotations

import asyncio
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.configuration.tls import client_credentials
from fedcoin.v1.federated_learning_service_pb2 import ROUND_PHASE_TRAINING
from tests.support.e2e.learners import Learner, learning, prepared
from tests.support.e2e.network import BOND, BRISK, Network
from tests.support.keys import key_of
from tests.support.ports import reserve_addresses
from tests.support.programs import Stage, fedcoin
from tests.support.waiting import LOADED_SECONDS, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def make_home(folder: Path, name: str) -> Home:
    home = Home(folder / name)
    home.add_key(NODE_KEY, key_of(name))
    return home


def trust(home: Home, *authorities: Path) -> None:
    """Have a home trust these authorities, as docs/OPERATIONS.md says."""
    both = home.root / "both.pem"
    both.write_bytes(b"".join((one / "authority.pem").read_bytes() for one in authorities))
    os.replace(both, home.root / "tls" / "authority.pem")


def change_authority(homes: Sequence[Home], old: Path, new: Path) -> None:
    fedcoin("tls", "init-authority", new, "--no-encrypt")
    for home in homes:
        trust(home, new, old)
    for home in homes:
        fedcoin("tls", "renew", "--authority", new, "--former", old, "--home", home.root)
    for home in homes:
        trust(home, new)


def read_page(address: str) -> bool:
    """Tell whether the explorer's first page has what the node says."""
    try:
        with urllib.request.urlopen(f"http://{address}/", timeout=20) as reply:
            return "fedcoin-e2e" in reply.read().decode()
    except urllib.error.HTTPError:
        return False


async def test_a_campaign_and_an_explorer_go_on(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    (page,) = reserve_addresses(1)
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND], BRISK)
        (miner,) = network.nodes
        coordinator = await prepared(network, rounds=2, clients=1, budget="2fdc")
        client, viewer = (make_home(tmp_path, name) for name in ("client", "viewer"))
        homes = [miner.home, coordinator.home, client, viewer]
        fedcoin("tls", "init-authority", old, "--no-encrypt")
        for home in homes:
            fedcoin("tls", "issue", "--authority", old, "--home", home.root)
        coordinator = replace(coordinator, credentials=client_credentials(client.config({}).tls))
        listen = ("--node", miner.api, "--listen", page)
        explorer = stage.program("explorer", "explorer", "--home", viewer.root, *listen)

        miner.program.start()
        fedcoin("health", "--home", miner.home.root, "--timeout", 60, seconds=90)
        await coordinator.start()
        await explorer.start().says("explorer of")
        await until(lambda: asyncio.to_thread(read_page, page), "the explorer shows the chain")
        learner = Learner(coordinator, 0, 1)
        learner.hold.clear()
        async with learning(learner) as tasks:
            await coordinator.reached(ROUND_PHASE_TRAINING, 1)
            await asyncio.to_thread(change_authority, homes, old, new)

            miner.program.stop()
            miner.program.start()
            learner.hold.set()
            await until(lambda: 1 in learner.paid, "round 1 is paid", seconds=LOADED_SECONDS)
            await until(lambda: asyncio.to_thread(read_page, page), "the explorer goes on")

            coordinator.program.stop()
            coordinator.program.start()
            await asyncio.wait_for(asyncio.gather(*tasks), LOADED_SECONDS)
        assert sorted(learner.paid) == [1, 2]
        assert await coordinator.program.ended() == 0
