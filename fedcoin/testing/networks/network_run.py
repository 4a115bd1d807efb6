"""Run one test network: start it, load it, hurt it, and check what all its nodes say afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcoin.application.devnet.child_processes import ChildProcesses
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.testing.networks.fault_injection import FaultTargets, carry_out
from fedcoin.testing.networks.link_relays import LinkConditions, LinkRelay
from fedcoin.testing.networks.log_alarms import find_alarms
from fedcoin.testing.networks.network_checks import MIB, KnownFacts, check_answers
from fedcoin.testing.networks.network_homes import (
    PreparedNetwork,
    network_key,
    prepare_network,
    write_homes,
)
from fedcoin.testing.networks.network_plan import NetworkPlan
from fedcoin.testing.networks.node_answers import ask_node, wait_for_agreement
from fedcoin.testing.networks.published_tasks import (
    count_clients,
    publish_when_due,
    train_updates,
)
from fedcoin.testing.networks.running_nodes import RunningNodes
from fedcoin.testing.networks.transfer_load import TransferLoad

START_SECONDS = 180.0
"""How long nodes may take to serve and to know each other, in seconds."""
END_SECONDS = 180.0
"""How long checks and the nodes' end may take, in seconds, before a run counts as stuck."""

DISK_FULL_WORDS = (
    "failed",
    "this node ends",
    "Traceback",
)
"""Log lines with an error that a node with a full disk may have."""

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class NetworkOutcome:
    """What one run showed."""

    name: str
    # One sentence each; empty when all is well.
    faults: tuple[str, ...]
    # The height of the honest nodes at the end.
    height: int
    # How many transfers were final by a node's answer, and how many were tried.
    num_final: int
    num_tried: int
    num_tasks: int
    # The largest memory of an honest node at the end, in MiB.
    memory_mib: float
    # How long the run took, in seconds.
    seconds: float

    def __str__(self) -> str:
        """Describe the run in one line, and each fault in another one."""
        verdict = "all well" if not self.faults else f"{len(self.faults)} faults"
        line = (
            f"{self.name}: {verdict}; height {self.height}, {self.num_final} of {self.num_tried} "
            f"transfers final, {self.num_tasks} tasks, {self.memory_mib:.0f} MiB, "
            f"{self.seconds:.0f} s"
        )
        return "\n".join([line, *(f"  {fault}" for fault in self.faults)])


def choose_limit(plan: NetworkPlan) -> float:
    """Choose how long a run may take before it counts as stuck, whatever it waits for.

    Args:
        plan: The network.

    Returns:
        The sum of what its parts may take, in seconds.
    """
    # A task that is published, a transfer through each node, the tasks' end, and one state.
    settling = (len(plan.tasks) + 3) * plan.settle_seconds
    return START_SECONDS + plan.seconds + settling + END_SECONDS


async def run_network(
    plan: NetworkPlan,
    root: Path,
    report: Report = lambda line: None,
    limit_seconds: float | None = None,
) -> NetworkOutcome:
    """Run a test network as real processes, from its start to its checks.

    Args:
        plan: The network.
        root: An empty folder, for homes and logs.
        report: Takes one line of progress.
        limit_seconds: How long it may take from the start of its nodes on, in seconds; then all of
            them are ended, and that is a fault. None takes `choose_limit`.

    Returns:
        What the run showed.

    Raises:
        RefusalError: The genesis is not valid, or too few ports are free.
        RuntimeError: The updates of a task could not be trained.
    """
    began = time.monotonic()
    network = prepare_network(plan, root)
    updates = {clients: root / f"updates-{clients}" for clients in count_clients(plan.tasks)}
    for clients, folder in updates.items():
        await train_updates(clients, folder)
    logs = root / "logs"
    with ChildProcesses(logs) as processes:
        run = _Run(network, RunningNodes(processes, network.homes), logs, report)
        await run.open_relays()
        limit = choose_limit(plan) if limit_seconds is None else limit_seconds
        try:
            return await run.carry_out_within(limit, updates, began)
        finally:
            await run.close()


class _Run:
    """One run's processes, relays and load."""

    def __init__(
        self, network: PreparedNetwork, nodes: RunningNodes, logs: Path, report: Report
    ) -> None:
        self._network = network
        self._plan = network.plan
        self._nodes = nodes
        self._logs = logs
        self._report = report
        self._conditions = LinkConditions(network.plan.delay_ms)
        self._relays = {
            name: LinkRelay(name, home.listener, self._conditions, nodes.pids)
            for name, home in network.homes.items()
        }
        self._apis = {name: home.api for name, home in network.homes.items()}
        self._honest = {
            node.name: self._apis[node.name] for node in self._plan.nodes if node.is_honest
        }
        collector = network_key("collector").address
        self._load = TransferLoad(self._honest, network.chain, collector, seed=len(self._apis))
        self._collector = collector
        self._faults: list[str] = []
        self._tasks: list[str] = []

    async def open_relays(self) -> None:
        for relay in self._relays.values():
            await relay.start()
        write_homes(self._network, {name: relay.address for name, relay in self._relays.items()})

    async def close(self) -> None:
        for name in self._nodes.running:
            self._nodes.resume(name)
        for relay in self._relays.values():
            await relay.stop()

    async def carry_out_within(
        self, limit: float, updates: Mapping[int, Path], began: float
    ) -> NetworkOutcome:
        work = asyncio.ensure_future(self.carry_out(updates, began))
        try:
            done, _ = await asyncio.wait({work}, timeout=limit)
        finally:
            await _end(work)
        if done:
            return work.result()
        self._faults.append(f"the run did not end within {limit:g} s")
        return self._outcome(began, 0, 0.0)

    async def carry_out(self, updates: Mapping[int, Path], began: float) -> NetworkOutcome:
        for name in self._apis:
            self._nodes.start(name)
        height = memory_mib = 0.0
        if await self._is_acquainted():
            self._report(f"all nodes know each other after {time.monotonic() - began:.1f} s")
            await self._load_and_hurt(updates)
            self._nodes.note_ends()
            self._faults += self._nodes.problems
            over = time.monotonic()
            if await self._is_alive():
                self._report(f"one state {time.monotonic() - over:.1f} s after all faults")
                height, memory_mib = await self._check()
        await self._stop_all()
        self._faults += self._find_errors()
        return self._outcome(began, int(height), memory_mib)

    def _outcome(self, began: float, height: int, memory_mib: float) -> NetworkOutcome:
        return NetworkOutcome(
            self._plan.name,
            tuple(self._faults),
            height,
            len(self._load.final),
            self._load.num_tried,
            len(self._tasks),
            memory_mib,
            time.monotonic() - began,
        )

    async def _is_acquainted(self) -> bool:
        """Wait until each node serves and knows all others."""
        deadline = time.monotonic() + START_SECONDS
        waiting = list(self._apis)
        while time.monotonic() < deadline:
            found = await asyncio.gather(*(_count_peers(self._apis[name]) for name in waiting))
            waiting = [
                name
                for name, peers in zip(waiting, found, strict=True)
                if peers < len(self._apis) - 1
            ]
            if not waiting:
                return True
            await asyncio.sleep(0.1)
        self._faults.append(f"{', '.join(waiting)} did not find all peers in {START_SECONDS:g} s")
        return False

    async def _load_and_hurt(self, updates: Mapping[int, Path]) -> None:
        plan, network = self._plan, self._network
        targets = FaultTargets(
            network, self._nodes, self._conditions, self._relays, self._logs, self._report
        )
        loading = asyncio.ensure_future(self._load.run(network.payers, plan.transfers_per_second))
        publishing = [
            asyncio.ensure_future(
                publish_when_due(task, network, updates[task.clients], self._report)
            )
            for task in plan.tasks
        ]
        try:
            await asyncio.gather(
                asyncio.sleep(plan.seconds), *(carry_out(fault, targets) for fault in plan.faults)
            )
            for task in publishing:
                try:
                    self._tasks.append(await asyncio.wait_for(task, plan.settle_seconds))
                except (RuntimeError, asyncio.TimeoutError) as error:
                    self._faults.append(f"a task could not be published: {error}")
        finally:
            await _end(loading, *publishing)

    async def _is_alive(self) -> bool:
        """Check that each node makes a transfer final, and that all then have one state."""
        plan = self._plan
        deadline = time.monotonic() + plan.settle_seconds
        payer = self._network.payers[0]
        for name in self._honest:
            while not await self._load.pay_through(name, payer, 8.0):
                if time.monotonic() > deadline:
                    self._faults.append(
                        f"no transfer through {name} became final within {plan.settle_seconds:g} s "
                        "after all faults were over"
                    )
                    return False
                await asyncio.sleep(0.2)
        await self._wait_for_tasks(deadline)
        # Else new transactions may come as long as this waits.
        await asyncio.gather(
            *(self._nodes.stop(name) for name in self._nodes.running - self._honest.keys())
        )
        if not await wait_for_agreement(self._honest, max(5.0, deadline - time.monotonic())):
            self._faults.append("the nodes did not agree on one state in time")
        return True

    async def _wait_for_tasks(self, deadline: float) -> None:
        """Wait until each task has ended; whether it was settled is for the checks to say."""
        api = next(iter(self._honest.values()))
        for task in self._tasks:
            with suppress(RpcError, asyncio.TimeoutError):
                async with NodeClient(api) as client:
                    await asyncio.wait_for(
                        _watch(client, task), max(1.0, deadline - time.monotonic())
                    )

    async def _check(self) -> tuple[int, float]:
        try:
            answers = [
                await ask_node(name, api, self._load.final, self._collector, self._tasks)
                for name, api in self._honest.items()
            ]
        except RpcError as error:
            self._faults.append(f"a node does not answer: {error}")
            return 0, 0.0
        facts = KnownFacts(
            self._network.supply,
            self._load.final,
            self._load.num_tried,
            self._expected_bonds(),
            self._plan.max_memory_mib * MIB,
            self._tasks,
        )
        self._faults += check_answers(answers, facts)
        return answers[0].height, max(one.rss_bytes for one in answers) / MIB

    def _expected_bonds(self) -> dict[str, int]:
        bonds = {
            home.key.public_key.hex(): home.node.bond
            for home in self._network.homes.values()
            if home.node.is_honest
        }
        for fault in self._plan.faults:
            for name in fault.nodes:
                key = self._network.homes[name].key.public_key.hex()
                if key in bonds and fault.kind in ("bond", "unbond"):
                    bonds[key] += fault.amount if fault.kind == "bond" else -fault.amount
        return bonds

    async def _stop_all(self) -> None:
        before = len(self._nodes.problems)
        await asyncio.gather(*(self._nodes.stop(name) for name in self._nodes.running))
        self._faults += self._nodes.problems[before:]

    def _find_errors(self) -> Iterator[str]:
        plan = self._plan
        full = {name for fault in plan.faults if fault.kind == "disk-full" for name in fault.nodes}
        for name in self._honest:
            expected = (*plan.expected_errors, *(DISK_FULL_WORDS if name in full else ()))
            text = (self._logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            for alarm in find_alarms(text, expected):
                yield f"{name}.log: {alarm}"
                break


async def _count_peers(api: str) -> int:
    try:
        async with NodeClient(api, timeout=3.0) as client:
            return (await client.get_status()).peers
    except RpcError:
        return -1


async def _watch(client: NodeClient, task: str) -> None:
    async for _ in client.watch_task(task):
        pass


async def _end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel until all tasks have ended: gRPC may swallow a cancellation."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=1.0)
    await asyncio.gather(*tasks, return_exceptions=True)
