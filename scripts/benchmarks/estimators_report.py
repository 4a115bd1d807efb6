"""Tables and plots of the runs of `bench_estimators.py`, for docs/BENCHMARKS.md."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from fedcoin.data.plurals import format_count
from scripts.benchmarks.estimator_games import FAMILIES, HELD_OUT
from scripts.benchmarks.estimator_methods import describe_versions
from scripts.tools.page_sections import PageSection

Rows = list[dict[str, Any]]
"""What is known of each run, by the name of the number."""

Cells = dict[tuple[str, int], dict[str, float]]
"""By game and budget, the median error of each method."""

DOCS = Path(__file__).resolve().parents[2] / "docs"
"""The folder of the pages."""

TABLES = PageSection("<!-- measured by bench_estimators.py -->", "<!-- end of measurement -->")
FLOOR = 1e-6
"""Smaller errors count as this one: several methods are exact there up to rounding."""
HEADINGS = {True: "held out", False: "in view of the developers"}
"""The tables' headings, by whether their families are in `HELD_OUT`."""


def _picked(rows: Rows, **wanted: Any) -> Rows:
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def _names(rows: Iterable[dict[str, Any]], key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))


def _spread(rows: Rows) -> str:
    """Median of the error, and quartiles where there are several runs."""
    if not rows:
        return "-"
    if len(rows) == 1:
        return f"{rows[0]['error']:.2g}"
    low, middle, high = np.quantile([row["error"] for row in rows], [0.25, 0.5, 0.75])
    return f"{middle:.2g} ({low:.2g}-{high:.2g})"


def _table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _medians(rows: Rows) -> Cells:
    """Take the medians over the seeds; a method that failed with a seed has none."""

    def place(row: dict[str, Any]) -> tuple[str, int, str]:
        return row["game"], row["budget"], row["method"]

    cells: Cells = {}
    for (game, budget, method), runs in groupby(sorted(rows, key=place), key=place):
        errors = [row.get("error", np.nan) for row in runs]
        if np.isfinite(errors).all():
            cells.setdefault((game, budget), {})[method] = max(float(np.median(errors)), FLOOR)
    return cells


def _best_other(medians: dict[str, float]) -> tuple[str, float]:
    others = {name: error for name, error in medians.items() if name != "auto"}
    name = min(others, key=others.__getitem__)
    return name, medians["auto"] / others[name]


def _ranks(rows: Rows) -> str:
    """How often `auto` is first, and how far ahead or behind, for each budget."""
    body = []
    for is_held_out, heading in HEADINGS.items():
        mine = [row for row in rows if (row["family"] in HELD_OUT) == is_held_out]
        cells = _medians(mine)
        for budget in sorted(_names(mine, "budget")):
            found = {
                game: _best_other(medians)
                for (game, of), medians in cells.items()
                if of == budget and "auto" in medians and len(medians) > 1
            }
            if not found:
                continue
            ratios = [ratio for _, ratio in found.values()]
            worst = max(found, key=lambda game: found[game][1])
            body.append(
                [
                    heading,
                    f"{budget:,}",
                    f"{sum(ratio <= 1 for ratio in ratios)} of {len(ratios)}",
                    str(sum(ratio > 1.1 for ratio in ratios)),
                    f"{np.exp(np.mean(np.log(ratios))):.2f}",
                    f"{found[worst][1]:.2f} on {worst} ({found[worst][0]})",
                ]
            )
    return _table(
        ["games", "evaluations", "`auto` first", "over 10 % behind", "mean ratio", "worst ratio"],
        body,
    )


def _against_auto(rows: Rows) -> str:
    """The geometric mean of each method's error over that of `auto`, over the held-out games."""
    mine = [row for row in rows if row["family"] in HELD_OUT]
    budgets, cells = sorted(_names(mine, "budget")), _medians(mine)
    body = []
    for method in _names(mine, "method"):
        line = [method]
        for budget in budgets:
            at = [one for (_, of), one in cells.items() if of == budget and "auto" in one]
            ratios = [one[method] / one["auto"] for one in at if method in one]
            if not ratios:
                line.append("-")
                continue
            low, high = np.quantile(ratios, [0.25, 0.75])
            missing = f", {len(ratios)} games" if len(ratios) < len(at) else ""
            mean = np.exp(np.mean(np.log(ratios)))
            line.append(f"{mean:.1f} ({low:.1f}-{high:.1f}{missing})")
        body.append(line)
    return _table(["method", *(f"{budget:,}" for budget in budgets)], body)


def _by_game(rows: Rows) -> str:
    """The error of `auto` and of the best other method, for each game."""
    budgets, cells = sorted(_names(rows, "budget")), _medians(rows)
    body = []
    for game in _names(rows, "game"):
        line = [game]
        for budget in budgets:
            medians = cells.get((game, budget), {})
            if "auto" not in medians or len(medians) < 2:
                line.append("")
                continue
            name, ratio = _best_other(medians)
            spread = _spread(_picked(rows, game=game, budget=budget, method="auto"))
            is_exact = medians["auto"] <= FLOOR
            line.append("exact" if is_exact else f"{spread}, {ratio:.2f} of {name}")
        body.append(line)
    return _table(["game", *(f"{budget:,}" for budget in budgets)], body)


def _coverage(rows: Rows) -> str:
    """The share of 95 % intervals of `auto` that hold, for each family and budget."""
    mine = [row for row in _picked(rows, method="auto") if row.get("held") is not None]
    budgets = sorted(_names(mine, "budget"))
    body = []
    for family, meaning in FAMILIES.items():
        line = [f"{meaning}{', held out' if family in HELD_OUT else ''}"]
        for budget in budgets:
            by_game = [
                np.mean([row["held"] for row in runs])
                for _, runs in groupby(
                    _picked(mine, family=family, budget=budget), key=lambda row: row["game"]
                )
            ]
            low = f" ({100 * min(by_game):.0f})" if by_game else ""
            line.append(f"{100 * np.mean(by_game):.0f}{low}" if by_game else "")
        if any(line[1:]):
            body.append(line)
    return _table(["family", *(f"{budget:,}" for budget in budgets)], body)


def _conduct(rows: Rows) -> str:
    """For each method: intervals, sums, budgets, failures, and the time of the arithmetic."""
    body = []
    for method in _names(rows, "method"):
        mine = _picked(rows, method=method)
        good = [row for row in mine if "failed" not in row]
        held = [row["held"] for row in good if row["held"] is not None]
        small, large = (
            [1e3 * row["seconds"] for row in good if row["budget"] == budget]
            for budget in (400, 10_000)
        )
        reasons = [row["failed"] for row in mine if "failed" in row]
        counts = ", ".join(f"{reasons.count(one)} {one}" for one in dict.fromkeys(reasons))
        used = [row["evaluations"] / row["budget"] for row in good]
        gaps = [row["gap"] for row in good]
        body.append(
            [
                method,
                f"{100 * np.mean(held):.0f} %" if held else "none",
                f"{np.median(gaps):.1g}, {max(gaps):.1g}" if good and max(gaps) > 1e-5 else "0",
                f"{np.median(used):.2f}, {max(used):.2f}" if good else "",
                f"{np.median(small):.0f}" if small else "",
                f"{np.median(large):.0f}" if large else "",
                counts or "none",
            ]
        )
    return _table(
        [
            "method", "coverage", "sum's error: median, largest",
            "part of the budget: median, most",
            "ms, 400", "ms, 10,000", "runs without values",
        ],
        body,
    )  # fmt: skip


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


def _order(row: dict[str, Any]) -> tuple[bool, bool, int]:
    """Order `auto` before FedCoin's other methods and other libraries', and games by family."""
    is_other = row["method"].startswith(("pyDVL", "shapiq"))
    return row["method"] != "auto", is_other, list(FAMILIES).index(row["family"])


def _introduction(rows: Rows) -> str:
    seeds = {
        name: len(_names(_picked(rows, method=name), "seed"))
        for name in ("auto", "shapiq KernelSHAP")
    }
    games = len(_names(rows, "game"))
    held_out = ", ".join(FAMILIES[family] for family in HELD_OUT)
    return (
        f"Python {platform.python_version()}, {', '.join(describe_versions())}. {games} games; "
        f"at most {format_count(seeds['auto'], 'seed')} of FedCoin's methods and "
        f"{format_count(seeds['shapiq KernelSHAP'], 'seed')} of "
        "the others, from 0 on. Errors are medians over the seeds, and those below "
        f"{FLOOR:g} count as {FLOOR:g}. Held out of tuning: {held_out}.\n"
    )


def tables(rows: Rows) -> str:
    """Write the tables of all runs.

    Args:
        rows: One dictionary for each run: game, family, method, budget, seed, and either error,
            gap, held, evaluations and seconds, or failed.

    Returns:
        Markdown.
    """
    crowd = _picked(rows, game="crowd")
    exact = sorted((row for row in rows if row["family"] in FAMILIES), key=_order)
    parts = []
    if _picked(exact, method="auto"):
        parts += [
            _introduction(exact),
            "Error of `auto` divided by that of the best other method, FedCoin's own included:\n",
            _ranks(exact),
            "Error divided by that of `auto`, geometric mean (quartiles) over the held-out "
            "games:\n",
            _against_auto(exact),
            "Coverage of the 95 % intervals of `auto` in percent, mean over the games of a family "
            "(lowest game):\n",
            _coverage(exact),
            "All methods over all games and budgets. The sum's error is the difference between "
            "the sum of the values and the worth of all players, divided by the values' norm:\n",
            _conduct(exact),
            "Error of `auto`, median (quartiles) over the seeds, and the median divided by that of "
            "the best other method:\n",
            _by_game(exact),
        ]
    if crowd:
        seeds, reference = len(_names(crowd, "seed")), crowd[0]["reference"]
        parts += [
            f"100 trained clients of unequal quality, seeds 0 to {seeds - 1}: error; coverage of "
            f"the 95 % intervals. The error of the reference values is {reference:.2g}.\n",
            _crowd(crowd),
        ]
    return "\n".join(parts)


def write(rows: Rows, text: str) -> None:
    """Write the tables between the marks of docs/BENCHMARKS.md, and the plots to docs/benchmarks.

    Args:
        rows: One dictionary for each run, as `tables` takes them.
        text: The tables in Markdown, from `tables`.
    """
    page = DOCS / "BENCHMARKS.md"
    page.write_text(TABLES.replace_in(page.read_text(encoding="utf-8"), text), encoding="utf-8")
    _plots([row for row in rows if row["family"] in HELD_OUT and "failed" not in row])


def _plots(rows: Rows) -> None:
    """Plot medians and quartiles of the errors, readable on light and dark backgrounds."""
    import matplotlib
    from matplotlib.figure import Figure

    grey = "#808890"
    matplotlib.rcParams |= {
        "svg.fonttype": "none", "svg.hashsalt": "estimators", "font.size": 11, "text.color": grey,
        "axes.edgecolor": grey, "axes.labelcolor": grey, "xtick.color": grey, "ytick.color": grey,
    }  # fmt: skip
    colours = [*matplotlib.colormaps["tab20"](range(20)), *matplotlib.colormaps["Dark2"](range(8))]
    (DOCS / "benchmarks").mkdir(exist_ok=True)
    for across, label in (("evaluations", "evaluations"), ("seconds", "seconds of arithmetic")):
        figure = Figure(figsize=(9, 5.5), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.add_subplot()
        axes.patch.set_alpha(0)
        for number, method in enumerate(_names(rows, "method")):
            mine = _picked(rows, method=method)
            found = [_picked(mine, budget=budget) for budget in sorted(_names(mine, "budget"))]
            x = [np.median([row[across] for row in each]) for each in found]
            low, middle, high = np.array(
                [np.quantile([row["error"] for row in each], [0.25, 0.5, 0.75]) for each in found]
            ).T
            wide = 3 if method == "auto" else 1.4
            axes.loglog(x, middle, "o-", color=colours[number], linewidth=wide, label=method)
            axes.fill_between(x, low, high, color=colours[number], alpha=0.12, linewidth=0)
        axes.set_xlabel(label)
        axes.set_ylabel("normalised L2 error, held-out games")
        axes.grid(color=grey, alpha=0.25)
        figure.legend(loc="outside right upper", frameon=False, fontsize="small")
        path = DOCS / f"benchmarks/error-{across}.svg"
        figure.savefig(path, metadata={"Date": None}, transparent=True)
