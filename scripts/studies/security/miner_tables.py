"""Tables about dishonest miners: strategies, forged leaves, and the choice of challenges."""

from __future__ import annotations

from typing import Any

from scripts.studies.security.markdown_table import Numbers, jobs_with_prefix, render_table


def strategies(numbers: Numbers) -> str:
    """Compare the strategies' wins and coins here and in the paper's race.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = []
    for kind, row in jobs_with_prefix(numbers, "ledger "):
        rows.append(
            [
                f"`{kind}`" if kind != "honest" else "honest, for comparison",
                *_paper_cells(numbers.get(f"paper {kind}")),
                f"{row['wins']} of {row['blocks']}",
                f"{row['mined']:,.0f}",
                f"{row['lost']:,.0f}",
                f"{row['evaluations'] / max(1, row['honest_evaluations']):.0%}",
            ]
        )
    loose = numbers.get("paper invented-vector, D 1.5")
    if loose:
        rows.append(["`invented-vector`, D = 1.5", *_paper_cells(loose), "", "", "", ""])
    head = [
        "one of five miners",
        "paper: wins",
        "paper: SapPrice earned",
        "paper: TrainPrice shifted",
        "wins",
        "FDC earned by mining",
        "FDC of deposits lost",
        "effort",
    ]
    return render_table(head, rows)


def exact(numbers: Numbers) -> str:
    """Show the strategies' outcomes under EXACT.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = [
        [f"`{kind}`", f"{row['wins']} of {row['blocks']}", f"{row['lost']:,.0f}", row["refusals"]]
        for kind, row in jobs_with_prefix(numbers, "exact ")
    ]
    head = ["one of five miners, `EXACT`", "wins", "FDC of deposits lost", "refused with"]
    return render_table(head, rows)


def detection(numbers: Numbers) -> str:
    """Show how often forged leaves are detected.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = [
        [
            f"{rate['fraction']:.0%}",
            rate["trials"],
            f"{rate['num_detected'] / rate['trials']:.1%}",
            f"{rate['formula']:.1%}",
            f"{rate['without_replacement']:.1%}",
        ]
        for _, rates in jobs_with_prefix(numbers, "detected ")
        for rate in rates
    ]
    head = ["forged", "trials", "detected", "1 - (1 - f)^44", "drawn without replacement"]
    return render_table(head, rows)


def bias(numbers: Numbers) -> str:
    """Show what a forger gives the favoured client undetected.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = [
        [
            row["how"],
            f"{row['num_undetected']} of {row['trials']}",
            f"{row['moved']:.4f}",
            f"{row['bound']:.4f}",
        ]
        for _, row in jobs_with_prefix(numbers, "bias ")
    ]
    head = ["how", "not detected", "favoured client's value moved by", "at most"]
    return render_table(head, rows)


def stopping(numbers: Numbers) -> str:
    """Show what stopping at a favourable count gains.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.

    Raises:
        KeyError: The measurement did not run.
    """
    rows = [
        [
            f"{row['min_samples']} of {row['honest_samples']}",
            f"{row['mean_gain'] * row['std_error']:.4f}",
            f"{row['mean_gain']:.1f}",
            f"{row['expected_gain']:.1f}",
            f"{row['max_gain']:.1f}",
            f"{row['settled_gain'] * row['std_error']:.4f}",
        ]
        for row in numbers["stopping"]
    ]
    head = [
        "fewest samples that count",
        "mean gain",
        "in standard errors",
        "at most, on average",
        "largest",
        "S-bar moves by",
    ]
    return render_table(head, rows)


def grinding(numbers: Numbers) -> str:
    """Compare the two rules for the challenge.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rules = {"certificate": "from the certificate", "salts": "from the miners' salts"}
    rows = [
        [rules[row["rule"]], row["tries"], f"{row['passed']:.1%}", f"{row['won']:.1%}"]
        for _, pair in jobs_with_prefix(numbers, "grinding ")
        for row in pair
    ]
    head = ["challenge", "tries", "forger of a tenth passes", "one of four wins `EXACT`"]
    return render_table(head, rows)


def grinder(numbers: Numbers) -> str:
    """Show what a proposer gains that tries many blocks on the ledger.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.

    Raises:
        KeyError: The measurement did not run.
    """
    row = numbers["grinder"]
    head = ["one of five miners, `EXACT`", "wins", "turns", "blocks tried", "challenges in a turn"]
    cells = [
        "`challenge-grinder`",
        f"{row['wins']} of {row['blocks']}",
        row["grinding_turns"],
        row["grinding_blocks"],
        f"at most {row['max_challenges']}",
    ]
    return render_table(head, [cells])


def _paper_cells(row: Any) -> list[str]:
    if row is None:
        return ["", "", ""]
    if not row["blocks"]:
        return ["no miner wins any more", "0", "0"]
    return [f"{row['wins']} of {row['blocks']}", f"{row['mined']:,.0f}", f"{row['shifted']:+,.0f}"]
