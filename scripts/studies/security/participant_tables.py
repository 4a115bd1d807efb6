"""The tables about proposers, voters, strangers and clients, from the study's numbers."""

from __future__ import annotations

from statistics import mean

from fedcoin.testing.measurements import client_fraud
from scripts.studies.security.markdown_table import Found, table


def grinder(found: Found) -> str:
    """A proposer that tries many blocks, on the real ledger."""
    row = found["grinder"]
    head = ["one of five miners, `EXACT`", "wins", "turns", "blocks tried", "challenges in a turn"]
    cells = ["`challenge-grinder`", f"{row['wins']} of {row['blocks']}", row["turns"]]
    return table(head, [[*cells, row["tries"], f"at most {row['challenges']}"]])


def censorship(found: Found) -> str:
    """Blocks from opening to settling, and how long an honest miner's word is kept out."""
    rows = [
        [
            row["what"],
            row["tasks"],
            row["failed"],
            f"{row['least_blocks']} to {row['most_blocks']}",
            f"{row['revealed']} of {row['tasks'] * (row['validators'] - row['faulty'])}",
            f"{row['burned']:.1f}",
            ", ".join(f"{count:,}" for count in row["waits"]),
            len(row["waits"]) - 1,
        ]
        for name, row in found.items()
        if name.startswith("censored ")
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
    return table(head, rows)


def equivocation(found: Found) -> str:
    """Who votes twice."""
    rows = [
        [
            f"{row['equivocators']} of {row['validators']}",
            row["settled"],
            row["failed"],
            f"{row['slashed']} of {row['equivocators']}",
            ", ".join(str(height) for height in row["heights"]),
            f"{row['bond']:.2f}",
            f"{row['burned']:.2f}",
            f"{row['reported']:.2f}",
            row["honest_slashed"],
        ]
        for name, row in found.items()
        if name.startswith("equivocated ")
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
    return table(head, rows)


def foreign(found: Found) -> str:
    """What is old or of another network."""
    rows = [[row["what"], f"`{row['said']}`", row["points"] or ""] for row in found["foreign"]]
    return table(["what is brought", "refused with", "points, of 100 for a ban"], rows)


def coordinator(found: Found) -> str:
    """What a coordinator tries."""
    rows = [
        [row["what"], f"`{row['code']}`" if row["code"] else "taken"]
        for row in found["coordinator"]
    ]
    return table(["the coordinator", "the ledger"], rows)


def participants(found: Found) -> str:
    """What tricks of clients pay."""
    rows = []
    for name, played in found.items():
        if not name.startswith("participants "):
            continue
        for row in played:
            fair, tricked = row["fair"], row["tricked"]
            gained = sum(with_it > without for with_it, without in zip(tricked, fair, strict=True))
            rows.append(
                [
                    row["dataset"],
                    client_fraud.TRICKS[row["trick"]],
                    f"`{row['averaging']}`",
                    *(f"{100 * mean(values):.1f} %" for values in (fair, tricked)),
                    f"{gained} of {len(fair)}",
                    f"{100 * mean(row['victim']):+.1f}",
                    f"{100 * mean(row['accuracy']):+.1f}",
                ]
            )
    head = [
        "data",
        "one of five clients",
        "averaging",
        "playing fair",
        "so",
        "gains in",
        "first client",
        "accuracy",
    ]
    return table(head, rows)


def withholding(found: Found) -> str:
    """Who keeps back."""
    rows = [
        [
            f"{row['withholders']} `{row['kind']}` of {row['validators']}",
            row["settled"],
            row["failed"],
            f"{row['burned']:.2f}",
            f"{row['seconds']:.1f}",
        ]
        for name, row in found.items()
        if name.startswith("withheld ")
    ]
    head = ["who", "settled", "failed", "FDC burned a task and withholder", "median seconds"]
    return table(head, rows)
