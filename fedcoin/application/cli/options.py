"""Options that many commands share, and the kinds of values they take."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedcoin.application.configuration.fields import endpoint_of
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


if TYPE_CHECKING:
    _AnyParamType = click.ParamType[Any]
else:
    # Only newer versions of click let a subscript name the type of the values.
    _AnyParamType = click.ParamType


class Parsed(_AnyParamType):
    """A value that one of our own functions reads; what it refuses is wrong usage."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self.parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Reads text; passes on what was read before."""
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except RefusalError as refusal:
            self.fail(f"{refusal.message} [{refusal.code.value}]", param, ctx)
        except ValueError as error:
            self.fail(f"{value!r} {error} [{ApplicationCode.BAD_ARGUMENT.value}]", param, ctx)


def parse_amount(value: str) -> int:
    """Coins, in sap."""
    from fedcoin.data.messages.amounts import parse_amount as parse

    return parse(value)


def parse_address(value: str) -> bytes:
    """An address, 20 bytes."""
    from fedcoin.data.crypto.addresses import parse_address as parse

    return parse(value)


def parse_hash(value: str) -> str:
    """A hash, as 64 lower-case hex digits."""
    if len(value) != 64 or not set(value.lower()) <= set("0123456789abcdef"):
        raise ValueError("must be 64 hex digits")
    return value.lower()


def parse_endpoint(value: str) -> str:
    """host:port."""
    endpoint_of(value)
    return value


AMOUNT = Parsed("amount", parse_amount)
ADDRESS = Parsed("address", parse_address)
HASH = Parsed("hash", parse_hash)
ENDPOINT = Parsed("host:port", parse_endpoint)


def home_option(command: F) -> F:
    """``--home DIR``, as a :class:`~fedcoin.application.configuration.home.Home`."""

    def make(ctx: click.Context, param: click.Parameter, value: str) -> Any:
        from fedcoin.application.configuration.home import Home

        return Home(Path(value).expanduser())

    return click.option(
        "--home",
        envvar="FEDCOIN_HOME",
        default="~/.fedcoin",
        show_default=True,
        metavar="DIR",
        callback=make,
        help="The home folder; also FEDCOIN_HOME.",
    )(command)


def node_option(command: F) -> F:
    """``--node HOST:PORT``; None where it was not given."""
    return click.option(
        "--node",
        envvar="FEDCOIN_NODE",
        type=ENDPOINT,
        metavar="HOST:PORT",
        help="The node's API; also FEDCOIN_NODE. Default: the home's api.listen, "
        "else 127.0.0.1:7051.",
    )(command)


def json_option(command: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def new_campaign_option(command: F) -> F:
    """``--new-campaign``, also ``--new``."""
    return click.option(
        "--new-campaign",
        "--new",
        "new_campaign",
        is_flag=True,
        help="Begin another campaign if the last one is finished.",
    )(command)


def key_option(default: str = "node") -> Decorator:
    """``--key NAME``."""
    return click.option(
        "--key", "key_name", default=default, show_default=True, metavar="NAME",
        help="The key in the home's keys/ that signs.",
    )  # fmt: skip


def passphrase_option(command: F) -> F:
    """``--passphrase-file FILE``; else FEDCOIN_PASSPHRASE; else None."""

    def read(ctx: click.Context, param: click.Parameter, value: Path | None) -> str | None:
        if value is not None:
            return value.read_text(encoding="utf-8").rstrip("\r\n")
        return os.environ.get("FEDCOIN_PASSPHRASE") or None

    return click.option(
        "--passphrase-file",
        "passphrase",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=read,
        metavar="FILE",
        help="Holds the passphrase of an encrypted key; else FEDCOIN_PASSPHRASE.",
    )(command)


def example(*lines: str) -> str:
    """The end of a command's help: lines to copy."""
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def pairs(name: str, read_key: Callable[[str], Any], read_value: Callable[[str], Any]) -> Parsed:
    """A kind KEY=VALUE, as a tuple."""

    def parse(value: str) -> tuple[Any, Any]:
        key, equals, rest = value.partition("=")
        if not equals:
            raise ValueError(f"must be {name}")
        return read_key(key), read_value(rest)

    return Parsed(name, parse)
