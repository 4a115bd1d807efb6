"""Simulate networks of up to 200 nodes on five continents, and say what their blocks cost.

    python -m scripts.studies.consensus_scale [--write] [--only NAME...]

Voting, ledgers, mempools and gossip are the product's own; time and the network are simulated
(`fedcoin/testing/scale_simulation`). Each network's result is kept in `build/scale`, and not
simulated again. `--write` writes the table and the plots of docs/BENCHMARKS.md. Networks with
hundreds of thousands of messages take minutes on one core; `--only` simulates some of them.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from fedcoin.testing.scale_simulation.scale_run import (
    ScaleResult,
    ScaleSetting,
    simulate_scale,
)
from scripts.studies.paper.figures import Series, draw_lines
from scripts.tools.page_sections import PageSection

TABLE = PageSection("<!-- measured by consensus_scale.py -->", "<!-- end of the simulation -->")

DOCS = Path("docs")
KEPT = Path("build/scale")

SETTINGS: Mapping[str, ScaleSetting] = {
    "4": ScaleSetting(4, 4, 20),
    "16": ScaleSetting(16, 16, 8),
    "64": ScaleSetting(64, 64, 3),
    # One block, from the first message on: a network of this kind sends 700,000 for it.
    "200": ScaleSetting(200, 100, 1, skipped_blocks=0),
    "16-all": ScaleSetting(16, 16, 8, is_mesh=True),
    "64-all": ScaleSetting(64, 64, 3, is_mesh=True),
    "100-all": ScaleSetting(100, 100, 2, is_mesh=True),
}
"""The networks by name; those with `-all` are connected each to each."""


def load_or_simulate(name: str) -> ScaleResult:
    """Read a network's result, or simulate it and keep the result.

    Args:
        name: A key of `SETTINGS`.

    Returns:
        The result.

    Raises:
        RuntimeError: A node failed, or no block was made in time.
    """
    path = KEPT / f"{name}.json"
    setting = SETTINGS[name]
    if path.exists():
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["setting"] == asdict(setting):
            return ScaleResult(**kept | {"setting": setting})
    result = simulate_scale(setting)
    KEPT.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    return result


COLUMNS: Mapping[str, Callable[[ScaleResult], float]] = {
    "nodes": lambda result: result.setting.nodes,
    "validators": lambda result: result.setting.validators,
    "peers of a node": lambda result: result.peers,
    "p50, s": lambda result: result.finality_p50,
    "p99, s": lambda result: result.finality_p99,
    "rounds": lambda result: result.rounds,
    "votes": lambda result: result.votes,
    "proposals": lambda result: result.proposals,
    "hints": lambda result: result.hints,
    "heights": lambda result: result.statuses,
    "calls": lambda result: result.calls,
    "kB": lambda result: result.kilobytes,
    "transfers": lambda result: result.transfers,
    "blocks": lambda result: result.blocks,
}
"""The columns of the table, by their titles."""

FIGURES: Mapping[str, tuple[str, Callable[[ScaleResult], float]]] = {
    "scale-messages": ("votes that a node sends for a block", COLUMNS["votes"]),
    "scale-bytes": ("kB that a node sends for a block", COLUMNS["kB"]),
    "scale-finality": ("seconds until a transfer is final, median", COLUMNS["p50, s"]),
}
"""The title of each plot's vertical axis, and what it shows, by the plot's name."""


def render_table(results: Sequence[ScaleResult]) -> str:
    """Write the results as a table.

    Args:
        results: The results, one for each line.

    Returns:
        A table in Markdown.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{' ---: |' * len(COLUMNS)}"]
    for result in results:
        cells = (_format(read(result)) for read in COLUMNS.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _format(number: float) -> str:
    if math.isnan(number):
        return ""
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.2g}"


def draw_plots(results: Mapping[str, ScaleResult]) -> dict[str, str]:
    """Draw messages, bytes and time to finality against the number of nodes.

    Args:
        results: The results by the names of `SETTINGS`.

    Returns:
        SVG documents by their names.
    """
    kinds = {
        "8 peers are dialled": [one for one in results.values() if not one.setting.is_mesh],
        "each to each": [one for name, one in results.items() if name.endswith("-all")],
    }
    return {
        figure: draw_lines(
            title,
            "nodes",
            [
                Series(kind, tuple((one.setting.nodes, read(one)) for one in some))
                for kind, some in kinds.items()
                if some
            ],
        )
        for figure, (title, read) in FIGURES.items()
    }


def write(results: Mapping[str, ScaleResult], document: Path) -> None:
    """Replace the table between the marks of a page, and the plots beside it.

    Args:
        results: The results by the names of `SETTINGS`.
        document: The page; plots go to its folder's `benchmarks`.
    """
    table = render_table(list(results.values()))
    page = TABLE.replace_in(document.read_text(encoding="utf-8"), table)
    document.write_text(page, encoding="utf-8")
    for name, drawn in draw_plots(results).items():
        (document.parent / "benchmarks" / f"{name}.svg").write_text(drawn, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: The command line's arguments; None takes those of the process.

    Returns:
        The exit status, 0.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write docs/BENCHMARKS.md")
    parser.add_argument("--only", nargs="+", choices=SETTINGS, help="simulate these networks alone")
    options = parser.parse_args(arguments)
    results = {name: load_or_simulate(name) for name in options.only or SETTINGS}
    print(render_table(list(results.values())))
    if options.write:
        write(results, DOCS / "BENCHMARKS.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
