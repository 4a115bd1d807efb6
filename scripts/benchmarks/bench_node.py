"""Measure the times that a user waits for: the demo, a node's start, settlement, a transfer.

Prints a table with each limit, and exits with 1 when one is missed. `--json` prints the numbers.
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

LIMITS = {
    "demo, seconds": 90.0,
    "node start, seconds (slowest of 4 at once)": None,
    "node start alone, seconds": 2.0,
    "node memory, MB (largest)": 150.0,
    "open to settled, seconds (slowest round)": 5.0,
    "transfer final, seconds (median)": 1.0,
}
TRANSFERS = 30


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


def main() -> int:
    """Measure, print, and compare with the limits.

    Returns:
        The exit status: 1 when a limit is missed.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    as_json = parser.parse_args().json
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
