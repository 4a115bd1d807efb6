"""Tables about dishonest miners: strategies, forged leaves, and the choice of challenges."""

from __future__ import annotations

from typing import Any

from scripts.studies.security.markdown_table import (
    Numbers,
    RowTable,
    jobs_with_prefix,
    render_table,
)


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


EXACT = RowTable(
    "exact ",
    {
        "one of five miners, `EXACT`": "`{job}`",
        "wins": "{wins} of {blocks}",
        "FDC of deposits lost": "{lost:,.0f}",
        "refused with": "{refusals}",
    },
)
"""The strategies' outcomes under EXACT."""

DETECTION = RowTable(
    "detected ",
    {
        "forged": "{fraction:.0%}",
        "trials": "{trials}",
        "detected": lambda row: f"{row['num_detected'] / row['trials']:.1%}",
        "1 - (1 - f)^44": "{formula:.1%}",
        "drawn without replacement": "{without_replacement:.1%}",
    },
)
"""How often forged leaves are detected."""

BIAS = RowTable(
    "bias ",
    {
        "how": "{how}",
        "not detected": "{num_undetected} of {trials}",
        "favoured client's value moved by": "{moved:.4f}",
        "at most": "{bound:.4f}",
    },
)
"""What a forger gives the favoured client undetected."""

STOPPING = RowTable(
    "stopping",
    {
        "fewest samples that count": "{min_samples} of {honest_samples}",
        "mean gain": lambda row: f"{row['mean_gain'] * row['std_error']:.4f}",
        "in standard errors": "{mean_gain:.1f}",
        "at most, on average": "{expected_gain:.1f}",
        "largest": "{max_gain:.1f}",
        "S-bar moves by": lambda row: f"{row['settled_gain'] * row['std_error']:.4f}",
    },
)
"""What stopping at a favourable count gains."""

_CHALLENGES = {"certificate": "from the certificate", "salts": "from the miners' salts"}

GRINDING = RowTable(
    "grinding ",
    {
        "challenge": lambda row: _CHALLENGES[row["rule"]],
        "tries": "{tries}",
        "forger of a tenth passes": "{passed:.1%}",
        "one of four wins `EXACT`": "{won:.1%}",
    },
)
"""The two rules for the challenge, compared."""

GRINDER = RowTable(
    "grinder",
    {
        "one of five miners, `EXACT`": "`challenge-grinder`",
        "wins": "{wins} of {blocks}",
        "turns": "{grinding_turns}",
        "blocks tried": "{grinding_blocks}",
        "challenges in a turn": "at most {max_challenges}",
    },
)
"""What a proposer gains that tries many blocks on the ledger."""


def _paper_cells(row: Any) -> list[str]:
    if row is None:
        return ["", "", ""]
    if not row["blocks"]:
        return ["no miner wins any more", "0", "0"]
    return [f"{row['wins']} of {row['blocks']}", f"{row['mined']:,.0f}", f"{row['shifted']:+,.0f}"]
