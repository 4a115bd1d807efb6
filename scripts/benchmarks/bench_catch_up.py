"""Measure how fast a node that is behind fetches and checks the blocks of its peers.

A chain is built before, with blocks that are empty or hold `--transfers` transfers, all signed by
four validators. Real processes serve it, on this machine; another one that has no blocks fetches
it. Prints blocks and transfers a second, the processor time of both sides, and how many signatures
PyNaCl verifies on one core in the same run. `--live` lets a source go on making blocks, and prints
how many it made before and meanwhile. `--against PATH` measures another checkout of this project in
turns with this one, and prints the ratios.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from scripts.benchmarks.node_load.catch_up_measurement import (
    CatchUpPlan,
    measure_catch_up,
    measure_verification,
)
from scripts.benchmarks.node_load.load_report import compute_ratios, format_table
from scripts.benchmarks.node_load.measurement import ROOT, median_of


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--blocks", type=int, default=5_000, help="how long the chain is")
    parser.add_argument("--transfers", type=int, default=0, help="transfers in each block")
    parser.add_argument("--sources", type=int, default=1, choices=(1, 2, 3), help="serving nodes")
    parser.add_argument("--live", action="store_true", help="one source goes on making blocks")
    parser.add_argument("--turns", type=int, default=1, help="runs of each checkout; medians count")
    parser.add_argument(
        "--against", type=lambda path: Path(path).resolve(), help="another checkout to compare with"
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    arguments = _parse_arguments()
    plan = CatchUpPlan(arguments.blocks, arguments.transfers, arguments.sources, arguments.live)
    checkouts = [path for path in (arguments.against, ROOT) if path is not None]
    runs: dict[Path, list[dict[str, float]]] = {path: [] for path in checkouts}
    verifications = []
    for turn in range(arguments.turns):
        for path in checkouts if turn % 2 == 0 else reversed(checkouts):
            verifications.append(measure_verification())
            runs[path].append(measure_catch_up(path, plan))
    this = median_of(runs[ROOT])
    other = median_of(runs[arguments.against]) if arguments.against else {}
    this["verifications_per_cpu_second"] = max(verifications)
    if arguments.json:
        found: dict[str, Any] = dict(this)
        if other:
            found |= {"against": other, "ratios": compute_ratios(this, other)}
        print(json.dumps(found))
    else:
        print(format_table(this, other))


if __name__ == "__main__":
    main()
