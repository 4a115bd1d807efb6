"""Carry out the faults of a test network at their times."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.testing.networks.link_relays import LinkConditions, LinkRelay
from fedcoin.testing.networks.network_homes import NodeHome, PreparedNetwork
from fedcoin.testing.networks.network_plan import PlannedFault
from fedcoin.testing.networks.running_nodes import RunningNodes
from fedcoin.testing.networks.shifted_clock import write_offset_ms
from fedcoin.v1.transaction_pb2 import Bond, Unbond

FULL_DISK_BYTES = 16_384
"""How much longer than a node's log its files may become on a full disk, in bytes: enough for the
last lines of the log."""

ENDING_SECONDS = 20.0
"""How long a node with a full disk may take to end, in seconds: its grace is 15 s."""

BOND_SECONDS = 60.0
"""How long a change of a bond is tried, in seconds."""


@dataclass(frozen=True)
class FaultTargets:
    """What faults happen to."""

    network: PreparedNetwork
    nodes: RunningNodes
    conditions: LinkConditions
    # The relay before each node, by name.
    relays: Mapping[str, LinkRelay]
    # The folder of the nodes' logs.
    logs: Path
    # Takes one line of progress.
    report: Callable[[str], None]


async def carry_out(fault: PlannedFault, targets: FaultTargets) -> None:
    """Wait for a fault's time, and carry it out to its end.

    Args:
        fault: The fault, whose times count from this call.
        targets: What it happens to.
    """
    await asyncio.sleep(fault.at)
    targets.report(f"{fault.at:6.1f} s: {describe(fault)}")
    nodes = targets.nodes
    if fault.kind in ("kill", "restart"):
        end = nodes.kill if fault.kind == "kill" else nodes.stop
        began = time.monotonic()
        await asyncio.gather(*(end(name) for name in fault.nodes))
        await asyncio.sleep(fault.seconds - (time.monotonic() - began))
        for name in fault.nodes:
            nodes.start(name)
    elif fault.kind == "pause":
        for name in fault.nodes:
            nodes.pause(name)
        await asyncio.sleep(fault.seconds)
        for name in fault.nodes:
            nodes.resume(name)
    elif fault.kind == "disk-full":
        await asyncio.gather(*(_fill_disk(name, fault.seconds, targets) for name in fault.nodes))
    elif fault.kind == "lock":
        paths = [targets.network.homes[name].home.chain_path for name in fault.nodes]
        await asyncio.gather(*(asyncio.to_thread(hold_lock, path, fault.seconds) for path in paths))
    elif fault.kind in ("bond", "unbond"):
        await asyncio.gather(*(_change_bond(fault, name, targets) for name in fault.nodes))
    else:
        await _disturb(fault, targets)


async def _disturb(fault: PlannedFault, targets: FaultTargets) -> None:
    """Carry out a fault that stops no process."""
    conditions = targets.conditions
    if fault.kind == "partition":
        conditions.cut(fault.groups)
        await asyncio.sleep(fault.seconds)
        conditions.heal()
    elif fault.kind == "slow":
        conditions.slow_down(fault.nodes, fault.delay_ms)
        await asyncio.sleep(fault.seconds)
        conditions.slow_down(fault.nodes, 0)
    elif fault.kind == "reset":
        for name in fault.nodes:
            targets.relays[name].reset()
            for relay in targets.relays.values():
                relay.reset(name)
    else:
        homes = [targets.network.homes[name] for name in fault.nodes]
        _set_clocks(homes, fault.jump_ms)
        await asyncio.sleep(fault.seconds)
        _set_clocks(homes, 0)


def _set_clocks(homes: list[NodeHome], offset_ms: int) -> None:
    for home in homes:
        write_offset_ms(home.clock_path, offset_ms)


async def _fill_disk(name: str, seconds: float, targets: FaultTargets) -> None:
    """Let no file of a node grow for some time; start the node again if it ended."""
    pid = targets.nodes.pids()[name]
    log = targets.logs / f"{name}.log"
    limit = log.stat().st_size + FULL_DISK_BYTES
    limit_files(pid, limit)
    await asyncio.sleep(seconds)
    if targets.nodes.is_running(name):
        limit_files(pid, resource.RLIM_INFINITY)
    # One that has failed may still be about to end.
    deadline = time.monotonic() + ENDING_SECONDS
    while time.monotonic() < deadline and targets.nodes.pids().get(name) == pid:
        if await targets.nodes.note_failure(name):
            targets.nodes.start(name)
            return
        await asyncio.sleep(0.2)


def limit_files(pid: int, limit: int) -> None:
    """Make each write of a process beyond a file's first bytes fail, as on a full disk.

    Args:
        pid: The process.
        limit: How long its files may become, in bytes.
    """
    # The hard limit stays: only root could raise it again.
    hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit, hard))


def hold_lock(database: Path, seconds: float) -> None:
    """Hold the write lock of a database, as a backup tool may.

    Args:
        database: An SQLite file.
        seconds: How long, in seconds.
    """
    with closing(sqlite3.connect(database, isolation_level=None, timeout=10.0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        connection.execute("ROLLBACK")


async def _change_bond(fault: PlannedFault, name: str, targets: FaultTargets) -> None:
    """Bond or unbond through any node that answers, until the change is final."""
    network = targets.network
    action = (Bond if fault.kind == "bond" else Unbond)(amount=fault.amount)
    deadline = time.monotonic() + BOND_SECONDS
    apis = [network.homes[name].api, *(home.api for home in network.homes.values())]
    tried = 0
    while time.monotonic() < deadline:
        api = apis[tried % len(apis)]
        tried += 1
        if await _has_changed(api, network.homes[name].key, network.chain, action):
            return
        await asyncio.sleep(0.2)
    targets.nodes.problems.append(
        f"the change of {name}'s bond was not final in {BOND_SECONDS:g} s"
    )


async def _has_changed(api: str, key: KeyPair, chain: ChainIdentity, action: Bond | Unbond) -> bool:
    with suppress(RpcError):
        async with NodeClient(api, timeout=3.0) as client:
            await Wallet(client, key, chain).execute(action, BOND_SECONDS)
            return True
    return False


def describe(fault: PlannedFault) -> str:
    """Describe a fault in one line.

    Args:
        fault: What happens, to which nodes and for how long.

    Returns:
        A clause such as `kill a, b for 3 s`.
    """
    groups = " | ".join(", ".join(sorted(group)) for group in fault.groups)
    lasting = f" for {fault.seconds:g} s" if fault.seconds else ""
    return f"{fault.kind} {groups or ', '.join(fault.nodes)}{lasting}"
