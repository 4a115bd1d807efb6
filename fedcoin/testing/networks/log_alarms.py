"""Which lines of a process's log say that something went wrong in the program itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

ALARMS = re.compile(
    r"\b(ERROR|CRITICAL)\b"
    r"|Traceback \(most recent call last\)"
    r"|Exception ignored in|never retrieved|was never awaited|was destroyed but it is pending"
    r"|This is a bug"
    r"|^[EF]\d{4} ",  # Errors of gRPC's C core.
    re.MULTILINE,
)
"""What a sound process never logs."""

_SHOWN_CHARACTERS = 2_500


def find_alarms(text: str, expected: Sequence[str] = ()) -> Iterator[str]:
    """Find the lines of a log that report an error nobody expected.

    Args:
        text: The log.
        expected: Lines that contain one of these are passed over.

    Yields:
        The log from each such line on, up to 2,500 characters.
    """
    for alarm in ALARMS.finditer(text):
        start = text.rfind("\n", 0, alarm.start()) + 1
        end = text.find("\n", alarm.end())
        line = text[start : end if end >= 0 else len(text)]
        if not any(words in line for words in expected):
            yield text[start : start + _SHOWN_CHARACTERS]
