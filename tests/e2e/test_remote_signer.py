"""A validator whose key is in a signer's process: either may be killed, and no vote contradicts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.data.crypto.addresses import format_address
from fedcoin.network.client.rpc_error import RpcError
from tests.support.e2e.campaigns import Campaign, check_paid, reached
from tests.support.e2e.materials import Round
from tests.support.e2e.network import BOND, BRISK, IDLE_MINER, Network, Node, pay
from tests.support.keys import ALICE, BOB, key_of
from tests.support.programs import Program, Stage

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

BONDED = key_of("bonded")


class Site:
    """A network of one validator, whose node asks a signer for its votes."""

    def __init__(self, stage: Stage) -> None:
        bonds = {BONDED: BOND}
        self.network = Network(stage, [], BRISK, more_bonds=bonds, settings=IDLE_MINER)
        self.signer_home = Home(stage.root / "s")
        self.signer_home.add_key(NODE_KEY, BONDED)
        self.signer_home.write(self.network.raw_genesis, {})
        self.signer: Program = stage.program("signer", "signer", "--home", self.signer_home.root)
        socket = f"miner.signer=unix:{self.signer_home.root}/signer.sock"
        node_key = key_of("identity")
        self.node: Node = self.network.add("a", node_key, "--mine", "--set", socket)

    async def pay(self, seconds: float = 30.0) -> int:
        async with self.node.client() as client:
            return (await pay(client, ALICE, BOB.address, 1, seconds=seconds)).height


async def test_either_side_is_killed_and_starts_again(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        site = Site(stage)
        await site.signer.start("--from-height", 1).says("signing with")
        await site.node.start()
        async with site.node.client() as client:
            status = await client.get_status()
        assert status.address == format_address(BONDED.address)
        first = await site.pay()
        site.signer.kill()
        with pytest.raises(RpcError):
            await site.pay(seconds=3)  # nothing is final without a vote
        await site.signer.start().says("signing with")
        async with site.node.client() as client:
            second = (await pay(client, BOB, ALICE.address, 1)).height
        assert second > first
        site.node.program.kill()
        await site.node.start()
        third = await site.pay()
        assert third > second
        async with site.node.client() as client:  # the signer signs what a miner submits
            campaign = Campaign(client, site.network.chain, Round(3, size=100))
            await campaign.begin()
            check_paid(await reached(client, campaign.task_id, "SETTLED"))
        assert "kept silent: the signer at unix:" in site.node.program.log.read_text()
        assert site.network.finish().height >= third


async def test_a_node_that_lost_its_votes_gets_no_second_one(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        site = Site(stage)
        await site.signer.start("--from-height", 1).says("signing with")
        await site.node.start()
        await site.pay()
        site.node.program.stop()
        copy = tmp_path / "copy"
        shutil.copytree(site.node.home.root, copy)
        await site.node.start()
        last = await site.pay()
        site.node.program.stop()
        # An attacker, or a mistake: the node's own record of votes is older, and says that it may.
        shutil.rmtree(site.node.home.root)
        shutil.copytree(copy, site.node.home.root)
        await site.node.start()
        with pytest.raises(RpcError):
            await site.pay(seconds=5)  # another block of the same height
        assert f"height {last}, round 0" in site.signer.log.read_text()
        assert (await site.node.status()).height == last - 1
