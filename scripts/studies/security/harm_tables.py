"""Tables of the harm that honest clients do by chance, and of what accomplices gain by harm."""

from __future__ import annotations

from fedcoin.testing.client_harm.client_behaviours import ACCOMPLICES, CLIENTS, HONEST
from scripts.studies.security.markdown_table import Numbers, Row, jobs_with_prefix, render_table

LONE_LIMITS = {0.3: "strict", 0.8: "lenient"}
"""Limits for single updates (`coordinator.max_update_harm`) that accomplices meet, one for clients
whose data are alike and one for clients of few classes, and how the names of these jobs begin."""

_HARMS = {"hidden-pair": "hidden", "trained-pair": "trained", "silent-pair": "silences classes"}
"""What the harmful update is in the federations in which it does not turn the model around."""


def harm(numbers: Numbers) -> str:
    """Render who of honest clients is left out.

    Args:
        numbers: The results of all jobs.

    Returns:
        A table in Markdown, with one row for each federation and number of rounds.

    Raises:
        KeyError: None of the jobs ran.
    """
    head = ["data", "evaluated on", "five honest clients", "rounds"]
    head += ["harm in all rounds, at most", "less real gains, at most"]
    head += ["left out if harm only added up", "left out", "paid, of the fund", "accuracy"]
    rows = []
    for row in _rows(numbers, HONEST):
        clients = CLIENTS * row["campaigns"]
        rows.append(
            [
                row["dataset"],
                row["evaluation_size"],
                HONEST[row["federation"]],
                row["rounds"],
                f"{row['largest_sum']:.3f}",
                f"{row['largest_balance']:.3f}",
                f"{row['over_by_sum']} of {clients}",
                f"{row['left_out']} of {clients}",
                f"{100 * row['paid']:.0f} %",
                f"{100 * row['accuracy']:.1f} %",
            ]
        )
    return render_table(head, rows)


def accomplices(numbers: Numbers) -> str:
    """Render what an accomplice is paid for undoing another's harm.

    Args:
        numbers: The results of all jobs.

    Returns:
        A table in Markdown, with one row for each federation.

    Raises:
        KeyError: None of the jobs ran.
    """
    head = ["data", "accomplices from round", "harm", "left out", "made up for before, at most"]
    head += ["the other one is paid, of the fund, at most"]
    head += [f"with a limit of {limit:g} for single updates" for limit in LONE_LIMITS]
    limited = [_by_federation(numbers, f"{kind} ") for kind in LONE_LIMITS.values()]
    rows = []
    for row in _rows(numbers, ACCOMPLICES):
        federation = row["federation"]
        found = [rows_of.get((row["dataset"], federation)) for rows_of in limited]
        rows.append(
            [
                row["dataset"],
                ACCOMPLICES[federation],
                _HARMS.get(federation, "turns the model around"),
                f"{row['left_out']} of {row['campaigns']}",
                f"{row['earned_before']:.3f}",
                f"{100 * row['helper_paid']:.0f} %",
                *[
                    f"{100 * each['helper_paid']:.0f} %" if each else "not measured"
                    for each in found
                ],
            ]
        )
    return render_table(head, rows)


def alone(numbers: Numbers) -> str:
    """Render what honest updates cost alone.

    Args:
        numbers: The results of all jobs.

    Returns:
        A table in Markdown, with one row for each federation.

    Raises:
        KeyError: None of the jobs ran.
    """
    head = ["data", "five honest clients", "updates", "one alone costs of its base, at most"]
    rows = [
        [
            row["dataset"],
            HONEST[row["federation"]],
            row["updates"],
            f"{100 * row['worst_alone']:.0f} %" if row["worst_alone"] else "less than 20 points",
        ]
        for row in _rows(numbers, HONEST, "alone ")
    ]
    return render_table(head, rows)


def _by_federation(numbers: Numbers, prefix: str) -> dict[tuple[object, object], Row]:
    return {(row["dataset"], row["federation"]): row for row in _rows(numbers, ACCOMPLICES, prefix)}


def _rows(
    numbers: Numbers, federations: dict[str, str] | dict[str, int], prefix: str = "harm "
) -> list[Row]:
    rows = [row for _, row in jobs_with_prefix(numbers, prefix)]
    if not rows:
        raise KeyError(prefix)
    return [row for row in rows if row["federation"] in federations]
