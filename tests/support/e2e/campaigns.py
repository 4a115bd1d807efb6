"""Campaigns and tasks through a node's real API: honest unless a test changes a field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.updates import sign_update
from fedcoin.incentive.training_reward import compute_prices_due, split_budget
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1 import task_pb2
from fedcoin.v1.block_pb2 import TaskPhase
from fedcoin.v1.task_pb2 import ClientUpdate, OpenCampaign, OpenTask, SignedUpdate
from fedcoin.v1.views_pb2 import TaskView
from tests.support.e2e.materials import Round, id_of
from tests.support.e2e.network import FDC, SERVER
from tests.support.keys import ALICE, key_of
from tests.support.waiting import WAIT_SECONDS, until

BUDGET = 10 * FDC


def client_keys(count: int) -> list[KeyPair]:
    """Return the clients' keys in the order of their addresses, which is the order in a task."""
    return sorted((key_of(f"client {n}") for n in range(count)), key=lambda key: key.address)


@dataclass
class Campaign:
    """One campaign of one client of a node's API, with the artifacts of a round."""

    node: NodeClient
    chain: ChainIdentity
    work: Round
    rounds: int = 1
    schedule: int = task_pb2.SCHEDULE_EXACT
    max_samples: int = 0
    requester: KeyPair = ALICE
    server: KeyPair = SERVER
    reward: int = task_pb2.MINING_REWARD_PRO_RATA
    campaign_id: bytes = b""
    task_id: bytes = b""
    keys: list[KeyPair] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keys = self.keys or client_keys(self.work.clients)

    def offer(self, **changes: Any) -> OpenCampaign:
        """Return the campaign's terms, with changes."""
        given: dict[str, Any] = {
            "server": self.server.address,
            "model": id_of(self.work.model),
            "initial_weights": id_of(self.work.base),
            "rounds": self.rounds,
            "budget": BUDGET,
            "utility": task_pb2.UTILITY_ACCURACY,
            "spread": task_pb2.BUDGET_SPREAD_EQUAL,
            "split": task_pb2.PriceSplit(training=7, aggregation=1, mining=2),
            "mining_reward": self.reward,
            "training_reward": task_pb2.TRAINING_REWARD_UNIT_PRICE,
            # The whole fund, so that no gain costs more than it has.
            "unit_price": BUDGET * 7 // 10,
            "evaluation_root": merkle.root([id_of(self.work.evaluation)]),
            "evaluation_shards": 1,
        }
        return OpenCampaign(**given | changes)

    def update(self, index: int, **changes: Any) -> SignedUpdate:
        """Sign client `index`'s update of round 1, with changes."""
        key = self.keys[index]
        given: dict[str, Any] = {
            "campaign_id": self.campaign_id,
            "round": 1,
            "base": id_of(self.work.base),
            "update": id_of(self.work.updates[index]),
            "num_samples": self.work.num_samples[index],
            "address": key.address,
        }
        return sign_update(ClientUpdate(**given | changes), key, self.chain.genesis_hash)

    def task(self, **changes: Any) -> OpenTask:
        """Return the terms of round 1's task, with changes."""
        offer = self.offer()
        due = compute_prices_due(offer, 1, split_budget(offer).training)
        given: dict[str, Any] = {
            "campaign_id": self.campaign_id,
            "round": 1,
            "base": id_of(self.work.base),
            "aggregate": id_of(self.work.aggregate),
            "updates": [self.update(index) for index in range(self.work.clients)],
            "evaluation": task_pb2.EvaluationShard(
                artifact=id_of(self.work.evaluation), size=self.work.examples
            ),
            "utility": task_pb2.UTILITY_ACCURACY,
            "empty_coalition": task_pb2.EMPTY_COALITION_BASE_MODEL,
            "averaging": task_pb2.AVERAGING_FIXED_DENOMINATOR,
            "sampling": task_pb2.Sampling(
                schedule=self.schedule,  # type: ignore[arg-type]
                max_samples=self.max_samples,
            ),
            "prices": task_pb2.RoundPrices(
                training=due.training, aggregation=due.aggregation, mining=due.mining
            ),
            "commit_window_ms": 30_000,
            "reveal_window_ms": 15_000,
            "max_attempts": 2,
        }
        return OpenTask(**given | changes)

    async def upload(self, *more: bytes) -> None:
        """Upload every artifact that a task needs, and these others."""
        work = self.work
        for raw in (work.model, work.base, work.aggregate, work.evaluation, *work.updates, *more):
            await self.node.upload_artifact(raw)

    async def open(self, **changes: Any) -> bytes:
        """Open the campaign; returns its id."""
        wallet = Wallet(self.node, self.requester, self.chain)
        opening = await wallet.submit(self.offer(**changes))
        await wallet.wait_until_final(opening)
        self.campaign_id = opening.hash
        return self.campaign_id

    async def open_task(self, **changes: Any) -> bytes:
        """Open the task and wait until it is final; returns its id."""
        self.task_id = (await self.submit_task(**changes)).hash
        await self.node.wait_until_final(self.task_id)
        return self.task_id

    async def submit_task(self, **changes: Any) -> Transaction:
        """Submit the task. Raises RpcError if the node refuses it."""
        return await Wallet(self.node, self.server, self.chain).submit(self.task(**changes))

    async def begin(self, **changes: Any) -> bytes:
        """Upload the artifacts, open the campaign and its task; returns the task's id."""
        await self.upload()
        await self.open()
        return await self.open_task(**changes)


def phase(name: str) -> int:
    """Return the number of a task phase, given its name without the prefix."""
    return TaskPhase.Value(f"TASK_PHASE_{name}")


async def reached(
    node: NodeClient, task_id: bytes, *names: str, seconds: float = WAIT_SECONDS
) -> TaskView:
    """Wait until the task is in one of these phases; returns it."""
    wanted = [phase(name) for name in names]

    async def there() -> TaskView | None:
        view = await node.get_task(task_id)
        return view if view.phase in wanted else None

    view = await until(there, f"the task is {' or '.join(names)}", seconds=seconds)
    assert view is not None
    return view


def check_paid(view: TaskView, *, winner_of: Sequence[str] = ()) -> None:
    """Check that a settled task paid what it had to, to clients and miners that earned it.

    With a unit price each positive value is paid at it, else the whole training price is paid.
    """
    assert view.phase == phase("SETTLED")
    payouts = [client.payout for client in view.clients]
    if view.unit_price:
        gains = (max(client.shapley_nano, 0) for client in view.clients)
        assert payouts == [gain * view.unit_price // 10**9 for gain in gains]
    else:
        assert sum(payouts) == view.prices.training
    assert all((client.payout > 0) <= (client.shapley_nano > 0) for client in view.clients)
    assert sum(miner.reward for miner in view.miners) == view.prices.mining
    assert all(miner.revealed for miner in view.miners if miner.reward)
    assert view.winner in {miner.address for miner in view.miners if miner.inlier}
    if winner_of:
        assert view.winner in winner_of
