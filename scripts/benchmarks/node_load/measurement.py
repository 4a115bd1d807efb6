"""Measure one checkout under load: rates, latencies, processor time and memory."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[3]
"""The root of this checkout."""

PACED_RATE: Final = 100
"""The number of transfers a second while latencies are measured."""

_HERE: Final = Path(__file__).resolve().parent
_FLOOD_SENDERS, _PACED_SENDERS = 640, 100
_MAX_RATE = 4_000
"""More transfers a second than a network makes final; as many are signed before."""
_WINDOW = 1_500
_MAX_PACED_S, _MAX_MINING_S = 30.0, 20.0
_MEMORY_S = 1.0
_START_S, _IDLE_S, _IDLE_CORES = 60.0, 3.0, 0.2
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    # How many validators the network has.
    validators: int
    # How long as many transfers are sent as become final, in seconds.
    seconds: float


@dataclass(slots=True)
class RunningNetwork:
    """A running network of one checkout."""

    # The nodes' APIs, as host:port, and their process ids, in the same order.
    apis: Sequence[str]
    pids: Sequence[int]
    # The address in bech32m that gets all transfers, and the files of transfers by name.
    receiver: str
    files: dict[str, str]
    # The process that started them.
    process: subprocess.Popen[str]
    # Megabytes of all nodes together, one number a second.
    memory: list[float] = field(default_factory=list)

    def cpu_seconds(self) -> float:
        """Sum the processor time of the nodes, without their worker processes."""
        return sum(cpu_seconds(pid) for pid in self.pids)

    def train(self) -> None:
        """Start the coordinator and the clients."""
        assert self.process.stdin is not None
        self.process.stdin.write("train\n")
        self.process.stdin.flush()


def measure_checkout(checkout: Path, plan: Plan) -> dict[str, float]:
    """Run a network of one checkout and measure it.

    Args:
        checkout: The checkout's root folder.
        plan: What to measure.

    Returns:
        Numbers by name; a name says its unit.
    """
    paced_s = min(_MAX_PACED_S, plan.seconds)
    batches = {
        "paced": (_PACED_SENDERS, round(paced_s * PACED_RATE / _PACED_SENDERS) + 1),
        "flood": (_FLOOD_SENDERS, round(plan.seconds * _MAX_RATE / _FLOOD_SENDERS) + 1),
    }
    with run_network(checkout, plan.validators, batches) as network:
        wait_until_idle(network)
        paced = load_network(network, "paced", _PACED_SENDERS, paced_s, rate=PACED_RATE)
        before, began = network.cpu_seconds(), len(network.memory)
        flood = load_network(network, "flood", _FLOOD_SENDERS, plan.seconds)
        cpu = network.cpu_seconds() - before
        memory = network.memory[began:]
        network.train()
        mining = load_network(network, "", 1, min(_MAX_MINING_S, plan.seconds))
    final = max(1, flood["final"])
    early, late = _halves(memory)
    return {
        "final_per_second": flood["final"] / flood["seconds"],
        "finality_p50_seconds_at_100": quantile(paced["finality"], 0.50),
        "finality_p99_seconds_at_100": quantile(paced["finality"], 0.99),
        "status_p99_seconds": quantile(mining["status"], 0.99),
        "status_p99_seconds_at_100": quantile(paced["status"], 0.99),
        "status_p99_seconds_under_load": quantile(flood["status"], 0.99),
        "cpu_ms_per_transaction": 1000 * cpu / plan.validators / final,
        "node_cores": cpu / flood["seconds"],
        "load_cores": flood["load_cpu_share"],
        "node_memory_mb": late / plan.validators,
        "memory_growth_mb_per_node": (late - early) / plan.validators,
        "tasks_while_mining": mining["tasks"],
        "lost_at_100": float(sum(paced["refusals"].values())),
    }


def measure_latencies(checkout: Path, plan: Plan) -> dict[str, float]:
    """Run a network of one checkout, and measure how long single transfers take alone.

    Args:
        checkout: The checkout's root folder.
        plan: What to measure.

    Returns:
        Numbers by name; a name says its unit.
    """
    seconds = min(_MAX_PACED_S, plan.seconds)
    batch = (_PACED_SENDERS, round(seconds * PACED_RATE / _PACED_SENDERS) + 1)
    with run_network(checkout, plan.validators, {"paced": batch}) as network:
        wait_until_idle(network)
        before = network.cpu_seconds()
        paced = load_network(network, "paced", _PACED_SENDERS, seconds, rate=PACED_RATE)
        cpu = network.cpu_seconds() - before
    return {
        "finality_p50_seconds_at_100": quantile(paced["finality"], 0.50),
        "finality_p99_seconds_at_100": quantile(paced["finality"], 0.99),
        "status_p99_seconds_at_100": quantile(paced["status"], 0.99),
        "cpu_ms_per_transaction_at_100": 1000 * cpu / plan.validators / max(1, paced["final"]),
        "lost_at_100": float(sum(paced["refusals"].values())),
    }


@contextmanager
def run_network(
    checkout: Path, validators: int, batches: dict[str, tuple[int, int]]
) -> Iterator[RunningNetwork]:
    """Run a network of a checkout; its nodes stop when the body ends.

    Args:
        checkout: The checkout's root folder.
        validators: How many nodes there are.
        batches: By name, how many senders there are and how many transfers each one signs.

    Yields:
        The network.

    Raises:
        RuntimeError: It did not start.
    """
    with tempfile.TemporaryDirectory() as root:
        settings = {"root": root, "validators": validators, "batches": batches}
        process = subprocess.Popen(
            [interpreter(checkout), str(_HERE / "checkout_network.py"), json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout)},
        )
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the network of {checkout} did not start")
            network = RunningNetwork(**json.loads(line), process=process)
            threading.Thread(target=_watch_memory, args=(network,), daemon=True).start()
            yield network
        finally:
            process.stdin.close()
            process.wait()


def load_network(
    network: RunningNetwork, file: str, senders: int, seconds: float, *, rate: float = 0.0
) -> dict[str, Any]:
    """Run one phase of the load in a process of its own.

    Args:
        network: The nodes that get the transfers.
        file: The name of the batch to send; empty to send none.
        senders: How many senders signed it.
        seconds: How long the phase lasts.
        rate: Transfers a second; 0 for as many as become final.

    Returns:
        What `load_process` counted: `final`, `finality`, `status`, `refusals` and others.
    """
    settings = {
        "apis": network.apis,
        "receiver": network.receiver,
        "file": network.files[file] if file else "",
        "senders": senders,
        "seconds": seconds,
        "rate": rate,
        "window": _WINDOW,
    }
    done = subprocess.run(
        [sys.executable, "-m", "scripts.benchmarks.node_load.load_process"],
        input=json.dumps(settings) + "\n",
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=ROOT,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    for kind in ("refusals", "retries"):
        if result[kind]:
            print(f"{file}: {kind} {result[kind]}", file=sys.stderr)
    return result


def wait_until_idle(network: RunningNetwork) -> None:
    """Wait until the nodes and their workers have started, which takes the workers a while.

    Args:
        network: The nodes that are waited for.
    """
    deadline, before = time.monotonic() + _START_S, 0.0
    while time.monotonic() < deadline:
        used = sum(_cpu_seconds_of_tree(pid) for pid in network.pids)
        if before and used - before < _IDLE_CORES * _IDLE_S:
            return
        before = used
        time.sleep(_IDLE_S)


def _cpu_seconds_of_tree(pid: int) -> float:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        found = [int(child) for child in children.read_text().split()]
        return cpu_seconds(pid) + sum(_cpu_seconds_of_tree(child) for child in found)
    except OSError:
        # It has ended, or this kernel does not list children.
        return 0.0


def interpreter(checkout: Path) -> str:
    """Find the Python that runs a checkout.

    Args:
        checkout: The checkout's root folder.

    Returns:
        That of its own environment when it has one, else the one that runs this program.
    """
    own = checkout / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _watch_memory(network: RunningNetwork) -> None:
    while network.process.poll() is None:
        network.memory.append(sum(_memory_mb(pid) for pid in network.pids))
        time.sleep(_MEMORY_S)


def _memory_mb(pid: int) -> float:
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return 0.0
    return int(pages) * _PAGE / 1e6


def cpu_seconds(pid: int) -> float:
    """Read the processor time that a process has used, without its children.

    Args:
        pid: The process id.

    Returns:
        Seconds, in user and in system mode together.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _halves(memory: Sequence[float]) -> tuple[float, float]:
    """Give the memory after a sixth of the time, when caches are full, and at the end."""
    if not memory:
        return 0.0, 0.0
    return memory[len(memory) // 6], memory[-1]


def quantile(values: Sequence[float], share: float) -> float:
    """Give the value below which a share of all values lies.

    Args:
        values: The values, in any order.
        share: The share, from 0 to 1.

    Returns:
        The value; NaN without values.
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def median_of(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Take the median of each number over several runs.

    Args:
        runs: What `measure_checkout` returned.

    Returns:
        Numbers by name.
    """
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}
