"""Publish Shapley tasks with the product's own commands while a network runs."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from fedcoin.application.devnet.child_processes import (
    COMMAND_LINE,
    child_environment,
    module_command,
)
from fedcoin.testing.networks.network_homes import PreparedNetwork
from fedcoin.testing.networks.network_plan import PlannedTask

BUDGET = "10fdc"

_EVALUATION_EXAMPLES = 100
"""So few that a miner with one core takes a second or two for a task."""


async def train_updates(clients: int, folder: Path) -> None:
    """Train a few clients on shares of the built-in digits, and write their updates.

    Args:
        clients: How many.
        folder: The new folder, as `task publish` reads it.

    Raises:
        RuntimeError: The command failed.
    """
    await run_command(
        *("train", "simulate", str(folder), "--clients", str(clients), "--epochs", "1"),
        *("--evaluation-size", str(_EVALUATION_EXAMPLES), "--processes", "1"),
    )


async def publish_when_due(
    task: PlannedTask, network: PreparedNetwork, folder: Path, report: Callable[[str], None]
) -> str:
    """Wait for a task's time, and publish it through the first node that answers.

    Args:
        task: The task, whose time counts from this call.
        network: Its nodes get the task, and its publisher pays.
        folder: The clients' updates.
        report: Takes one line of progress.

    Returns:
        The task's id, in hex.

    Raises:
        RuntimeError: No node took the task.
    """
    await asyncio.sleep(task.at)
    failure = ""
    for home in network.homes.values():
        arguments = ["task", "publish", str(folder), "--home", str(network.publisher.root)]
        arguments += ["--node", home.api, "--budget", BUDGET, "--json"]
        try:
            said = await run_command(*arguments)
        except RuntimeError as error:
            failure = str(error)
            continue
        task_id: str = json.loads(said)["task_id"]
        report(f"{task.at:6.1f} s: task {task_id[:16]} is published through {home.node.name}")
        return task_id
    raise RuntimeError(failure)


async def run_command(*arguments: str) -> str:
    """Run `fedcoin-node`.

    Args:
        arguments: The command line.

    Returns:
        What it printed.

    Raises:
        RuntimeError: It failed; the error says what it printed.
    """
    process = await asyncio.create_subprocess_exec(
        *module_command(COMMAND_LINE, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(os.environ),
    )
    try:
        out, err = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        shown = " ".join(arguments[:2])
        raise RuntimeError(f"{shown} failed: {err.decode(errors='replace').strip()[-500:]}")
    return out.decode()


def count_clients(tasks: Sequence[PlannedTask]) -> list[int]:
    """List the numbers of clients for which updates are needed.

    Args:
        tasks: The tasks of a network.

    Returns:
        Each number once, in rising order.
    """
    return sorted({task.clients for task in tasks})
