"""Kinds of settings: how each is read from TOML or an environment variable, and written as TOML.

A setting is a dataclass field made with `setting`. Its default, its kind and its documentation are
one expression, from which the sample `config.toml` and the table in docs/OPERATIONS.md are made.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import format_amount, parse_amount
from fedcoin.network.peers.connections.endpoints import Endpoint, parse_endpoint
from fedcoin.network.peers.connections.node_addresses import NODE_KEY, parse_node_address

_ADDRESS_FORM = "must be host:port, such as 127.0.0.1:7051"
_MAX_PORT = 65_535
_NODE_ADDRESS_FORM = "must be key@host:port with the node's key as 64 digits of lower-case hex"


@dataclass(frozen=True, slots=True)
class Kind:
    """The parser and the writer of a setting's value, such as a number within limits."""

    parse: Callable[[object], Any]
    """Turns a TOML value, or the string of an environment variable, into the setting's value.
    Raises ValueError, whose message follows the setting's name in a sentence: "must be ..."."""

    render: Callable[[Any], str]
    """Turns the setting's value into TOML."""

    is_amount: bool = False
    """Whether the value is an amount of coins, in sap."""


def setting(default: Any, kind: Kind, doc: str) -> Any:
    """Declare a setting as a field of a dataclass.

    Args:
        default: The value when nothing else is given.
        kind: How the value is read, checked and written.
        doc: One sentence for `config.toml` and docs/OPERATIONS.md.

    Returns:
        The field. Its type is `Any`, so that the class can annotate it with the value's type.
    """
    return dataclasses.field(default=default, metadata={"kind": kind, "doc": doc})


def refuse(name: str, value: object, problem: str) -> RefusalError:
    """Make the error for a setting with a wrong value.

    Args:
        name: The setting, such as `api.listen`.
        value: The value that was given.
        problem: The end of the sentence: "it must be ...".

    Returns:
        A refusal with code BAD_CONFIG, which the caller raises.
    """
    return RefusalError(
        ApplicationCode.BAD_CONFIG, f"{name} is {value!r}, but {problem}", field=name, limit=problem
    )


def quote(value: str) -> str:
    """Encode a string in TOML.

    JSON's escapes are TOML's, except beyond 16 bits (kept as they are) and for DEL.

    Args:
        value: Any text.

    Returns:
        The text in quotes.
    """
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def text(allow_empty: bool = True) -> Kind:
    """Describe a setting that is a string.

    Args:
        allow_empty: Whether the empty string is accepted.

    Returns:
        The parser and the writer of such a setting.
    """

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError("must be a string")
        if not value and not allow_empty:
            raise ValueError("must not be empty")
        return value

    return Kind(parse, quote)


def choice(*allowed: str) -> Kind:
    """Describe a setting that is one of a few words.

    Args:
        *allowed: The words that are accepted.

    Returns:
        The parser and the writer of such a setting.
    """

    def parse(value: object) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return str(value)

    return Kind(parse, quote)


def switch() -> Kind:
    """Describe a setting that is true or false; a string may also be 1, 0, yes or no."""
    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

    def parse(value: object) -> bool:
        found = value if isinstance(value, bool) else words.get(str(value).lower())
        if found is None:
            raise ValueError("must be true or false")
        return found

    return Kind(parse, lambda value: "true" if value else "false")


def number(low: int, high: int) -> Kind:
    """Describe a setting that is a whole number.

    Args:
        low: The smallest number that is accepted.
        high: The largest number that is accepted.

    Returns:
        The parser and the writer of such a setting.
    """

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
    """Describe a setting that is a finite number.

    Args:
        low: The smallest number that is accepted.
        high: The largest number that is accepted.

    Returns:
        The parser and the writer of such a setting.
    """

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
    """Describe a setting that is an amount: a string such as "1.5fdc", or, in code, whole sap."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise ValueError('must be an amount such as "1.5fdc"')
        try:
            return parse_amount(value if isinstance(value, str) else f"{value}sap")
        except RefusalError as refusal:
            raise ValueError(f"must be an amount: {refusal.message}") from None

    return Kind(parse, lambda sap: quote(format_amount(sap).replace(" ", "").lower()), True)


def many(item: Kind) -> Kind:
    """Describe a setting that is a list; in an environment variable, separated by commas.

    Args:
        item: The parser and the writer of each item.

    Returns:
        The parser and the writer of the list, which is read as a tuple.
    """

    def parse(value: object) -> tuple[Any, ...]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, (list, tuple)):
            raise ValueError("must be a list")
        return tuple(item.parse(part) for part in value)

    return Kind(parse, lambda items: f"[{', '.join(item.render(part) for part in items)}]")


def address(allow_empty: bool = False) -> Kind:
    """Describe a setting that is an address, such as 127.0.0.1:7050; the port may be 0.

    Args:
        allow_empty: Whether the empty string is accepted.

    Returns:
        The parser, which checks the text and leaves it as it is, and the writer.
    """

    def parse(value: object) -> str:
        if value == "" and allow_empty:
            return ""
        if not isinstance(value, str):
            raise ValueError(_ADDRESS_FORM)
        endpoint_of(value)
        return value

    return Kind(parse, quote)


def proxy() -> Kind:
    """Describe a setting that is an HTTP proxy, http://host:port or http://user:password@host:port.

    Returns:
        The parser, which checks the text and leaves it as it is, and the writer. It accepts the
        empty string, for none.
    """
    form = "must be http://host:port, such as http://proxy.example.org:3128"

    def parse(value: object) -> str:
        if value == "":
            return ""
        scheme, _, rest = str(value).partition("://")
        if not isinstance(value, str) or scheme != "http":
            raise ValueError(form)
        try:
            endpoint_of(rest.rpartition("@")[2].rstrip("/"))
        except ValueError:
            raise ValueError(form) from None
        return value

    return Kind(parse, quote)


def unix_socket() -> Kind:
    """Describe a setting that is a Unix socket, such as unix:/run/fedcoin/signer.sock.

    Returns:
        The parser, which checks the text and leaves it as it is, and the writer. It accepts the
        empty string, for none.
    """

    def parse(value: object) -> str:
        if value and not (isinstance(value, str) and value.startswith("unix:/")):
            raise ValueError("must be unix: and an absolute path, such as unix:/run/signer.sock")
        return str(value)

    return Kind(parse, quote)


def node_address() -> Kind:
    """Describe a setting that is a node's address: key@host:port, or host:port without its key.

    Returns:
        The parser, which checks the text and leaves it as it is, and the writer.
    """

    def parse(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(_NODE_ADDRESS_FORM)
        check_node_address(value)
        return value

    return Kind(parse, quote)


def node_key() -> Kind:
    """Describe a setting that is a node key: the public key as 64 digits of lower-case hex."""

    def parse(value: object) -> str:
        if not isinstance(value, str) or not NODE_KEY.fullmatch(value):
            raise ValueError("must be a node key of 64 digits of lower-case hex")
        return value

    return Kind(parse, quote)


def network() -> Kind:
    """Describe a setting that is an IP address, or a network such as 192.0.2.0/24."""

    def parse(value: object) -> str:
        try:
            if not isinstance(value, str):
                raise ValueError
            return str(ipaddress.ip_network(value))
        except ValueError:
            raise ValueError(
                "must be an IP address, or a network such as 192.0.2.0/24 whose host bits are 0"
            ) from None

    return Kind(parse, quote)


def check_node_address(value: str) -> None:
    """Check a node's address.

    Args:
        value: `key@host:port` or `host:port`, the key as 64 digits of lower-case hex.

    Raises:
        ValueError: The text is not an address. The message is the end of a sentence.
    """
    try:
        parse_node_address(value)
    except RefusalError:
        raise ValueError(_NODE_ADDRESS_FORM) from None


def endpoint_of(value: str) -> Endpoint:
    """Split an address into host and port.

    Args:
        value: `host:port` or `[v6]:port`; the port may be 0.

    Returns:
        Host and port; the host without brackets.

    Raises:
        ValueError: The text is not an address. The message is the end of a sentence.
    """
    try:
        return parse_endpoint(value, any_port=True)
    except RefusalError:
        port = value.rpartition(":")[2]
        if port.isascii() and port.isdigit() and int(port) > _MAX_PORT:
            raise ValueError(f"has the port {port}; ports go up to {_MAX_PORT}") from None
        raise ValueError(_ADDRESS_FORM) from None


def dialable(listen: str) -> str:
    """Return an address on which this machine reaches one of its own listeners.

    Args:
        listen: The address that the listener was given.

    Returns:
        The address, with a wildcard host (0.0.0.0, ::) replaced by the loopback host.

    Raises:
        ValueError: `listen` is not an address.
    """
    endpoint = endpoint_of(listen)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(endpoint.host, endpoint.host)
    return str(Endpoint(host, endpoint.port))
