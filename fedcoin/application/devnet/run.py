"""Running a devnet from its plan to its result."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from fedcoin.application.devnet.observe import Observer, Tell
from fedcoin.application.devnet.plan import DevnetPlan, Member, Options, lay_out
from fedcoin.application.devnet.processes import Processes
from fedcoin.application.devnet.report import render_report
from fedcoin.application.devnet.result import DevnetResult
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.v1.views_pb2 import TaskView

T = TypeVar("T")

FINISH_SECONDS = 30.0
"""How long coordinator and clients may take to end after the last payment."""


async def run_devnet(options: Options, root: Path, tell: Tell) -> DevnetResult:
    """Lays out, starts, follows and ends a devnet below ``root``; writes result and report there.

    Raises :class:`Refusal`: BAD_ARGUMENT, PROCESS_FAILED with the end of a log, DISAGREEMENT when
    nodes hold different states or coins were made or lost (the result is written before).
    """
    started = time.monotonic()
    plan = await asyncio.to_thread(lay_out, options, root)
    tell(
        f"{options.miners} miners, 1 coordinator, {options.clients} clients and "
        f"{options.rounds} rounds on {options.dataset} in {root}"
    )
    with Processes(root / "logs") as processes:
        async with Observer(plan, tell) as observer:
            # Nodes first: they are quick, and what comes after keeps every core busy.
            start_nodes(plan, processes)
            await beside(processes, observer.wait_ready())
            start_training(plan, processes)
            tell("coordinator and clients start, and load TensorFlow")
            tasks = await beside(processes, observe(observer))
            result = await observer.collect(tasks, started)
            await finish(plan, processes)
    write(result, root)
    judge(result)
    return result


def start_nodes(plan: DevnetPlan, processes: Processes) -> None:
    """Starts every miner; they find each other in any order."""
    for miner in plan.miners:
        start_member(miner.member, processes, lasting=True)


def start_member(member: Member, processes: Processes, *, lasting: bool) -> None:
    """Start one member's process.

    Args:
        member: Whom to start.
        processes: Where its process is watched.
        lasting: Whether it must not end before it is told to.
    """
    processes.start(member.name, member.arguments, lasting=lasting, module=member.module)


def start_training(plan: DevnetPlan, processes: Processes) -> None:
    """Starts the coordinator and the clients, who look for it until it is there."""
    start_member(plan.coordinator, processes, lasting=False)
    for client in plan.clients:
        start_member(client.member, processes, lasting=False)


async def observe(observer: Observer) -> list[TaskView]:
    """Follows the rounds to the last one that is paid, and tells of them."""
    narrating = asyncio.create_task(observer.narrate())
    try:
        return await observer.follow()
    finally:
        narrating.cancel()
        await asyncio.gather(narrating, return_exceptions=True)


async def beside(processes: Processes, work: Coroutine[Any, Any, T]) -> T:
    """Does the work while watching the processes; the first failure of either ends both."""
    observing = asyncio.create_task(work)
    watching = asyncio.create_task(processes.watch())
    try:
        await asyncio.wait((observing, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        return await observing
    finally:
        for task in (observing, watching):
            task.cancel()
        await asyncio.gather(observing, watching, return_exceptions=True)


async def finish(plan: DevnetPlan, processes: Processes) -> None:
    """Coordinator and clients end by themselves, soon and well. Raises PROCESS_FAILED."""
    deadline = time.monotonic() + FINISH_SECONDS
    for member in (plan.coordinator, *(client.member for client in plan.clients)):
        await processes.wait(member.name, deadline - time.monotonic())


def write(result: DevnetResult, root: Path) -> None:
    """``result.json`` and ``report.html``."""
    text = json.dumps(result.to_json(), indent=2, ensure_ascii=False)
    (root / "result.json").write_text(text + "\n", encoding="utf-8")
    (root / "report.html").write_text(render_report(result), encoding="utf-8")


def judge(result: DevnetResult) -> None:
    """Raises DISAGREEMENT unless all is as it should be."""
    if not result.agreed:
        states = ", ".join(f"{n.address} at {n.height}: {n.app_hash[:16]}" for n in result.nodes)
        raise RefusalError(
            ApplicationCode.DISAGREEMENT, f"the miners do not hold the same state: {states}"
        )
    if not result.conserved:
        raise RefusalError(
            ApplicationCode.DISAGREEMENT,
            f"there were {result.supply_before} sap, and there are {result.supply_after}",
        )
