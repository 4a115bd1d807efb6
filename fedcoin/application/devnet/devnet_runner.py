"""Run a devnet from its homes on disk to its results."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from fedcoin.application.devnet.child_processes import POLL_SECONDS, ChildProcesses
from fedcoin.application.devnet.home_folders import create_devnet
from fedcoin.application.devnet.html_report import render_report
from fedcoin.application.devnet.observer import Observer, Report
from fedcoin.application.devnet.plan import DevnetOptions, DevnetPlan, Program
from fedcoin.application.devnet.results import DevnetResult
from fedcoin.application.devnet.standing_network import StandingNetwork, describe_network
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.plurals import format_count
from fedcoin.v1.views_pb2 import TaskView

_T = TypeVar("_T")

FINISH_SECONDS = 30.0
"""How long the coordinator and the clients may take to end after the last payment, in seconds."""


async def run_devnet(
    options: DevnetOptions,
    root: Path,
    report: Report,
    present: Callable[[DevnetResult, StandingNetwork], None] | None = None,
) -> DevnetResult:
    """Run a devnet to its end; write `result.json` and `report.html` to its folder.

    Args:
        options: What the user asked for.
        root: An empty folder, for homes, data, logs and results.
        report: Shows one line of progress.
        present: Where given, the nodes go on running after the last payment, until this is
            cancelled; it is called once with the checked results and the running network.

    Returns:
        The results, after all checks of them passed.

    Raises:
        RefusalError: BAD_ARGUMENT when the options are out of range; PORT_IN_USE when too few ports
            are free; a code such as UNKNOWN_DATASET or BAD_PARTITION when the data cannot be loaded
            or divided; PROCESS_FAILED, with the end of its log, when a process fails; DISAGREEMENT
            when the nodes hold different states or the supply changed (the results are written
            before).
        RpcError: A node does not answer.
    """
    started = time.monotonic()
    plan = await asyncio.to_thread(create_devnet, options, root)
    report(
        f"{format_count(options.miners, 'miner')}, 1 coordinator, "
        f"{format_count(options.clients, 'client')} and {format_count(options.rounds, 'round')} "
        f"on {options.dataset} in {root}"
    )
    with ChildProcesses(root / "logs") as processes:
        async with Observer(plan, report) as observer:
            # The miners first: they start quickly, and the TensorFlow of the others then keeps
            # every core busy.
            for miner in plan.miners:
                start_program(miner.member.program, processes, lasting=True)
            await _while_watched(processes, observer.wait_ready())
            if plan.explorer is not None:
                start_program(plan.explorer, processes, lasting=True)
            start_training(plan, processes)
            report("coordinator and clients start")
            work = _observe(observer, plan.explorer_listener, report)
            tasks = await _while_watched(processes, work)
            result = await observer.collect(tasks, started)
            await _wait_for_training(plan, processes)
        _write_results(result, root)
        check_result(result)
        if present is not None:
            present(result, describe_network(plan))
            await processes.watch()
    return result


def start_program(program: Program, processes: ChildProcesses, *, lasting: bool) -> None:
    """Start one process.

    Args:
        program: What to start.
        processes: Watches and stops the process.
        lasting: True when the process must run until it is stopped, so that its end is a failure.
    """
    processes.start(program.name, program.arguments, lasting=lasting, module=program.module)


def start_training(plan: DevnetPlan, processes: ChildProcesses) -> None:
    """Start the coordinator and the clients, which retry until they reach the coordinator.

    Args:
        plan: The devnet, whose miners serve already.
        processes: Watches and stops the processes.
    """
    for program in plan.training_programs:
        start_program(program, processes, lasting=False)


async def _observe(observer: Observer, explorer: str, report: Report) -> list[TaskView]:
    reporting = [asyncio.create_task(observer.report_campaign())]
    if explorer:
        reporting.append(asyncio.create_task(_announce_explorer(explorer, report)))
    try:
        return await observer.follow_tasks()
    finally:
        for task in reporting:
            task.cancel()
        await asyncio.gather(*reporting, return_exceptions=True)


async def _announce_explorer(listener: str, report: Report) -> None:
    """Report the explorer's address, a host:port, once it listens."""
    host, _, port = listener.rpartition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(POLL_SECONDS)
            continue
        writer.close()
        report(f"see it while it runs: http://{listener}/")
        return


async def _while_watched(processes: ChildProcesses, work: Coroutine[Any, Any, _T]) -> _T:
    """Do the work while watching the processes; the first failure of either ends both."""
    working = asyncio.create_task(work)
    watching = asyncio.create_task(processes.watch())
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        return await working
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def _wait_for_training(plan: DevnetPlan, processes: ChildProcesses) -> None:
    """Wait until the coordinator and the clients have ended by themselves, without an error."""
    deadline = time.monotonic() + FINISH_SECONDS
    for program in plan.training_programs:
        await processes.wait(program.name, deadline - time.monotonic())


def _write_results(result: DevnetResult, root: Path) -> None:
    text = json.dumps(result.to_json(), indent=2, ensure_ascii=False)
    (root / "result.json").write_text(text + "\n", encoding="utf-8")
    (root / "report.html").write_text(render_report(result), encoding="utf-8")


def check_result(result: DevnetResult) -> None:
    """Check that all nodes agree and that no coin was made or lost.

    Args:
        result: The results of a devnet.

    Raises:
        RefusalError: DISAGREEMENT when the nodes hold different states or the supply changed.
    """
    if not result.has_one_state:
        states = ", ".join(
            f"{node.address} has app hash {node.app_hash[:16]} at height {node.height}"
            for node in result.nodes
        )
        raise RefusalError(
            ApplicationCode.DISAGREEMENT, f"the miners do not hold the same state: {states}"
        )
    if not result.is_supply_conserved:
        before, after = format_amount(result.supply_before), format_amount(result.supply_after)
        raise RefusalError(
            ApplicationCode.DISAGREEMENT,
            f"the supply was {before} and is {after} now, but it must not change",
        )
