"""Run the consensus simulator over many seeds, and list the seeds whose runs broke a rule.

    make seeds                                                       # 10,000 seeds
    python -m scripts.studies.consensus_seeds --first 500 --seeds 200 --processes 2

Each seed draws a bad network, one Byzantine validator of four, wrong clocks, validators that cannot
audit, transactions on which audits differ, a node that imports blocks, and one that starts late.
The command ends with status 1 if a run broke a rule: two final blocks at one height, a forged claim
in a final block, a node that refused a final block, a correct validator that was accused, or no
progress.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import get_context

from fedcoin.testing.consensus_simulation.scenario import draw_scenario
from fedcoin.testing.consensus_simulation.simulator import simulate

_CHUNK = 20
"""How many seeds a process gets at a time."""


@dataclass(frozen=True, slots=True)
class SeedResult:
    """What one run showed."""

    seed: int
    # The kind of the faulty validator.
    kind: str
    # The report as text if the run broke a rule, else empty.
    violation: str
    # Virtual time from the moment at which packets arrive to the last height.
    calm_ms: int


def run_seed(seed: int) -> SeedResult:
    """Simulate the scenario that a seed draws.

    Args:
        seed: The number from which everything that goes wrong is drawn.

    Returns:
        What the run showed.
    """
    scenario = draw_scenario(seed)
    report = simulate(scenario)
    kinds = ", ".join(kind for _, kind in scenario.faulty)
    calm_ms = max(0, report.elapsed_ms - scenario.calm_ms)
    return SeedResult(seed, kinds, str(report) if report.violations else "", calm_ms)


def summarise(results: Sequence[SeedResult], seconds: float) -> str:
    """Write what many runs showed.

    Args:
        results: The results, at least one.
        seconds: How long the runs took.

    Returns:
        Lines of text.
    """
    bad = [result for result in results if result.violation]
    kinds = Counter(result.kind for result in results)
    calm = sorted(result.calm_ms for result in results)
    lines = [result.violation for result in bad]
    lines.append(f"{len(results)} seeds, {len(bad)} broke a rule, {seconds:.0f} s")
    lines.append(
        "virtual seconds from a calm network to the last height: "
        f"median {calm[len(calm) // 2] / 1000:.1f}, at most {calm[-1] / 1000:.1f}"
    )
    lines += [f"  {count:6d} with {kind}" for kind, count in sorted(kinds.items())]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line's arguments; None takes those of the process.

    Returns:
        The exit status: 1 if a run broke a rule, else 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--seeds", type=int, default=10_000, help="how many (default: 10000)")
    parser.add_argument("--processes", type=int, default=1, help="how many at a time (default: 1)")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    with get_context("spawn").Pool(options.processes) as pool:
        seeds = range(options.first, options.first + options.seeds)
        results = pool.map(run_seed, seeds, chunksize=_CHUNK)
    print(summarise(results, time.monotonic() - began))
    return int(any(result.violation for result in results))


if __name__ == "__main__":
    sys.exit(main())
