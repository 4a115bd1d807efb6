"""Each round uses its own evaluation shard, published only after the round's updates are signed."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fedcoin.contract.state import records
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.v1 import federated_learning_service_pb2 as pb
from fedcoin.v1.task_pb2 import SignedUpdate
from tests.support.e2e.campaigns import check_paid
from tests.support.e2e.learners import Learner, learning, prepared
from tests.support.e2e.network import BOND, BRISK, Network, Node
from tests.support.programs import Stage

ROUNDS = 3


@dataclass
class Curious(Learner):
    """A client that asks a node for all shards when it signs an update."""

    node: Node = field(kw_only=True)
    shards: list[bytes] = field(kw_only=True)
    seen: dict[int, list[bool]] = field(default_factory=dict)

    async def make(
        self, client: FederatedClient, change: pb.WatchRoundsResponse
    ) -> tuple[SignedUpdate, bytes]:
        made = await super().make(client, change)
        self.seen[change.round] = await published(self.node, self.shards)
        return made


async def published(node: Node, shards: list[bytes]) -> list[bool]:
    """Return for each shard whether the node gives it to its callers."""
    async with node.client() as client:
        return [await client.has_artifact(shard) for shard in shards]


@pytest.mark.timeout(180)
async def test_each_round_has_its_shard_and_no_client_sees_it_early(tmp_path: Path) -> None:
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND, BOND], BRISK)
        await network.start()
        node, other = network.nodes
        coordinator = await prepared(
            network, clients=2, rounds=ROUNDS, budget="3fdc", evaluation_shards=ROUNDS
        )
        shards = [bytes.fromhex(id) for id, _ in coordinator.state()["shards"]]
        assert len(set(shards)) == ROUNDS
        learners = [Curious(coordinator, n, 2, node=node, shards=shards) for n in range(2)]
        await coordinator.start()
        async with learning(*learners) as tasks:
            await asyncio.wait_for(asyncio.gather(*tasks), 60)
        assert await coordinator.program.ended() == 0
        for learner in learners:
            assert learner.seen == {
                1: [False, False, False],
                2: [True, False, False],
                3: [True, True, False],
            }
        assert await published(node, shards) == await published(other, shards) == [True] * ROUNDS
        async with node.client() as client:
            views = sorted(await client.list_tasks(), key=lambda view: view.round)
        assert [view.round for view in views] == [1, 2, 3]
        await network.wait_for_one_state()
        network.finish()
    with ChainStore.open(node.home.chain_path, node.home.genesis()) as store:
        for number, view in enumerate(views):
            check_paid(view)
            terms = records.TERMS.get(store, bytes.fromhex(view.task_id))
            assert terms is not None
            assert (terms.evaluation.artifact, terms.evaluation.size) == (shards[number], 120)
    prices = [view.prices for view in views]
    assert sum(p.aggregation + p.mining for p in prices) == 3 * SAP_PER_FDC * 3 // 10
    assert prices[0].training == 3 * SAP_PER_FDC * 7 // 10
