"""One result of a check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """How serious a result is."""

    OK = "ok"
    """Nothing has to be done."""
    NOTE = "note"
    """Right for a network on one machine; the advice says what one of several machines needs."""
    WARNING = "warning"
    """The node works, but something will fail later or for others."""
    WRONG = "wrong"
    """The node does not start, or cannot do a part of its work."""
    UNKNOWN = "unknown"
    """The check could not be made; the advice says when it can."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found."""

    subject: str
    """What was checked, one word or two, such as `disk`."""
    level: Level
    """How serious it is."""
    text: str
    """What was found, with its values; no full stop at the end."""
    advice: str = ""
    """What to do; empty when nothing has to be done."""


def is_healthy(findings: list[Finding]) -> bool:
    """Tell whether nothing is wrong.

    Args:
        findings: The results of all checks.

    Returns:
        False when one of them is `WRONG`.
    """
    return all(finding.level is not Level.WRONG for finding in findings)
