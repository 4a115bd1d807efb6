"""Tables about the difficulty D, the number of samples, and the tolerance of audits."""

from __future__ import annotations

from fedcoin.testing.measurements.count_differences import REFERENCE
from fedcoin.testing.measurements.difficulty_cost import fit_power_law
from fedcoin.testing.measurements.difficulty_retargeting import RetargetingResponse
from scripts.studies.security.markdown_table import Numbers, jobs_with_prefix, render_table


def difficulty(numbers: Numbers) -> str:
    """Show how many samples each D costs, and how well the laws fit.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown, and a sentence about the fits.

    Raises:
        KeyError: The measurement did not run.
    """
    costs = numbers["costs"]
    columns = ("race", "race_law", "stopping", "stopping_law")
    rows = [[cost["distance"], *(f"{cost[name]:,.0f}" for name in columns)] for cost in costs]
    distances = [cost["distance"] for cost in costs]
    sentences = []
    for what, measured, law in (
        ("race", "race", "race_law"),
        ("this program", "stopping", "stopping_law"),
    ):
        samples = [cost[measured] for cost in costs]
        fit = fit_power_law(distances, samples, [cost[law] for cost in costs])
        sentences.append(
            f"{what}: samples ~ D^{fit.slope:.2f}, R^2 of the log-log fit {fit.r_squared:.4f}, of "
            f"the law itself {fit.law_r_squared:.4f}"
        )
    head = ["D", "paper's race", "V (1 - 1/R) / D^2", "this program", "9 V / D^2"]
    return render_table(head, rows) + "\n\n" + "; ".join(sentences) + "."


def samples(numbers: Numbers) -> str:
    """Show which vectors of few samples are near the others, and which are inliers.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.

    Raises:
        KeyError: The measurement did not run.
    """
    points = numbers["samples"]
    head = [
        "samples",
        *(f"D = {p['distance']:g}, others {p['honest_samples']:,}" for p in points),
    ]
    counts = [count for count, _, _ in points[0]["shares"]]
    rows = [
        [count, *(f"{near:.0%}, {inlier:.0%}" for _, near, inlier in shares)]
        for count, shares in zip(
            counts, zip(*(point["shares"] for point in points), strict=True), strict=True
        )
    ]
    return render_table(head, rows)


def retargeting(numbers: Numbers) -> str:
    """Show the times to settlement after all miners' speed changed.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = []
    for _, run in jobs_with_prefix(numbers, "retargeting "):
        response = RetargetingResponse(
            run["factor"], run["target"], tuple(run["before"]), tuple(run["after"]), run["failed"]
        )
        seconds = ", ".join(f"{time:.1f}" for time in response.after[:10])
        rows.append([f"x {response.factor:g}", seconds, response.settled_from(), response.failed])
    head = [
        "speed",
        "median seconds to settlement, tasks 1 to 10",
        "all within 15 % from task",
        "failed",
    ]
    return render_table(head, rows)


def counts(numbers: Numbers) -> str:
    """Show how far counts differ between ways to compute them.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    datasets = jobs_with_prefix(numbers, "counts ")
    head = [f"other than {REFERENCE}"]
    for name, rows_of_dataset in datasets:
        size = rows_of_dataset[0]["size"]
        head += [f"{name}, {size:,} examples: counts that differ", "by at most"]
    rows = []
    for by_dataset in zip(*(rows_of_dataset for _, rows_of_dataset in datasets), strict=True):
        cells = [by_dataset[0]["how"]]
        for row in by_dataset:
            cells.append(f"{row['num_different']} of {row['coalitions']}")
            cells.append(str(row["max_difference"]))
        rows.append(cells)
    return render_table(head, rows)
