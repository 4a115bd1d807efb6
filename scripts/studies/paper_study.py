"""Run the FedCoin paper's experiment through this network, and draw its figures 4 to 6.

    make paper FEDCOIN_MNIST=mnist.npz                # everything; writes docs/BENCHMARKS.md
    python -m scripts.studies.paper_study --quick     # 10 clients on the digits; writes nothing

A network that has ended is kept in `--folder`, and not run again. All seeds are fixed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fedcoin.learning.training.datasets import MNIST_VARIABLE
from scripts.studies.paper.document import Findings, render_tables, write
from scripts.studies.paper.measurements import (
    measure_iterations,
    measure_payments,
    measure_types,
)
from scripts.studies.paper.networks import (
    QUICK,
    WHOLE,
    paper_options,
    paper_partition,
    prototype_options,
    run_network,
)

ROOT = Path(__file__).resolve().parents[2]


def _parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").splitlines()[0], prog="python -m scripts.studies.paper_study"
    )
    parser.add_argument("--quick", action="store_true", help="10 clients on the digits")
    parser.add_argument("--seed", type=int, default=1, help="default: 1")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "build/paper", help="default: build/paper"
    )
    parser.add_argument("--write", action="store_true", help="replace tables and figures")
    parser.add_argument(
        "--document",
        type=Path,
        default=ROOT / "docs/BENCHMARKS.md",
        metavar="FILE",
        help="default: docs/BENCHMARKS.md",
    )
    return parser.parse_args(arguments)


def study(quick: bool, seed: int, folder: Path) -> Findings:
    """Run both networks, and measure.

    Args:
        quick: Whether to run the small experiment.
        seed: Seeds keys, data and initial weights.
        folder: Where the networks' folders are.

    Returns:
        What the document's tables and figures show.
    """
    scale = QUICK if quick else WHOLE
    name = "quick" if quick else scale.dataset
    partition = paper_partition(scale)
    network = run_network(paper_options(scale, seed), folder / f"{name}-{seed}")
    prototype = run_network(prototype_options(seed), folder / f"prototype-{seed}")
    variance, races = measure_iterations(network, partition, scale.max_iterations)
    race_iterations, payments = measure_payments(prototype)
    return Findings(
        scale,
        seed,
        aggregate_accuracy=network.round["utility"],
        evaluations=network.round["evaluations"],
        seconds=network.result["elapsed_seconds"],
        types=tuple(measure_types(network, partition)),
        variance=variance,
        races=tuple(races),
        race_iterations=race_iterations,
        payments=tuple(payments),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the study, and print or write its tables.

    Args:
        arguments: The command line without the program's name; None takes that of the process.
    """
    options = _parse_arguments(arguments)
    if not options.quick and not os.environ.get(MNIST_VARIABLE):
        sys.exit(f"set {MNIST_VARIABLE} to the path of an mnist.npz, or give --quick")
    findings = study(options.quick, options.seed, options.folder)
    print(render_tables(findings))
    if options.write:
        write(findings, options.document)


if __name__ == "__main__":
    main()
