"""Tables about dishonest proposers, validators, peers, coordinators and clients."""

from __future__ import annotations

from statistics import mean

from fedcoin.testing.measurements.client_fraud import FRAUDS
from scripts.studies.security.markdown_table import Row, RowTable

CENSORSHIP = RowTable(
    "censored ",
    {
        "validators": "{what}",
        "settled": "{settled}",
        "failed": "{failed}",
        "blocks": "{min_blocks} to {max_blocks}",
        "honest reveals": lambda row: (
            f"{row['revealed']} of {row['settled'] * (row['validators'] - row['censors'])}"
        ),
        "honest deposits burned": "{burned:.1f}",
        "left out of 0, 1, 2 ... blocks": lambda row: ", ".join(
            f"{count:,}" for count in row["waits"]
        ),
        "at most": lambda row: len(row["waits"]) - 1,
    },
)
"""How many blocks a task takes, and how long miners' actions are left out."""

WITHHOLDING = RowTable(
    "withheld ",
    {
        "miners": "{withholders} `{kind}` of {validators}",
        "settled": "{settled}",
        "failed": "{failed}",
        "FDC burned per task and withholder": "{burned:.2f}",
        "median seconds": "{seconds:.1f}",
    },
)
"""What withholding miners lose and delay."""

EQUIVOCATION = RowTable(
    "equivocated ",
    {
        "equivocators": "{equivocators} of {validators}",
        "settled": "{settled}",
        "failed": "{failed}",
        "slashed": "{slashed} of {equivocators}",
        "by block": lambda row: ", ".join(str(height) for height in row["heights"]),
        "bond": "{bond:.2f}",
        "of it burned": "{burned:.2f}",
        "to the reporter": "{report_reward:.2f}",
        "honest ones slashed": "{honest_slashed}",
    },
)
"""What validators lose that vote twice."""

REPLAY = RowTable(
    "replay",
    {
        "message": "{what}",
        "refused with": "`{code}`",
        "points, of 100 for a ban": lambda row: row["points"] or "",
    },
)
"""How old messages, and messages of another network, are refused."""

COORDINATOR = RowTable(
    "coordinator",
    {
        "the coordinator": "{what}",
        "the ledger": lambda row: f"`{row['code']}`" if row["code"] else "accepted",
    },
)
"""How the ledger answers to a dishonest coordinator."""


def _gains(row: Row) -> str:
    honest = row["honest_share"]
    gains = sum(
        after > before for after, before in zip(row["dishonest_share"], honest, strict=True)
    )
    return f"{gains} of {len(honest)}"


CLIENTS = RowTable(
    "clients ",
    {
        "data": "{dataset}",
        "one of five clients": lambda row: FRAUDS[row["fraud"]],
        "averaging": "`{averaging}`",
        "paid if honest": lambda row: f"{100 * mean(row['honest_share']):.1f} %",
        "paid": lambda row: f"{100 * mean(row['dishonest_share']):.1f} %",
        "gains in": _gains,
        "first client": lambda row: f"{100 * mean(row['victim_change']):+.1f}",
        "accuracy": lambda row: f"{100 * mean(row['accuracy_change']):+.1f}",
    },
)
"""What dishonest clients are paid."""
