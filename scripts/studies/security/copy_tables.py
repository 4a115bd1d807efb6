"""Tables of what copies earn, and of what a limit on similarity costs."""

from __future__ import annotations

from scripts.studies.security.markdown_table import (
    Numbers,
    Row,
    RowTable,
    jobs_with_prefix,
    render_table,
)

_RULES = {
    "none": "no limit",
    "limit 0.95": "limit 0.95",
    "limit 0.9": "limit 0.9",
    "discount": "discount",
    "banzhaf": "Banzhaf",
}


def copies(numbers: Numbers) -> str:
    """Render what owners get with copies.

    Args:
        numbers: The results of all jobs.

    Returns:
        A table in Markdown, with one row for each noise, and in each cell one number for each
        number of copies.

    Raises:
        KeyError: None of the jobs ran.
    """
    results = jobs_with_prefix(numbers, "copies ")
    if not results:
        raise KeyError("copies")
    head = ["data", "clients", "copies", "noise", "similarity"]
    head += [*_RULES.values(), "owner alone, no limit", "owner alone, limit 0.95", "rounds"]
    rows = []
    for _, outcomes in results:
        cases: dict[float, list[Row]] = {}
        for outcome in outcomes:
            cases.setdefault(outcome["noise"], []).append(outcome)
        rows += [_copies_row(noise, cells) for noise, cells in cases.items()]
    return render_table(head, rows)


def _copies_row(noise: float, cells: list[Row]) -> list[object]:
    first = cells[0]
    what = f"{noise:g}" if first["scale"] == 1 else f"{noise:g}, change times {first['scale']:g}"
    return [
        f"{first['dataset']}, {first['partition']}",
        first["clients"],
        ", ".join(str(cell["copies"]) for cell in cells),
        what,
        f"{min(cell['similarity'] for cell in cells):.2f}",
        # The bound that the page states is one of a thousandth.
        *(_ratios(cells, "together", rule, 3 if rule == "limit 0.95" else 2) for rule in _RULES),
        _ratios(cells, "owner", "none"),
        _ratios(cells, "owner", "limit 0.95"),
        first["rounds"],
    ]


def _ratios(cells: list[Row], field: str, rule: str, digits: int = 2) -> str:
    return ", ".join(f"{cell[field][rule]:.{digits}f}" for cell in cells)


LOOK_ALIKES = RowTable(
    "look-alikes ",
    {
        "data": "{dataset}, {partition}",
        "clients": "{clients}",
        "similarity: median": "{median_similarity:.2f}",
        "highest": "{highest_similarity:.3f}",
        "limit": "{limit}",
        "players": "{players:.1f}",
        "pay of all": lambda row: f"{100 * row['total_change']:+.1f} %",
        "largest loss": lambda row: f"{100 * row['largest_loss']:.0f} %",
        "accuracy": lambda row: f"{100 * row['accuracy_change']:+.1f}",
    },
)
"""What honest clients lose under a limit."""

BRIDGES = RowTable(
    "bridges ",
    {
        "groups by": "{linkage} linkage",
        "updates between": "{bridges}",
        "the two are one player": "{joined} of {rounds} rounds",
        "the two get": "{two:.2f}",
        "the attacker gets": "{attacker:.2f}",
    },
)
"""What updates between two others' earn, as multiples of what the two got together."""
