"""What a devnet's nodes say: how the rounds go, and what came of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from fedcoin.application.devnet.plan import DevnetPlan
from fedcoin.application.devnet.result import (
    ClientResult,
    DevnetResult,
    MinerResult,
    NodeResult,
    RoundResult,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import format_amount
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.block_pb2 import TaskPhase
from fedcoin.v1.federated_learning_service_pb2 import GetCampaignStatusResponse, RoundPhase
from fedcoin.v1.node_service_pb2 import GetStatusResponse
from fedcoin.v1.task_pb2 import Schedule
from fedcoin.v1.transaction_pb2 import SignedTransaction, TransactionBody
from fedcoin.v1.views_pb2 import TaskView

START_SECONDS = 60.0
"""How long a node may take until it serves."""

AGREE_SECONDS = 20.0
"""How long after the last payment all nodes may take to get there."""

POLL_SECONDS = 0.2

Tell = Callable[[str], None]


@dataclass(slots=True)
class _Told:
    """What was said of a campaign: clients, rounds that are done, the round that is trained."""

    joined: int = 0
    rounds: int = 0
    training: int = 0


class Observer:
    """Clients of all nodes of a devnet; an async context manager."""

    def __init__(self, plan: DevnetPlan, tell: Tell) -> None:
        self._plan = plan
        self._tell = tell
        self._stack = AsyncExitStack()
        self._nodes: list[NodeClient] = []

    async def __aenter__(self) -> Observer:
        for miner in self._plan.miners:
            self._nodes.append(await self._stack.enter_async_context(NodeClient(miner.api)))
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def wait_ready(self) -> None:
        """Waits until every node serves. Raises RpcFailure."""
        await asyncio.gather(*(node.wait_until_serving(START_SECONDS) for node in self._nodes))
        self._tell(f"{len(self._nodes)} miners serve")

    async def narrate(self) -> None:
        """Tells what the coordinator says of its clients, until cancelled."""
        told = _Told()
        while True:
            # A new channel each time: one that failed once waits ever longer to try again.
            async with FederatedClient(self._plan.server) as coordinator:
                with suppress(RpcError):  # not there yet, or no more
                    while True:
                        self._tell_campaign(await coordinator.campaign(), told)
                        await asyncio.sleep(POLL_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    def _tell_campaign(self, campaign: GetCampaignStatusResponse, told: _Told) -> None:
        if len(campaign.clients) > told.joined:
            told.joined = len(campaign.clients)
            self._tell(f"{told.joined} of {self._plan.options.clients} clients joined")
        for count in campaign.accuracy_counts[told.rounds :]:
            told.rounds += 1
            share = 100 * count / campaign.evaluation_size
            self._tell(f"round {told.rounds}: the new model is right in {share:.1f} %")
        if campaign.phase == RoundPhase.ROUND_PHASE_TRAINING and campaign.round > told.training:
            told.training = campaign.round
            self._tell(f"round {told.training}: clients train")

    async def follow(self) -> list[TaskView]:
        """Tells what happens until the last round is closed; returns the rounds' tasks in order.

        Raises PROCESS_FAILED when a round could not be settled.
        """
        closed: dict[int, TaskView] = {}
        phases: dict[tuple[int, int], int] = {}
        async for event in self._nodes[0].events(from_height=1):
            for task in event.tasks:
                self._tell_phase(task, phases)
                if task.phase == TaskPhase.TASK_PHASE_FAILED:
                    raise RefusalError(
                        ApplicationCode.PROCESS_FAILED,
                        f"round {task.round} failed after {task.attempt + 1} attempts: too few "
                        "miners agreed on its Shapley values",
                        field="rounds",
                    )
                if task.phase == TaskPhase.TASK_PHASE_SETTLED:
                    closed[task.round] = task
            if len(closed) == self._plan.options.rounds:
                break
        # The view of an event is of that block; what came later is in the node's own.
        return [await self._nodes[0].task(closed[number].task_id) for number in sorted(closed)]

    def _tell_phase(self, task: TaskView, phases: dict[tuple[int, int], int]) -> None:
        place = (task.round, task.attempt)
        if phases.get(place) == task.phase:
            return
        phases[place] = task.phase
        again = f" (attempt {task.attempt + 1})" if task.attempt else ""
        clients = len(task.clients)
        words = {
            TaskPhase.TASK_PHASE_COMMIT: f"{clients} updates are in, miners compute{again}",
            TaskPhase.TASK_PHASE_REVEAL: f"miners committed and prove their values{again}",
            TaskPhase.TASK_PHASE_SETTLED: f"settled and paid {format_amount(paid(task))} to clients"
            f" in {seconds(task):.1f} s",
        }
        if task.phase in words:
            self._tell(f"round {task.round}: {words[task.phase]}")

    async def collect(self, tasks: Sequence[TaskView], started: float) -> DevnetResult:
        """What came of it; ``started`` is of the monotonic clock."""
        statuses = await self._settled_statuses()
        rounds = [await self._round(task) for task in tasks]
        supplies = {status.counted_supply for status in statuses}
        before = self._plan.supply
        # One node that counts something else is enough to say so.
        after = next((supply for supply in supplies if supply != before), before)
        return DevnetResult(
            chain_id=self._plan.chain_id,
            supply_before=before,
            supply_after=after,
            rounds=tuple(rounds),
            nodes=tuple([await self._node(status) for status in statuses]),
            elapsed_seconds=round(time.monotonic() - started, 3),
        )

    async def _settled_statuses(self) -> list[GetStatusResponse]:
        """What all nodes say once they say the same, or in the end."""
        deadline = time.monotonic() + AGREE_SECONDS
        while True:
            statuses = list(await asyncio.gather(*(node.status() for node in self._nodes)))
            same = len({(status.height, status.app_hash) for status in statuses}) == 1
            if same or time.monotonic() > deadline:
                return statuses
            await asyncio.sleep(POLL_SECONDS)

    async def _node(self, status: GetStatusResponse) -> NodeResult:
        return NodeResult(
            address=status.address,
            height=status.height,
            app_hash=status.app_hash,
            rss_bytes=status.rss_bytes,
            start_seconds=status.start_ms / 1000,
            bond=(await self._nodes[0].account(status.address)).bond,
            adversary=self._lies(status.address),
        )

    async def _round(self, task: TaskView) -> RoundResult:
        return RoundResult(
            round=task.round,
            task_id=task.task_id,
            accuracy=await self._accuracy(task),
            winner=task.winner,
            difficulty_nano=task.difficulty_nano,
            schedule=Schedule.Name(task.schedule).removeprefix("SCHEDULE_").lower(),
            evaluations=sum(miner.evaluations for miner in task.miners if miner.revealed),
            settle_seconds=seconds(task),
            training_price=task.prices.training,
            aggregation_price=task.prices.aggregation,
            mining_price=task.prices.mining,
            server=task.server,
            clients=client_results(task, self._plan.roles),
            miners=tuple(
                MinerResult(
                    m.address, m.committed, m.revealed, m.inlier, m.reward, self._lies(m.address)
                )
                for m in task.miners
            ),
        )

    def _lies(self, address: str) -> str:
        """How the miner with this address lies; empty for an honest one."""
        return self._plan.adversaries.get(parse_address(address), "")

    async def _accuracy(self, task: TaskView) -> float:
        """The aggregate's, as the winner proved it: the grand coalition is the aggregate."""
        reply = await self._nodes[0].evidence(task.task_id, task.winner)
        body = TransactionBody.FromString(SignedTransaction.FromString(reply.transaction).body)
        return body.reveal_shapley.evidence.grand_count / task.evaluation_size


def client_results(task: TaskView, roles: Mapping[bytes, str]) -> tuple[ClientResult, ...]:
    """Of one round, in the order of the roles: as the clients were made."""
    found = {parse_address(client.address): client for client in task.clients}
    return tuple(
        ClientResult(
            address=found[address].address,
            role=role,
            samples=found[address].num_samples,
            shapley_nano=found[address].shapley_nano,
            payout=found[address].payout,
        )
        for address, role in roles.items()
        if address in found
    )


def paid(task: TaskView) -> int:
    """What a task paid to its clients, in sap."""
    return sum(client.payout for client in task.clients)


def seconds(task: TaskView) -> float:
    """From the block that opened a task to the one that closed it."""
    return (task.closed_ms - task.opened_ms) / 1000
