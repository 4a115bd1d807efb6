"""Parse the entries of a test network's file; each refusal names the entry and what is allowed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import parse_amount

_T = TypeVar("_T")


class PlanTable:
    """One table of a file, whose keys are taken one by one; those that are left are unknown."""

    def __init__(self, where: str, content: object) -> None:
        """Begin with all keys.

        Args:
            where: What errors call the table; ends with a space for the file itself.
            content: What TOML holds there.

        Raises:
            RefusalError: BAD_ARGUMENT when that is no table.
        """
        self._where = where
        if not isinstance(content, dict):
            raise wrong_value(where, content, "a table")
        self._content: dict[str, Any] = dict(content)

    def __contains__(self, key: str) -> bool:
        """Tell whether a key is there and not taken yet."""
        return key in self._content

    def at(self, key: str) -> str:
        """Compose what errors call an entry.

        Args:
            key: The entry's key in this table.

        Returns:
            The path, such as `a.toml: nodes.b`.
        """
        return f"{self._where}{key}" if self._where.endswith(" ") else f"{self._where}.{key}"

    def take(self, key: str, parse: Callable[[str, Any], _T], default: _T | None = None) -> _T:
        """Take one entry.

        Args:
            key: The entry's key.
            parse: Gets the entry's path and what TOML holds there.
            default: The value of a key that is not there; None refuses its absence.

        Returns:
            What `parse` returned, or the default.

        Raises:
            RefusalError: BAD_ARGUMENT when the entry is missing or wrong.
        """
        if key not in self._content:
            if default is None:
                raise wrong_entry(self.at(key), "is missing")
            return default
        return parse(self.at(key), self._content.pop(key))

    def end(self, allowed: Iterable[str]) -> None:
        """Refuse keys that were not taken.

        Args:
            allowed: The keys that may be there, for the error.

        Raises:
            RefusalError: BAD_ARGUMENT when a key is left.
        """
        for key in self._content:
            raise wrong_entry(self.at(key), f"is unknown here; known are {', '.join(allowed)}")


def parse_many(parse: Callable[[str, Any], _T]) -> Callable[[str, Any], tuple[_T, ...]]:
    """Make a parser of lists.

    Args:
        parse: Parses one element.

    Returns:
        A parser that refuses what is no list, with BAD_ARGUMENT.
    """

    def parse_all(at: str, raw: Any) -> tuple[_T, ...]:
        if not isinstance(raw, list):
            raise wrong_value(at, raw, "a list")
        return tuple(parse(f"{at}[{index}]", one) for index, one in enumerate(raw))

    return parse_all


def parse_choice(allowed: Sequence[str]) -> Callable[[str, Any], str]:
    """Make a parser of names.

    Args:
        allowed: The names.

    Returns:
        A parser that refuses any other value, with BAD_ARGUMENT.
    """

    def parse(at: str, raw: Any) -> str:
        if not isinstance(raw, str) or raw not in allowed:
            raise wrong_value(at, raw, f"one of {', '.join(allowed)}")
        return raw

    return parse


def parse_number(low: float, high: float) -> Callable[[str, Any], float]:
    """Make a parser of numbers.

    Args:
        low: The smallest one.
        high: The largest one.

    Returns:
        A parser that refuses any other value, NaN included, with BAD_ARGUMENT.
    """

    def parse(at: str, raw: Any) -> float:
        if type(raw) not in (int, float) or not low <= raw <= high:
            raise wrong_value(at, raw, f"a number from {low:g} to {high:g}")
        return float(raw)

    return parse


def parse_whole(low: int, high: int) -> Callable[[str, Any], int]:
    """Make a parser of whole numbers.

    Args:
        low: The smallest one.
        high: The largest one.

    Returns:
        A parser that refuses any other value, with BAD_ARGUMENT.
    """

    def parse(at: str, raw: Any) -> int:
        if type(raw) is not int or not low <= raw <= high:
            raise wrong_value(at, raw, f"a whole number from {low} to {high}")
        return raw

    return parse


def parse_text(at: str, raw: Any) -> str:
    """Parse a text that is not empty.

    Args:
        at: The entry's path.
        raw: What TOML holds there.

    Returns:
        The text.

    Raises:
        RefusalError: BAD_ARGUMENT for any other value.
    """
    if not isinstance(raw, str) or not raw:
        raise wrong_value(at, raw, "a text")
    return raw


def parse_positive(at: str, raw: Any) -> int:
    """Parse an amount of coins.

    Args:
        at: The entry's path.
        raw: What TOML holds there, such as "1000fdc".

    Returns:
        The amount in sap, above zero.

    Raises:
        RefusalError: BAD_ARGUMENT for any other value.
    """
    try:
        amount = parse_amount(raw) if isinstance(raw, str) else 0
    except RefusalError as refusal:
        raise wrong_entry(at, f"is wrong: {refusal}") from None
    if amount <= 0:
        raise wrong_value(at, raw, "an amount above zero, such as '1000fdc'")
    return amount


def wrong_value(at: str, raw: object, allowed: str) -> RefusalError:
    """Make the refusal of a value.

    Args:
        at: The entry's path.
        raw: What TOML holds there.
        allowed: What may be there.

    Returns:
        BAD_ARGUMENT, to be raised.
    """
    return wrong_entry(at, f"is {raw!r}, but must be {allowed}")


def wrong_entry(at: str, problem: str) -> RefusalError:
    """Make the refusal of an entry.

    Args:
        at: The entry's path.
        problem: A clause that says what is wrong with it.

    Returns:
        BAD_ARGUMENT, to be raised.
    """
    field = at.rpartition(": ")[2]
    return RefusalError(ApplicationCode.BAD_ARGUMENT, f"{at} {problem}", field=field)
