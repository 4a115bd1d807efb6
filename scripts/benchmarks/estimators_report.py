"""Tables and plots of the runs of `bench_estimators.py`, for docs/BENCHMARKS.md."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np

Rows = list[dict[str, Any]]

DOCS = Path(__file__).resolve().parents[2] / "docs"
BEGIN, END = "<!-- measured by bench_estimators.py -->", "<!-- end of measurement -->"
FLOOR = 1e-9
"""Errors below it are rounding."""

KINDS: dict[str, Callable[[str], bool]] = {
    "Trained clients, first round": lambda game: game.endswith("-1"),
    "Trained clients, third round": lambda game: game.endswith("-3"),
    "Games of known structure": lambda game: "mnist" not in game and game != "crowd",
}


def _picked(rows: Rows, **wanted: Any) -> Rows:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _names(rows: Rows, key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))


def _spread(rows: Rows) -> str:
    """Median (and quartiles) of the error."""
    if not rows:
        return "-"
    low, middle, high = np.quantile([row["error"] for row in rows], [0.25, 0.5, 0.75])
    return "0" if high < FLOOR else f"{middle:.2g} ({low:.2g}-{high:.2g})"


def _table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _by_method(rows: Rows) -> str:
    """A row for each method, a column for each game."""
    games = _names(rows, "game")
    return _table(
        ["method", *(game.removeprefix("mnist-") for game in games)],
        [
            [method, *(_spread(_picked(rows, method=method, game=game)) for game in games)]
            for method in _names(rows, "method")
        ],
    )


def _against_the_best(rows: Rows) -> str:
    """The error of `auto` and of the best other method, for each game."""
    body = []
    budgets = _names(rows, "budget")
    for game in _names(rows, "game"):
        cells = [game.removeprefix("mnist-")]
        for budget in budgets:
            here = _picked(rows, game=game, budget=budget)
            medians = {
                method: float(np.median([row["error"] for row in _picked(here, method=method)]))
                for method in _names(here, "method")
            }
            mine = medians.pop("auto")
            name = min(medians, key=medians.__getitem__)
            if mine < FLOOR:
                cells.append("exact")
            else:
                cells.append(f"{mine:.2g} / {medians[name]:.2g} {name}: {mine / medians[name]:.2f}")
        body.append(cells)
    return _table(["game", *(f"{budget} evaluations" for budget in budgets)], body)


def _intervals(rows: Rows) -> str:
    """The share of intervals that hold, and the time of the arithmetic."""
    budgets = _names(rows, "budget")
    body = []
    for method in _names(rows, "method"):
        cells = [method]
        for budget in budgets:
            mine = _picked(rows, method=method, budget=budget)
            held = [row["held"] for row in mine if row["held"] is not None]
            cells.append(f"{100 * np.mean(held):.1f} %" if held else "-")
        for budget in budgets:
            mine = _picked(rows, method=method, budget=budget)
            cells.append(
                f"{1e3 * np.median([row['seconds'] for row in mine]):.1f}" if mine else "-"
            )
        body.append(cells)
    held_at = [f"coverage, {budget}" for budget in budgets]
    return _table(["method", *held_at, *(f"ms, {budget}" for budget in budgets)], body)


def _crowd(rows: Rows) -> str:
    budgets, methods = sorted(_names(rows, "budget")), _names(rows, "method")
    body = []
    for budget in budgets:
        cells = [f"{budget:,}"]
        for method in methods:
            mine = _picked(rows, budget=budget, method=method)
            held = 100 * np.mean([row["held"] for row in mine])
            cells.append(f"{_spread(mine)}; {held:.0f} %")
        body.append(cells)
    return _table(["evaluations", *methods], body)


def _versions() -> str:
    packages = [name for name in ("numpy", "pyDVL", "shapiq") if util.find_spec(name.lower())]
    told = [f"{name} {metadata.version(name)}" for name in packages]
    return ", ".join([f"Python {platform.python_version()}", *told])


def tables(rows: Rows) -> str:
    """Write the tables of all runs.

    Args:
        rows: One dictionary for each run: game, method, budget, seed, error, held, seconds.

    Returns:
        Markdown.
    """
    small, large = [row for row in rows if row["game"] != "crowd"], _picked(rows, game="crowd")
    parts = []
    if small:
        seeds = len(_names(small, "seed"))
        parts.append(
            f"{_versions()}; seeds 0 to {seeds - 1}; errors are medians (quartiles) over the "
            "seeds; times are of one thread, without the evaluation of the utility.\n"
        )
        for kind, belongs in KINDS.items():
            mine = [row for row in small if belongs(row["game"]) and row["budget"] == 200]
            if mine:
                parts += [f"{kind}, 200 of the 1,022 coalitions:\n", _by_method(mine)]
        parts += [
            "Median error of `auto` / median error of the best other method: their ratio\n",
            _against_the_best(small),
            "Coverage of the 95 % intervals over all games, and time of the arithmetic in ms:\n",
            _intervals(small),
        ]
    if large:
        seeds, reference = len(_names(large, "seed")), large[0]["reference"]
        parts += [
            f"100 trained clients of unequal quality, seeds 0 to {seeds - 1}: error; coverage of "
            f"the 95 % intervals. The error of the reference values is {reference:.2g}.\n",
            _crowd(large),
        ]
    return "\n".join(parts)


def write(rows: Rows, text: str) -> None:
    """Write the tables between the marks of docs/BENCHMARKS.md, and the plots to docs/benchmarks.

    Args:
        rows: The runs.
        text: The tables.
    """
    page = DOCS / "BENCHMARKS.md"
    before, rest = page.read_text().split(BEGIN)
    after = rest.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
    _plots([row for row in rows if KINDS["Trained clients, first round"](row["game"])])


def _plots(rows: Rows) -> None:
    """Plot medians and quartiles of the errors, readable on light and dark backgrounds."""
    import matplotlib
    from matplotlib.figure import Figure

    grey = "#808890"
    matplotlib.rcParams |= {
        "svg.fonttype": "none", "svg.hashsalt": "estimators", "font.size": 11, "text.color": grey,
        "axes.edgecolor": grey, "axes.labelcolor": grey, "xtick.color": grey, "ytick.color": grey,
    }  # fmt: skip
    colours = matplotlib.colormaps["tab20"](range(20))
    (DOCS / "benchmarks").mkdir(exist_ok=True)
    for across, label in (("evaluations", "evaluations"), ("seconds", "seconds of arithmetic")):
        figure = Figure(figsize=(9, 5), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        for number, method in enumerate(_names(rows, "method")):
            mine = _picked(rows, method=method)
            found = [_picked(mine, budget=budget) for budget in _names(mine, "budget")]
            x = [np.median([row[across] for row in each]) for each in found]
            low, middle, high = np.array(
                [np.quantile([row["error"] for row in each], [0.25, 0.5, 0.75]) for each in found]
            ).T
            wide = 3 if method == "auto" else 1.4
            axes.loglog(x, middle, "o-", color=colours[number], linewidth=wide, label=method)
            axes.fill_between(x, low, high, color=colours[number], alpha=0.12, linewidth=0)
        axes.set_xlabel(label)
        axes.set_ylabel("normalised L2 error")
        axes.grid(color=grey, alpha=0.25)
        figure.legend(loc="outside right upper", frameon=False, fontsize="small")
        path = DOCS / f"benchmarks/error-{across}.svg"
        figure.savefig(path, metadata={"Date": None}, transparent=True)
