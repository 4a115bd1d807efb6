"""Run a network for long under a steady load with subscribers, and watch the nodes' memory.

Prints the memory of a node at each minute, by how much it grew after the first ten minutes (or the
first half of a shorter run), the latencies of the transfers, and what the subscribers got. Exits
with 1 when the memory grew by 10 % or more, a transfer was refused, or a subscriber missed a block.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from scripts.benchmarks.node_load.measurement import (
    ROOT,
    RunningNetwork,
    load_network,
    quantile,
    run_network,
    wait_until_idle,
)

_SENDERS = 100
_MAX_GROWTH = 0.1
_SETTLING_S = 600


@contextmanager
def _subscribed(network: RunningNetwork, subscribers: int) -> Iterator[dict[str, int]]:
    """Have subscribers while the body runs; the counts are there when it has ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scripts.benchmarks.node_load.subscribers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps({"apis": network.apis, "subscribers": subscribers}) + "\n")
    process.stdin.flush()
    counts: dict[str, int] = {}
    try:
        yield counts
    finally:
        process.stdin.close()
        counts.update(json.loads(process.stdout.readline()))
        process.wait()


def measure_soak(
    validators: int, subscribers: int, rate: float, minutes: float
) -> dict[str, float | list[float]]:
    """Run a network under load.

    Args:
        validators: How many nodes there are.
        subscribers: How many streams of events are open, spread over the nodes.
        rate: Transfers a second.
        minutes: How long the load lasts.

    Returns:
        Numbers by name; `memory_mb` lists the memory of a node, one number for each minute.
    """
    seconds = 60 * minutes
    each = round(seconds * rate / _SENDERS) + 1
    with run_network(ROOT, validators, {"paced": (_SENDERS, each)}) as network:
        wait_until_idle(network)
        with _subscribed(network, subscribers) as counts:
            began = len(network.memory)
            load = load_network(network, "paced", _SENDERS, seconds, rate=rate)
            memory = [total / validators for total in network.memory[began:]]
    return summarise(memory, load, counts)


def summarise(
    memory: Sequence[float], load: dict[str, Any], counts: dict[str, int]
) -> dict[str, float | list[float]]:
    """Compute what is printed.

    Args:
        memory: A node's megabytes, one number a second.
        load: What the load process counted.
        counts: What the subscribers counted.

    Returns:
        Numbers by name. `retried` counts calls that a busy node or a deadline ended, and that were
        made again; `refused` counts transfers that a node did not take.
    """
    early, late = memory[min(_SETTLING_S, len(memory) // 2)], memory[-1]
    return {
        "final_per_second": load["final"] / load["seconds"],
        "finality_p50_seconds": quantile(load["finality"], 0.50),
        "finality_p99_seconds": quantile(load["finality"], 0.99),
        "refused": float(sum(load["refusals"].values())),
        "retried": float(sum(load["retries"].values())),
        "events": float(counts["events"]),
        "gaps": float(counts["gaps"] + counts["lost"]),
        "memory_growth": late / early - 1,
        "memory_mb": [memory[0], *memory[59::60]],
    }


def main() -> int:
    """Measure and print.

    Returns:
        The exit status: 1 when memory, transfers or events are not as they should be.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--validators", type=int, default=4)
    parser.add_argument("--subscribers", type=int, default=50)
    parser.add_argument("--rate", type=float, default=100.0, help="transfers a second")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    asked = parser.parse_args()
    found = measure_soak(asked.validators, asked.subscribers, asked.rate, asked.minutes)
    if asked.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            numbers = value if isinstance(value, list) else [value]
            print(f"{name:<24}" + " ".join(f"{number:.3f}" for number in numbers))
    grew = found["memory_growth"]
    assert isinstance(grew, float)
    return int(grew >= _MAX_GROWTH or bool(found["refused"]) or bool(found["gaps"]))


if __name__ == "__main__":
    sys.exit(main())
