"""Tables about dishonest proposers, validators, peers, coordinators and clients."""

from __future__ import annotations

from statistics import mean

from fedcoin.testing.measurements.client_fraud import FRAUDS
from scripts.studies.security.markdown_table import Numbers, jobs_with_prefix, render_table


def censorship(numbers: Numbers) -> str:
    """Show how many blocks a task takes, and how long miners' actions are left out.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = [
        [
            row["what"],
            row["settled"],
            row["failed"],
            f"{row['min_blocks']} to {row['max_blocks']}",
            f"{row['revealed']} of {row['settled'] * (row['validators'] - row['censors'])}",
            f"{row['burned']:.1f}",
            ", ".join(f"{count:,}" for count in row["waits"]),
            len(row["waits"]) - 1,
        ]
        for _, row in jobs_with_prefix(numbers, "censored ")
    ]
    head = [
        "validators",
        "settled",
        "failed",
        "blocks",
        "honest reveals",
        "honest deposits burned",
        "left out of 0, 1, 2 ... blocks",
        "at most",
    ]
    return render_table(head, rows)


def withholding(numbers: Numbers) -> str:
    """Show what withholding miners lose and delay.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = [
        [
            f"{row['withholders']} `{row['kind']}` of {row['validators']}",
            row["settled"],
            row["failed"],
            f"{row['burned']:.2f}",
            f"{row['seconds']:.1f}",
        ]
        for _, row in jobs_with_prefix(numbers, "withheld ")
    ]
    head = ["miners", "settled", "failed", "FDC burned per task and withholder", "median seconds"]
    return render_table(head, rows)


def equivocation(numbers: Numbers) -> str:
    """Show what validators lose that vote twice.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = [
        [
            f"{row['equivocators']} of {row['validators']}",
            row["settled"],
            row["failed"],
            f"{row['slashed']} of {row['equivocators']}",
            ", ".join(str(height) for height in row["heights"]),
            f"{row['bond']:.2f}",
            f"{row['burned']:.2f}",
            f"{row['report_reward']:.2f}",
            row["honest_slashed"],
        ]
        for _, row in jobs_with_prefix(numbers, "equivocated ")
    ]
    head = [
        "equivocators",
        "settled",
        "failed",
        "slashed",
        "by block",
        "bond",
        "of it burned",
        "to the reporter",
        "honest ones slashed",
    ]
    return render_table(head, rows)


def replay(numbers: Numbers) -> str:
    """Show how old messages, and messages of another network, are refused.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.

    Raises:
        KeyError: The measurement did not run.
    """
    rows = [[row["what"], f"`{row['code']}`", row["points"] or ""] for row in numbers["replay"]]
    return render_table(["message", "refused with", "points, of 100 for a ban"], rows)


def coordinator(numbers: Numbers) -> str:
    """Show how the ledger answers to a dishonest coordinator.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.

    Raises:
        KeyError: The measurement did not run.
    """
    rows = [
        [row["what"], f"`{row['code']}`" if row["code"] else "accepted"]
        for row in numbers["coordinator"]
    ]
    return render_table(["the coordinator", "the ledger"], rows)


def clients(numbers: Numbers) -> str:
    """Show what dishonest clients are paid.

    Args:
        numbers: The results of all jobs.

    Returns:
        The table in Markdown.
    """
    rows = []
    for _, outcomes in jobs_with_prefix(numbers, "clients "):
        for row in outcomes:
            honest, dishonest = row["honest_share"], row["dishonest_share"]
            gains = sum(after > before for after, before in zip(dishonest, honest, strict=True))
            rows.append(
                [
                    row["dataset"],
                    FRAUDS[row["fraud"]],
                    f"`{row['averaging']}`",
                    *(f"{100 * mean(shares):.1f} %" for shares in (honest, dishonest)),
                    f"{gains} of {len(honest)}",
                    f"{100 * mean(row['victim_change']):+.1f}",
                    f"{100 * mean(row['accuracy_change']):+.1f}",
                ]
            )
    head = [
        "data",
        "one of five clients",
        "averaging",
        "paid if honest",
        "paid",
        "gains in",
        "first client",
        "accuracy",
    ]
    return render_table(head, rows)
