"""Tell what somebody is looking for by the form of the text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.errors import RefusalError

MAX_QUERY: Final = 100
"""The longest text that is searched for, in characters."""

MIN_PART: Final = 3
"""The shortest part of an id or a name that is searched for, in characters."""

_MAX_HEIGHT: Final = 2**63 - 1


class QueryKind(Enum):
    """What a text can be."""

    NOTHING = "nothing"
    HEIGHT = "height"
    HASH = "hash"
    ADDRESS = "address"
    PART = "part"


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A text and what it can be."""

    kind: QueryKind
    """What is searched for."""
    text: str
    """The text in the form that the API takes: without spaces around it, hex in lower case."""


def read_query(text: str) -> SearchQuery:
    """Tell what a text is.

    Args:
        text: What somebody typed.

    Returns:
        A height for decimal digits with or without `#` and commas, a hash for 64 hex digits, an
        address for valid bech32m; for other text of at least `MIN_PART` characters a part of an id
        or of a name; else nothing.
    """
    wanted = text.strip()[:MAX_QUERY]
    digits = wanted.removeprefix("#").replace(",", "").replace("\N{NO-BREAK SPACE}", "")
    if re.fullmatch(r"[0-9]{1,19}", digits) and 0 < int(digits) <= _MAX_HEIGHT:
        return SearchQuery(QueryKind.HEIGHT, str(int(digits)))
    lower = wanted.lower().removeprefix("0x")
    if re.fullmatch(r"[0-9a-f]{64}", lower):
        return SearchQuery(QueryKind.HASH, lower)
    if _is_address(wanted):
        return SearchQuery(QueryKind.ADDRESS, wanted.lower())
    if len(wanted) >= MIN_PART:
        return SearchQuery(QueryKind.PART, wanted)
    return SearchQuery(QueryKind.NOTHING, wanted)


def _is_address(text: str) -> bool:
    try:
        parse_address(text)
    except RefusalError:
        return False
    return True
