"""Render all tables of docs/THREATS.md, and put them between their marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from scripts.studies.security import (
    copy_tables,
    difficulty_tables,
    harm_tables,
    miner_tables,
    participant_tables,
    reply_tables,
)
from scripts.studies.security.markdown_table import Numbers

TABLES: dict[str, Callable[[Numbers], str]] = {
    "strategies": miner_tables.strategies,
    "exact": miner_tables.EXACT.render,
    "detection": miner_tables.DETECTION.render,
    "bias": miner_tables.BIAS.render,
    "stopping": miner_tables.STOPPING.render,
    "grinding": miner_tables.GRINDING.render,
    "grinder": miner_tables.GRINDER.render,
    "replies": reply_tables.replies,
    "salts": reply_tables.salts,
    "censorship": participant_tables.CENSORSHIP.render,
    "withholding": participant_tables.WITHHOLDING.render,
    "equivocation": participant_tables.EQUIVOCATION.render,
    "replay": participant_tables.REPLAY.render,
    "coordinator": participant_tables.COORDINATOR.render,
    "clients": participant_tables.CLIENTS.render,
    "copies": copy_tables.copies,
    "lookalikes": copy_tables.LOOK_ALIKES.render,
    "bridges": copy_tables.BRIDGES.render,
    "harm": harm_tables.harm,
    "alone": harm_tables.alone,
    "accomplices": harm_tables.accomplices,
    "difficulty": difficulty_tables.difficulty,
    "samples": difficulty_tables.samples,
    "retargeting": difficulty_tables.retargeting,
    "counts": difficulty_tables.counts,
}
"""The function of each table, by the name in its mark."""


def render_tables(numbers: Numbers) -> dict[str, str]:
    """Render the tables that there are results for.

    Args:
        numbers: The results of the jobs that ran, by name.

    Returns:
        Markdown, by the table's name.
    """
    rendered = {}
    for name, render in TABLES.items():
        try:
            text = render(numbers)
        except KeyError:  # the job of this table did not run
            continue
        has_rows = text.count("\n") > 1
        if has_rows:
            rendered[name] = text
    return rendered


def replace_tables(document: str, tables: Mapping[str, str]) -> str:
    """Replace tables in a document.

    Args:
        document: Markdown, with `<!-- study: NAME -->` before each table and `<!-- end -->` after
            it.
        tables: The new tables, by name.

    Returns:
        The document with these tables.
    """
    for name, text in tables.items():
        pattern = re.compile(rf"(<!-- study: {name} -->\n).*?(<!-- end -->)", flags=re.DOTALL)
        document = pattern.sub(partial(_surround, text), document)
    return document


def _surround(text: str, marks: re.Match[str]) -> str:
    return f"{marks[1]}{text}\n{marks[2]}"
