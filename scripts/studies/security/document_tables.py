"""The tables of docs/THREATS.md, from the study's numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from fedcoin.testing.measurements import difficulty
from scripts.studies.security import participant_tables
from scripts.studies.security.markdown_table import Found, table


def wins(found: Found) -> str:
    """Paper against ours."""
    rows = []
    kinds = [name.removeprefix("ours ") for name in found if name.startswith("ours ")]
    for kind in kinds:
        ours = found[f"ours {kind}"]
        rows.append(
            [
                f"`{kind}`" if kind != "honest" else "honest, for comparison",
                *_paper(found.get(f"paper {kind}")),
                f"{ours['wins']} of {ours['blocks']}",
                f"{ours['taken']:,.0f}",
                f"{ours['lost']:,.0f}",
                f"{ours['evaluations'] / max(1, ours['honest_evaluations']):.0%}",
            ]
        )
    loose = found.get("paper invented-vector, D 1.5")
    if loose:
        rows.append(["`invented-vector`, D = 1.5", *_paper(loose), "", "", "", ""])
    head = [
        "one of five miners",
        "paper: wins",
        "paper: SapPrice taken",
        "paper: TrainPrice shifted",
        "wins",
        "taken",
        "deposits lost",
        "effort",
    ]
    return table(head, rows)


def _paper(row: Any) -> list[str]:
    if row is None:
        return ["", "", ""]
    if not row["blocks"]:
        return ["nobody wins any more", "0", "0"]
    return [f"{row['wins']} of {row['blocks']}", f"{row['taken']:,.0f}", f"{row['shifted']:+,.0f}"]


def exact(found: Found) -> str:
    """The same under EXACT."""
    rows = [
        [
            f"`{name.removeprefix('exact ')}`",
            f"{row['wins']} of {row['blocks']}",
            f"{row['lost']:,.0f}",
            row["refusals"],
        ]
        for name, row in found.items()
        if name.startswith("exact ")
    ]
    return table(["one of five miners, `EXACT`", "wins", "deposits lost", "refused with"], rows)


def caught(found: Found) -> str:
    """The curve."""
    rows = [
        [
            f"{point['fraction']:.0%}",
            point["trials"],
            f"{point['caught'] / point['trials']:.1%}",
            f"{point['formula']:.1%}",
            f"{point['without_return']:.1%}",
        ]
        for name, points in found.items()
        if name.startswith("caught ")
        for point in points
    ]
    head = ["forged", "trials", "caught", "1 - (1 - f)^44", "drawn without return"]
    return table(head, rows)


def bias(found: Found) -> str:
    """What goes unseen."""
    rows = [
        [
            row["how"],
            f"{row['unseen']} of {row['trials']}",
            f"{row['moved']:.4f}",
            f"{row['bound']:.4f}",
        ]
        for name, row in found.items()
        if name.startswith("bias ") and name != "bias stopped"
    ]
    return table(["how", "not caught", "favourite's value moved by", "at most"], rows)


def stopped(found: Found) -> str:
    """Optional stopping."""
    rows = [
        [
            f"{row['least']} of {row['others']}",
            f"{row['mean'] * row['error']:.4f}",
            f"{row['mean']:.1f}",
            f"{row['expected']:.1f}",
            f"{row['largest']:.1f}",
            f"{row['settled'] * row['error']:.4f}",
        ]
        for row in found["bias stopped"]
    ]
    head = [
        "fewest samples that count",
        "mean gain",
        "in standard errors",
        "at most, on average",
        "largest",
        "S-bar moves by",
    ]
    return table(head, rows)


def grinding(found: Found) -> str:
    """Both rules for the challenge."""
    rows = [
        [
            "from the certificate" if row["rule"] == "certificate" else "from the miners' salts",
            row["tries"],
            f"{row['passed']:.1%}",
            f"{row['won']:.1%}",
        ]
        for name, pair in found.items()
        if name.startswith("grinding ")
        for row in pair
    ]
    head = ["challenge", "tries", "forger of a tenth passes", "one of four wins `EXACT`"]
    return table(head, rows)


def law(found: Found) -> str:
    """Samples over D, and how well the laws fit."""
    points = found["law"]
    rows = [
        [
            point["distance"],
            f"{point['race']:,.0f}",
            f"{point['law']:,.0f}",
            f"{point['ours']:,.0f}",
            f"{point['stop']:,.0f}",
        ]
        for point in points
    ]
    distances = [point["distance"] for point in points]
    fits = []
    for what, measured, stated in (("race", "race", "law"), ("ours", "ours", "stop")):
        samples = [point[measured] for point in points]
        found_fit = difficulty.fit(distances, samples, [point[stated] for point in points])
        fits.append(
            f"{what}: samples ~ D^{found_fit.slope:.2f}, R^2 of the log-log fit"
            f" {found_fit.r_squared:.4f}, of the law itself {found_fit.against_law:.4f}"
        )
    head = ["D", "paper's race", "V (1 - 1/R) / D^2", "this program", "9 V / D^2"]
    return table(head, rows) + "\n\n" + "; ".join(fits) + "."


def least(found: Found) -> str:
    """Too few samples: near enough, and in."""
    points = found["least"]
    head = ["samples", *(f"D = {p['distance']:g}, others {p['honest']:,}" for p in points)]
    rows = [
        [samples, *(f"{near:.0%}, {inside:.0%}" for _, near, inside in shares)]
        for samples, shares in zip(
            [samples for samples, _, _ in points[0]["shares"]],
            zip(*(point["shares"] for point in points), strict=True),
            strict=True,
        )
    ]
    return table(head, rows)


def retarget(found: Found) -> str:
    """Time to settlement around a step of power."""
    rows = []
    for name, run in found.items():
        if not name.startswith("retarget "):
            continue
        step = difficulty.Step(
            run["factor"], run["target"], tuple(run["before"]), tuple(run["after"]), run["failed"]
        )
        seconds = ", ".join(f"{time:.1f}" for time in step.after[:10])
        rows.append([f"x {step.factor:g}", seconds, step.settled(), step.failed])
    head = [
        "power",
        "median seconds to settlement, tasks 1 to 10",
        "all within 15 % from task",
        "failed",
    ]
    return table(head, rows)


def flips(found: Found) -> str:
    """Counts under other ways to compute them."""
    sets = {name.removeprefix("flips "): rows for name, rows in found.items() if "flips " in name}
    ways = [row["how"] for row in next(iter(sets.values()), [])]
    head = ["other than one thread, blocks of 256"]
    for name, of_set in sets.items():
        head += [f"{name}, {of_set[0]['size']:,} examples: counts that differ", "by at most"]
    rows = []
    for place, way in enumerate(ways):
        cells = [way]
        for of_set in sets.values():
            row = of_set[place]
            cells += [f"{row['differing']} of {row['coalitions']}", str(row["most"])]
        rows.append(cells)
    return table(head, rows)


TABLES: dict[str, Callable[[Found], str]] = {
    "wins": wins,
    "exact": exact,
    "caught": caught,
    "bias": bias,
    "stopped": stopped,
    "grinding": grinding,
    "grinder": participant_tables.grinder,
    "censorship": participant_tables.censorship,
    "equivocation": participant_tables.equivocation,
    "foreign": participant_tables.foreign,
    "coordinator": participant_tables.coordinator,
    "participants": participant_tables.participants,
    "withholding": participant_tables.withholding,
    "law": law,
    "least": least,
    "retarget": retarget,
    "flips": flips,
}


def render_tables(found: Found) -> dict[str, str]:
    """Those tables that there are numbers for."""
    rendered = {}
    for name, make in TABLES.items():
        try:
            text = make(found)
        except KeyError:
            continue
        if text.count("\n") > 1:
            rendered[name] = text
    return rendered


def _surround(text: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}{text}\n{marks[2]}"


def replace_tables(document: str, rendered: dict[str, str]) -> str:
    """The document with its tables replaced; marks are HTML comments around each."""
    for name, text in rendered.items():
        pattern = re.compile(rf"(<!-- study: {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        # The replacement is no template: a table may hold backslashes.
        document = pattern.sub(partial(_surround, text), document)
    return document
