"""Follow a devnet's rounds through the nodes' APIs, and collect the results."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

from fedcoin.application.devnet.plan import DevnetPlan
from fedcoin.application.devnet.results import (
    ClientResult,
    DevnetResult,
    MinerResult,
    NodeResult,
    RoundResult,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.rendering.task_remarks import (
    explain_task,
    has_frequent_answer,
    read_evidence,
)
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.plurals import format_count
from fedcoin.learning.measures.terms import TERMS, format_utility, largest_utility
from fedcoin.network.client.federated_client import FederatedClient
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.block_pb2 import TaskPhase
from fedcoin.v1.evidence_pb2 import Evidence
from fedcoin.v1.federated_learning_service_pb2 import GetCampaignStatusResponse, RoundPhase
from fedcoin.v1.node_service_pb2 import GetStatusResponse
from fedcoin.v1.task_pb2 import Schedule
from fedcoin.v1.views_pb2 import TaskView

START_SECONDS = 60.0
"""How long a node may take from its start until it serves, in seconds."""

AGREE_SECONDS = 20.0
"""How long all nodes may take after the last payment to reach the same state, in seconds."""

POLL_SECONDS = 0.2
"""The pause between two calls of an API, in seconds."""

Report = Callable[[str], None]
"""Shows one line about the devnet's progress to the user."""


@dataclass(slots=True)
class _Reported:
    """The events of a campaign that were reported already."""

    # How many clients had joined.
    clients: int = 0
    # How many rounds had ended.
    rounds: int = 0
    # The latest round whose training had begun.
    training: int = 0


class Observer:
    """API clients of all nodes of a devnet; an async context manager."""

    def __init__(self, plan: DevnetPlan, report: Report) -> None:
        """Remember the plan; connections are opened when the context is entered.

        Args:
            plan: The devnet, whose processes need not have started.
            report: Shows one line of progress.
        """
        self._plan = plan
        self._report = report
        self._stack = AsyncExitStack()
        self._nodes: list[NodeClient] = []

    async def __aenter__(self) -> Observer:
        for miner in self._plan.miners:
            self._nodes.append(await self._stack.enter_async_context(NodeClient(miner.api)))
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def wait_ready(self) -> None:
        """Wait until every node serves.

        Raises:
            RpcError: A node does not serve within 60 s.
        """
        await asyncio.gather(*(node.wait_until_serving(START_SECONDS) for node in self._nodes))
        serve = "serves" if len(self._nodes) == 1 else "serve"
        self._report(f"{format_count(len(self._nodes), 'miner')} {serve}")

    async def report_campaign(self) -> None:
        """Report who joins and how training goes, by the coordinator's API, until cancelled."""
        reported = _Reported()
        while True:
            # A new channel for each attempt: gRPC waits ever longer before it redials a channel
            # that failed.
            async with FederatedClient(self._plan.server) as coordinator:
                with suppress(RpcError):  # the coordinator has not started, or has ended
                    while True:
                        self._report_status(await coordinator.get_campaign_status(), reported)
                        await asyncio.sleep(POLL_SECONDS)
            await asyncio.sleep(POLL_SECONDS)

    def _report_status(self, campaign: GetCampaignStatusResponse, reported: _Reported) -> None:
        expected = self._plan.options.clients
        # Of many clients only every tenth is reported, and the last one.
        num_new = len(campaign.clients) - reported.clients
        is_last = num_new > 0 and len(campaign.clients) >= expected
        if is_last or num_new >= max(1, expected // 10):
            reported.clients = len(campaign.clients)
            clients = format_count(expected, "client")
            self._report(f"{reported.clients} of {clients} joined")
        for utility in campaign.utilities[reported.rounds :]:
            reported.rounds += 1
            value = format_utility(campaign.utility, utility, campaign.evaluation_size)
            title = TERMS[campaign.utility].title
            self._report(f"round {reported.rounds}: {title} of the new model: {value}")
        if campaign.phase == RoundPhase.ROUND_PHASE_TRAINING and campaign.round > reported.training:
            reported.training = campaign.round
            self._report(f"round {reported.training}: clients train")

    async def follow_tasks(self) -> list[TaskView]:
        """Report each round's task, by the first miner's API, until the last one is settled.

        Returns:
            The final view of each round's task, in the order of the rounds.

        Raises:
            RefusalError: PROCESS_FAILED when a round's task failed.
        """
        settled: dict[int, TaskView] = {}
        phases: dict[tuple[int, int], int] = {}
        async for event in self._nodes[0].watch_events(from_height=1):
            for task in event.tasks:
                if parse_address(task.server) != self._plan.coordinator.address:
                    # Anybody may open tasks, also a dishonest miner.
                    continue
                self._report_task(task, phases)
                if task.phase == TaskPhase.TASK_PHASE_FAILED:
                    attempts = format_count(task.attempt + 1, "attempt")
                    raise RefusalError(
                        ApplicationCode.PROCESS_FAILED,
                        f"round {task.round} failed after {attempts}: too few miners agreed on its "
                        "Shapley values",
                        field="rounds",
                    )
                if task.phase == TaskPhase.TASK_PHASE_SETTLED:
                    settled[task.round] = task
            if len(settled) == self._plan.options.rounds:
                break
        # An event shows the task as of its block; the node's view has what came later.
        return [
            await self._nodes[0].get_task(settled[number].task_id) for number in sorted(settled)
        ]

    def _report_task(self, task: TaskView, phases: dict[tuple[int, int], int]) -> None:
        attempt = (task.round, task.attempt)
        if phases.get(attempt) == task.phase:
            return
        phases[attempt] = task.phase
        again = f" (attempt {task.attempt + 1})" if task.attempt else ""
        updates = format_count(len(task.clients), "update")
        sentences = {
            TaskPhase.TASK_PHASE_COMMIT: f"{updates} received, miners compute{again}",
            TaskPhase.TASK_PHASE_REVEAL: f"miners committed and prove their values{again}",
            TaskPhase.TASK_PHASE_SETTLED: f"settled and paid {format_amount(_payouts(task))} to "
            f"clients in {_settle_seconds(task):.1f} s",
            TaskPhase.TASK_PHASE_GAVE_WAY: "its task made way for a better offer",
        }
        if task.phase in sentences:
            self._report(f"round {task.round}: {sentences[task.phase]}")

    async def collect(self, tasks: Sequence[TaskView], started: float) -> DevnetResult:
        """Ask all nodes for their final state.

        Args:
            tasks: The settled tasks, in the order of the rounds.
            started: When the devnet started, in seconds of the monotonic clock.

        Returns:
            The devnet's results, also when the nodes do not agree.

        Raises:
            RpcError: A node does not answer.
        """
        statuses = await self._agreed_statuses()
        rounds = [await self._round_result(task) for task in tasks]
        supplies = {status.counted_supply for status in statuses}
        before = self._plan.supply
        # One node that counted another supply is enough to report it.
        after = next((supply for supply in supplies if supply != before), before)
        return DevnetResult(
            chain_id=self._plan.chain_id,
            supply_before=before,
            supply_after=after,
            rounds=tuple(rounds),
            nodes=tuple([await self._node_result(status) for status in statuses]),
            elapsed_seconds=round(time.monotonic() - started, 3),
        )

    async def _agreed_statuses(self) -> list[GetStatusResponse]:
        """Ask all nodes until they agree, or until 20 s have passed."""
        deadline = time.monotonic() + AGREE_SECONDS
        while True:
            statuses = list(await asyncio.gather(*(node.get_status() for node in self._nodes)))
            agreed = len({(status.height, status.app_hash) for status in statuses}) == 1
            if agreed or time.monotonic() > deadline:
                return statuses
            await asyncio.sleep(POLL_SECONDS)

    async def _node_result(self, status: GetStatusResponse) -> NodeResult:
        return NodeResult(
            address=status.address,
            height=status.height,
            app_hash=status.app_hash,
            rss_bytes=status.rss_bytes,
            start_seconds=status.start_ms / 1000,
            bond=(await self._nodes[0].get_account(status.address)).bond,
            adversary=self._adversary_of(status.address),
        )

    async def _round_result(self, task: TaskView) -> RoundResult:
        reply = await self._nodes[0].get_evidence(task.task_id, task.winner)
        evidence = read_evidence(reply.transaction)
        return RoundResult(
            round=task.round,
            task_id=task.task_id,
            measure=TERMS[task.utility].name,
            utility=evidence.grand_count / largest_utility(task.utility, task.evaluation_size),
            winner=task.winner,
            difficulty_nano=task.difficulty_nano,
            schedule=Schedule.Name(task.schedule).removeprefix("SCHEDULE_").lower(),
            evaluations=sum(miner.evaluations for miner in task.miners if miner.revealed),
            settle_seconds=_settle_seconds(task),
            training_price=_payouts(task) if task.unit_price else task.prices.training,
            aggregation_price=task.prices.aggregation,
            mining_price=task.prices.mining,
            server=task.server,
            clients=client_results(task, self._plan.roles),
            miners=tuple(
                MinerResult(
                    miner.address,
                    miner.committed,
                    miner.revealed,
                    miner.inlier,
                    miner.reward,
                    self._adversary_of(miner.address),
                )
                for miner in task.miners
            ),
            note=await self._explain(task, evidence),
        )

    def _adversary_of(self, address: str) -> str:
        return self._plan.adversaries.get(parse_address(address), "")

    async def _explain(self, task: TaskView, evidence: Evidence) -> str:
        """Compare the base model with the most frequent label, where the node has the labels."""
        if not has_frequent_answer(task.utility, evidence):
            return ""
        with suppress(RpcError, RefusalError):
            # Nodes give the sets of private campaigns to their readers alone.
            evaluation = await self._nodes[0].download_artifact(task.evaluation)
            return await asyncio.to_thread(explain_task, evidence, evaluation)
        return ""


def client_results(task: TaskView, roles: Mapping[bytes, str]) -> tuple[ClientResult, ...]:
    """Collect the results of a round's clients.

    Args:
        task: The round's settled task.
        roles: The role of each client, by its address of 20 bytes.

    Returns:
        One result for each client that took part, in the order of `roles`.
    """
    clients = {parse_address(client.address): client for client in task.clients}
    return tuple(
        ClientResult(
            address=clients[address].address,
            role=role,
            samples=clients[address].num_samples,
            shapley_nano=clients[address].shapley_nano,
            payout=clients[address].payout,
            name=clients[address].name,
        )
        for address, role in roles.items()
        if address in clients
    )


def _payouts(task: TaskView) -> int:
    return sum(client.payout for client in task.clients)


def _settle_seconds(task: TaskView) -> float:
    """Return the time from the block that opened a task to the block that closed it."""
    return (task.closed_ms - task.opened_ms) / 1000
