"""Tables about owners of several miners that look for the reply that pays best."""

from __future__ import annotations

from fedcoin.testing.measurements.best_reply import MODES, REPLIES
from fedcoin.v1.task_pb2 import Schedule
from scripts.studies.security.markdown_table import Numbers, jobs_with_prefix, render_table


def replies(numbers: Numbers) -> str:
    """Show what each reply earns under each reward and schedule.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown, and a sentence about the search.

    Raises:
        KeyError: The measurement did not run.
    """
    names = [
        f"`{reward}`, `{Schedule.Name(schedule).removeprefix('SCHEDULE_')}`"  # type: ignore[arg-type]
        for reward, schedule in MODES
    ]
    rows = []
    for what in REPLIES:
        cells = [what]
        for reward, schedule in MODES:
            row = numbers[f"reply {reward} {schedule} {what}"]
            cells.append(f"{row['net']:.2f} of {row['acting']:.2f} ({row['fair']:.2f})")
        rows.append(cells)
    table = render_table(["a tenth of the power", *names], rows)
    found = [outcome for _, tried in jobs_with_prefix(numbers, "search ") for outcome in tried]
    if not found:
        return table
    gains = sum(outcome["gains"] for outcome in found)
    tasks = sum(outcome["tasks"] for outcome in found)
    return (
        f"{table}\n\nThe search tried {len(found)} replies in {tasks:,} tasks; in {gains} tasks a"
        " reply earned more than acting with all keys."
    )


def salts(numbers: Numbers) -> str:
    """Show what withheld salts earn where the winner takes all, by the size of the deposit.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = [
        [
            row["keys"],
            f"{row['deposit']:.0%}",
            f"{row['acting']:.1%}",
            f"{row['net']:.1%}",
        ]
        for _, row in jobs_with_prefix(numbers, "salts ")
    ]
    return render_table(
        ["keys of a tenth of the power", "deposit", "earned by acting", "by withholding salts"],
        rows,
    )
