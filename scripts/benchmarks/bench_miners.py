"""Count what a network of miners does for each block, against the number of miners.

For each number of miners a devnet settles some rounds of training by five clients, with every node
counting its messages, bytes, signatures and decodes. A table shows what one node does for each
block; the last column is the power of the number of miners with which a row grows (a fit of
logarithms): 0 is constant, 1 in proportion. With `--against PATH` devnets of another checkout of
this project run in turns with this one's, uncounted, and their times to settle are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from fedcoin.application.devnet.child_processes import ChildProcesses
from fedcoin.application.devnet.devnet_runner import start_program, start_training
from fedcoin.application.devnet.home_folders import create_devnet
from fedcoin.application.devnet.observer import Observer
from fedcoin.application.devnet.plan import DevnetOptions, DevnetPlan, Program
from fedcoin.data.messages.amounts import SAP_PER_FDC
from scripts.benchmarks.node_load.measurement import ROOT, interpreter

COUNTED_NODE: Final = "scripts.benchmarks.node_load.counted_node"
"""The module that runs a node and counts."""

CLIENTS: Final = 5
_FINISH_S: Final = 2.0

Counts = Mapping[str, float]
"""What one node did, by name."""


def _counting(program: Program, path: Path) -> Program:
    return replace(program, module=COUNTED_NODE, arguments=(str(path), *program.arguments))


async def _run(plan: DevnetPlan, files: Sequence[Path]) -> tuple[list[Counts], float]:
    """Run a devnet whose nodes count; give the nodes' counts since training, and its seconds."""
    with ChildProcesses(plan.root / "logs") as processes:
        async with Observer(plan, lambda line: None) as observer:
            for miner, path in zip(plan.miners, files, strict=True):
                start_program(_counting(miner.member.program, path), processes, lasting=True)
            await observer.wait_ready()
            await asyncio.sleep(_FINISH_S)
            before = [json.loads(path.read_text()) for path in files]
            start_training(plan, processes)
            tasks = await observer.follow_tasks()
            await asyncio.sleep(_FINISH_S)
            after = [json.loads(path.read_text()) for path in files]
            result = await observer.collect(tasks, 0.0)
    counted: list[Counts] = [
        {name: value - old.get(name, 0) for name, value in new.items()}
        for old, new in zip(before, after, strict=True)
    ]
    return counted, statistics.median(turn.settle_seconds for turn in result.rounds)


def count_work(miners: int, rounds: int) -> dict[str, float]:
    """Run a devnet and count.

    Args:
        miners: The number of miners.
        rounds: The number of rounds of training.

    Returns:
        What one node did on average: for each block, by name; blocks for each task; seconds to
        settle, which counting makes longer.
    """
    options = DevnetOptions(miners, CLIENTS, rounds, "digits", 100 * SAP_PER_FDC, 1)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        plan = create_devnet(options, root)
        files = [root / f"counts-{number}.json" for number in range(miners)]
        counted, seconds = asyncio.run(_run(plan, files))
    names = sorted({name for counts in counted for name in counts} - {"blocks"})
    blocks = statistics.fmean(counts["blocks"] for counts in counted)
    means = {name: statistics.fmean(counts.get(name, 0) for counts in counted) for name in names}
    found = {f"{name}, each block": mean / blocks for name, mean in means.items()}
    return found | {"blocks, each task": blocks / rounds, "seconds to settle, counting": seconds}


def fit_power(sizes: Sequence[int], values: Sequence[float]) -> float:
    """Fit the power with which values grow.

    Args:
        sizes: Numbers of miners, two different ones at least.
        values: One value for each of them.

    Returns:
        The slope of the values' logarithms over the sizes' ones (least squares); NaN when a value
        is not above 0.
    """
    if min(values) <= 0:
        return math.nan
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    return statistics.linear_regression(x, y).slope if len(set(sizes)) > 1 else math.nan


def measure_settlement(checkout: Path, miners: int, rounds: int) -> float:
    """Measure how long a checkout's devnet takes to settle a round.

    Args:
        checkout: The root folder of this checkout, or of another one.
        miners: The number of miners.
        rounds: The number of rounds.

    Returns:
        The median over the rounds, in seconds.
    """
    command = [interpreter(checkout), "-m", "fedcoin.application.cli", "devnet", "--json"]
    options = ("--clients", CLIENTS, "--miners", miners, "--rounds", rounds)
    done = subprocess.run(
        [*command, *map(str, options)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )
    turns: list[dict[str, float]] = json.loads(done.stdout)["rounds"]
    return statistics.median(turn["settle_seconds"] for turn in turns)


def _compare(other: Path, sizes: Sequence[int], rounds: int) -> list[dict[str, float]]:
    rows = []
    for miners in sizes:
        theirs, ours = (measure_settlement(path, miners, rounds) for path in (other, ROOT))
        rows.append({"miners": miners, "now": ours, "other": theirs, "ratio": ours / theirs})
        print(f"{miners} miners: {ours:.2f} s, other {theirs:.2f} s", file=sys.stderr)
    return rows


def _print_counts(sizes: Sequence[int], found: Sequence[Mapping[str, float]]) -> None:
    print("| one node | " + " | ".join(f"{size} miners" for size in sizes) + " | power |")
    print("| --- |" + " ---: |" * (len(sizes) + 1))
    for name in sorted({name for counts in found for name in counts}):
        values = [counts.get(name, 0.0) for counts in found]
        power = fit_power(sizes, values)
        cells = [f"{value:,.2f}" if value < 10 else f"{value:,.0f}" for value in values]
        print(f"| {name} | " + " | ".join(cells) + f" | {power:.1f} |")


def main() -> int:
    """Count and compare, and print tables.

    Returns:
        The exit status, 0.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--miners", default="4,8,16", help="numbers of miners, with commas")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of training")
    parser.add_argument(
        "--against", type=lambda path: Path(path).resolve(), help="another checkout to compare with"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    parser.add_argument("--no-counts", action="store_true", help="compare times only")
    arguments = parser.parse_args()
    sizes = [int(size) for size in arguments.miners.split(",")]
    rounds = arguments.rounds
    times = _compare(arguments.against, sizes, rounds) if arguments.against else []
    found = [] if arguments.no_counts else [count_work(size, rounds) for size in sizes]
    if arguments.json:
        counts = dict(zip(map(str, sizes), found, strict=False))
        print(json.dumps({"counts": counts, "settle_seconds": times}))
        return 0
    if found:
        _print_counts(sizes, found)
    for row in times:
        print("{miners} miners: {now:.2f} s, other {other:.2f} s: {ratio:.2f}".format(**row))
    return 0


if __name__ == "__main__":
    sys.exit(main())
