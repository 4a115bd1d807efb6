"""Render all tables of docs/THREATS.md, and put them between their marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from scripts.studies.security import difficulty_tables, miner_tables, participant_tables
from scripts.studies.security.markdown_table import Numbers

TABLES: dict[str, Callable[[Numbers], str]] = {
    "strategies": miner_tables.strategies,
    "exact": miner_tables.exact,
    "detection": miner_tables.detection,
    "bias": miner_tables.bias,
    "stopping": miner_tables.stopping,
    "grinding": miner_tables.grinding,
    "grinder": miner_tables.grinder,
    "censorship": participant_tables.censorship,
    "withholding": participant_tables.withholding,
    "equivocation": participant_tables.equivocation,
    "replay": participant_tables.replay,
    "coordinator": participant_tables.coordinator,
    "clients": participant_tables.clients,
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
