"""Kinds of settings: how each is read from TOML, from a variable, and written back.

A setting is a dataclass field made with :func:`setting`. Its documentation, its kind and its
default stand in one place, so that the sample configuration can never drift from the program.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import format_amount, parse_amount
from fedcoin.network.peers.connections import endpoints


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value.

    ``parse`` takes what TOML gave or a string from a variable, and raises :class:`ValueError`
    with the end of a sentence ("must be ..."). ``render`` gives the TOML text.
    """

    parse: Callable[[object], Any]
    render: Callable[[Any], str]


def setting(default: Any, kind: Kind, doc: str) -> Any:
    """A dataclass field that is a setting."""
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def refuse(name: str, value: object, problem: str) -> RefusalError:
    """What is wrong with the setting ``name``, ready to be raised."""
    return RefusalError(
        ApplicationCode.BAD_CONFIG, f"{name} is {value!r}, but {problem}", field=name, limit=problem
    )


def quote(value: str) -> str:
    """A TOML string. JSON's are the same but for what lies beyond 16 bits, and DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def text(allow_empty: bool = True) -> Kind:
    """A string."""

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        if not value and not allow_empty:
            raise ValueError("must not be empty")
        return value

    return Kind(parse, quote)


def choice(*allowed: str) -> Kind:
    """One of a few words."""

    def parse(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return Kind(parse, quote)


def switch() -> Kind:
    """True or false."""
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

    def parse(value: object) -> bool:
        found = value if isinstance(value, bool) else words.get(str(value).lower())
        if found is None:
            raise ValueError("must be true or false")
        return found

    return Kind(parse, lambda value: "true" if value else "false")


def number(low: int, high: int) -> Kind:
    """A whole number within bounds."""

    def parse(value: object) -> int:
        try:
            if isinstance(value, (bool, float)):
                raise ValueError
            found = int(str(value))
        except ValueError:
            raise ValueError(f"must be a whole number from {low} to {high}") from None
        if not low <= found <= high:
            raise ValueError(f"must be from {low} to {high}")
        return found

    return Kind(parse, str)


def real(low: float, high: float) -> Kind:
    """A number within bounds."""

    def parse(value: object) -> float:
        try:
            if isinstance(value, bool):
                raise ValueError
            found = float(str(value))
        except ValueError:
            raise ValueError(f"must be a number from {low:g} to {high:g}") from None
        if not low <= found <= high:  # also refuses NaN
            raise ValueError(f"must be from {low:g} to {high:g}")
        return found

    return Kind(parse, repr)


def amount() -> Kind:
    """Coins: a string such as "1.5fdc", or whole sap."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ValueError('must be an amount such as "1.5fdc"')
        try:
            return parse_amount(str(value))
        except RefusalError as refusal:
            raise ValueError(f"must be an amount: {refusal.message}") from None

    return Kind(parse, lambda sap: quote(format_amount(sap).replace(" ", "").lower()))


def many(item: Kind) -> Kind:
    """A list; a string of items parted by commas in a variable."""

    def parse(value: object) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            raise ValueError("must be a list")
        return tuple(item.parse(part) for part in value)

    return Kind(parse, lambda items: f"[{', '.join(item.render(part) for part in items)}]")


def address(allow_empty: bool = False) -> Kind:
    """host:port."""

    def parse(value: object) -> str:
        if value == "" and allow_empty:
            return ""
        if not isinstance(value, str):
            raise ValueError("must be host:port, such as 127.0.0.1:7050")
        split_address(value)
        return value

    return Kind(parse, quote)


def split_address(value: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``; ValueError when it is neither."""
    host, colon, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    good = bool(colon and bare) and port.isascii() and port.isdigit() and int(port) <= 65535
    if not good or (":" in bare and bare == host) or any(c.isspace() or c in "/\\" for c in bare):
        raise ValueError("must be host:port, such as 127.0.0.1:7050")
    return bare, int(port)


def reachable(listen: str) -> str:
    """An address on which this machine reaches a listener of its own."""
    host, port = split_address(listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(value: str) -> bool:
    """Does this host:port name the machine itself, unreachable from others?"""
    host, _ = split_address(value)
    return endpoints.is_loopback(host)
