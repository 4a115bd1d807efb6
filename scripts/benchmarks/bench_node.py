"""Measure the times that a user waits for: the demo, a node's start, settlement, a transfer.

Prints a table with each limit, and exits with 1 when one is missed. `--json` prints the numbers.

With `--validators N` it measures a network of N validators under load instead: final transfers a
second when as many are sent as become final, the seconds until one is final when 100 are sent a
second, `GetStatus` while the validators mine, and the processor time of each transfer on each node.
A process of its own sends transfers that were signed before; its share of a core is reported.
`--against PATH` measures another checkout of this project in turns with this one, and prints the
ratios; `--cometbft` runs CometBFT's example application with as many validators, transactions of
the same size and the same load on the same machine, and needs Go.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from fedcoin.application.devnet.child_processes import ChildProcesses
from fedcoin.application.devnet.home_folders import create_devnet
from fedcoin.application.devnet.observer import Observer
from fedcoin.application.devnet.plan import DevnetOptions, DevnetPlan
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.amounts import SAP_PER_FDC
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput
from scripts.benchmarks.node_load.cometbft import measure_cometbft
from scripts.benchmarks.node_load.load_report import compute_ratios, format_table
from scripts.benchmarks.node_load.measurement import (
    ROOT,
    Plan,
    measure_checkout,
    measure_latencies,
    median_of,
)

LIMITS = {
    "demo, seconds": 90.0,
    "node start, seconds (slowest of 4 at once)": None,
    "node start alone, seconds": 2.0,
    "node memory, MB (largest)": 150.0,
    "open to settled, seconds (slowest round)": 5.0,
    "transfer final, seconds (median)": 1.0,
}
"""The largest value of each number; None where there is no limit."""

TRANSFERS = 30
"""The number of transfers that are timed."""


def _measure_demo() -> dict[str, float]:
    """Run the devnet as `make demo` does."""
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "fedcoin.application.cli", "devnet", "--json"],
        check=True,
        stdout=subprocess.PIPE,
    )
    elapsed = time.monotonic() - started
    result: dict[str, Any] = json.loads(done.stdout)
    return {
        "demo, seconds": elapsed,
        "node start, seconds (slowest of 4 at once)": max(
            node["start_seconds"] for node in result["nodes"]
        ),
        "node memory, MB (largest)": max(node["rss_bytes"] for node in result["nodes"]) / 1e6,
        "open to settled, seconds (slowest round)": max(
            turn["settle_seconds"] for turn in result["rounds"]
        ),
    }


async def _measure_transfers(plan: DevnetPlan) -> list[float]:
    """Time transfers on an idle network, from signing to final."""
    async with Observer(plan, lambda line: None) as observer:
        await observer.wait_ready()
    took = []
    async with NodeClient(plan.miners[-1].api) as node:
        home = plan.coordinator.home
        wallet = Wallet(node, home.key(), home.genesis().identity)
        receiver = KeyPair.generate().address
        for _ in range(TRANSFERS):
            transfer = Transfer(outputs=[TransferOutput(recipient=receiver, amount=1)])
            started = time.monotonic()
            await wallet.execute(transfer)
            took.append(time.monotonic() - started)
    return took


def _measure_network() -> dict[str, float]:
    """Measure four idle nodes, and then the start of a single one."""
    options = DevnetOptions(4, 1, 1, "digits", SAP_PER_FDC, 1)
    with tempfile.TemporaryDirectory() as folder:
        plan = create_devnet(options, Path(folder))
        with ChildProcesses(Path(folder) / "logs") as processes:
            for miner in plan.miners:
                processes.start(miner.member.name, miner.member.program.arguments, lasting=True)
            took = asyncio.run(_measure_transfers(plan))
        with ChildProcesses(Path(folder) / "logs") as processes:
            started = time.monotonic()
            processes.start("alone", plan.miners[0].member.program.arguments, lasting=True)
            asyncio.run(_ready(plan.miners[0].api))
            alone = time.monotonic() - started
    return {
        "node start alone, seconds": alone,
        "transfer final, seconds (median)": statistics.median(took),
    }


async def _ready(api: str) -> None:
    """Wait until a node serves."""
    async with NodeClient(api) as node:
        await node.wait_until_serving(60)


def _measure_load(arguments: argparse.Namespace) -> None:
    """Measure this checkout under load, and beside it what was asked for."""
    plan = Plan(arguments.validators, arguments.seconds)
    measure = measure_latencies if arguments.latency else measure_checkout
    checkouts = [path for path in (arguments.against, ROOT) if path is not None]
    runs: dict[Path, list[dict[str, float]]] = {path: [] for path in checkouts}
    for turn in range(arguments.turns):
        for path in checkouts if turn % 2 == 0 else reversed(checkouts):
            runs[path].append(measure(path, plan))
    this = median_of(runs[ROOT])
    other = median_of(runs[arguments.against]) if arguments.against else {}
    found: dict[str, Any] = dict(this)
    if other:
        found |= {"against": other, "ratios": compute_ratios(this, other)}
    if arguments.cometbft:
        found["cometbft"] = measure_cometbft(plan)
    if arguments.json:
        print(json.dumps(_rounded(found)))
        return
    print(format_table(this, other))
    for name, value in found.get("cometbft", {}).items():
        print(f"cometbft {name:<25}{value:>10.3f}")


def _rounded(found: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else round(value, 4)
        for name, value in found.items()
    }


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    load = parser.add_argument_group("load")
    load.add_argument("--validators", type=int, help="measure so many validators under load")
    load.add_argument("--seconds", type=float, default=60.0, help="how long the load lasts")
    load.add_argument(
        "--against", type=lambda path: Path(path).resolve(), help="another checkout to compare with"
    )
    load.add_argument(
        "--latency", action="store_true", help="measure at 100 transfers a second alone"
    )
    load.add_argument("--turns", type=int, default=1, help="runs of each checkout; medians count")
    load.add_argument("--cometbft", action="store_true", help="run CometBFT beside it, with Go")
    return parser.parse_args()


def main() -> int:
    """Measure, print, and compare with the limits.

    Returns:
        The exit status: 1 when a limit is missed.
    """
    arguments = _parse_arguments()
    as_json = arguments.json
    if arguments.validators:
        _measure_load(arguments)
        return 0
    found = {**_measure_demo(), **_measure_network()}
    missed = [n for n, limit in LIMITS.items() if limit is not None and found[n] > limit]
    if as_json:
        print(json.dumps({name: round(value, 3) for name, value in found.items()}))
    else:
        for name, limit in LIMITS.items():
            bound = f"limit {limit:g}" if limit is not None else ""
            verdict = "MISSED" if name in missed else ""
            print(f"{name:<45}{found[name]:>9.2f}   {bound:<12}{verdict}".rstrip())
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
