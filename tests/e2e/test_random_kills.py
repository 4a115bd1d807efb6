"""Validators are killed at random moments during transfers, and no final transaction is lost."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path

import pytest

from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_FINAL
from tests.support.e2e.eavesdropper import eavesdropping
from tests.support.e2e.network import BOND, BRISK, FUNDS, IDLE_MINER, Network, Node, pay
from tests.support.keys import key_of
from tests.support.programs import Stage

pytestmark = pytest.mark.timeout(240)

PAYERS = ("alice", "bob", "server")
AMOUNT = 7


class Traffic:
    """Transfers through random nodes, and which of them were final."""

    def __init__(self, network: Network, seed: int) -> None:
        self._network = network
        self._random = random.Random(seed)
        self.final: dict[str, int] = {}
        """Height of each final transfer, by its hash."""
        self.tried = 0

    async def run(self, sender: KeyPair) -> None:
        """Pay from one account again and again, until cancelled."""
        recipient = key_of("collector").address
        while True:
            node = self._random.choice(self._network.nodes)
            self.tried += 1
            try:
                async with NodeClient(node.api, timeout=3.0) as client:
                    view = await pay(client, sender, recipient, AMOUNT, seconds=8.0)
            except RpcError:
                # The node is down or lost its mempool, so this transfer may or may not become
                # final.
                pass
            else:
                self.final[view.hash] = view.height
            # Some transfers are on their way at each moment; more of them would show no more.
            await asyncio.sleep(0.1)


async def kill_now_and_then(nodes: list[Node], seed: int, times: int, *, at_once: int = 1) -> None:
    """Kill up to `at_once` random nodes and start them again, this many times."""
    chance = random.Random(seed)
    for _ in range(times):
        await asyncio.sleep(chance.uniform(0.0, 0.8))
        victims = chance.sample(nodes, chance.randint(1, at_once))
        for victim in victims:
            victim.program.kill()
        await asyncio.sleep(chance.uniform(0.0, 0.8))
        for victim in victims:
            victim.program.start()
        if chance.random() < 0.7:
            # Otherwise a node may be killed again before it serves.
            await asyncio.gather(*(victim.ready() for victim in victims))
    await asyncio.gather(*(node.ready() for node in nodes))


async def power_cut(nodes: list[Node]) -> None:
    """Kill all nodes at once and start them again."""
    for node in nodes:
        node.program.kill()
    for node in nodes:
        node.program.start()
    await asyncio.gather(*(node.ready() for node in nodes))


async def ended(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel until all tasks have ended: gRPC may swallow a cancellation."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=1.0)


async def check_kept(network: Network, traffic: Traffic) -> None:
    """Check that every node has every final transfer at its height."""
    async with network.clients() as clients:
        for client in clients:
            for hash_, height in traffic.final.items():
                view = await client.get_transaction(hash_)
                assert view.status == TRANSACTION_STATUS_FINAL, hash_
                assert view.height == height
        received = (await clients[0].get_account(key_of("collector").address)).balance
    # More transfers may be final than the killed nodes could confirm.
    assert received % AMOUNT == 0
    assert AMOUNT * len(traffic.final) <= received <= AMOUNT * traffic.tried


async def endure(root: Path, seed: int, times: int, *, at_once: int = 1) -> None:
    with Stage(root) as stage:
        network = Network(stage, [BOND] * 4, BRISK, settings=IDLE_MINER)
        await network.start()
        traffic = Traffic(network, seed)
        async with eavesdropping(network):
            payers = [asyncio.create_task(traffic.run(key_of(name))) for name in PAYERS]
            try:
                await kill_now_and_then(network.nodes, seed, times, at_once=at_once)
                await power_cut(network.nodes)
                # Transfers become final again.
                before = len(traffic.final)
                deadline = time.monotonic() + 45
                while len(traffic.final) < before + 10:
                    assert time.monotonic() < deadline, "no transfer becomes final any more"
                    await asyncio.sleep(0.1)
            finally:
                await ended(payers)
                results = await asyncio.gather(*payers, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results), results
            await network.wait_for_one_state()
            await check_kept(network, traffic)
            async with network.nodes[0].client() as client:
                bonds = {v.public_key: v.bond for v in await client.list_validators()}
        assert bonds == {key.hex(): bond for key, bond in network.bonds.items()}
        assert network.finish().supply == FUNDS * 7 + 4 * BOND


async def test_a_few_kills_lose_no_final_transfer(tmp_path: Path) -> None:
    await endure(tmp_path, seed=1, times=3)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [2, 3])
async def test_many_kills_lose_no_final_transfer(tmp_path: Path, seed: int) -> None:
    await endure(tmp_path, seed=seed, times=60, at_once=2)
