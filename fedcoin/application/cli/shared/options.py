"""Options that many commands share, and the types of their values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from fedcoin.application.cli.shared.api_token import token_option
from fedcoin.application.configuration.fields import check_node_address, endpoint_of
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

DEFAULT_HOME = "~/.fedcoin"
"""The home of a command that is told of none. It need not exist: a node on this machine can be
asked without one."""

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Adds options to a command's function."""


if TYPE_CHECKING:
    _AnyParamType = click.ParamType[Any]
else:
    # Only newer versions of click let a subscript name the type of the values.
    _AnyParamType = click.ParamType


class Parsed(_AnyParamType):
    """A type of value that is read by a function of this project.

    Args:
        name: The type's name in help texts.
        parse: Reads the text. A `RefusalError` or ValueError that it raises is reported as wrong
            usage; a ValueError's message is the end of a sentence that begins with the text.
    """

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self.parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a value.

        Args:
            value: Text, or a value that was read before.
            param: The option or argument, for the error.
            ctx: The command's context, for the error.

        Returns:
            What `parse` returned for a text; any other value unchanged.

        Raises:
            click.BadParameter: `parse` refused the text. The message ends with the error's code.
        """
        if not isinstance(value, str):
            return value
        try:
            return self.parse(value)
        except RefusalError as refusal:
            self.fail(f"{refusal.message} [{refusal.code.value}]", param, ctx)
        except ValueError as error:
            self.fail(f"{value!r} {error} [{ApplicationCode.BAD_ARGUMENT.value}]", param, ctx)


class AlternativeOption(click.Option):
    """An option of a command that needs this one or another parameter; the command checks which.

    Attributes:
        alternative: The other parameter's name.
    """

    def __init__(self, *declarations: Any, alternative: str, **attributes: Any) -> None:
        """Describe the option.

        Args:
            declarations: As of `click.Option`.
            alternative: The name of the parameter that may be given in its place.
            attributes: As of `click.Option`.
        """
        super().__init__(*declarations, **attributes)
        self.alternative = alternative


def _parse_amount(value: str) -> int:
    from fedcoin.data.messages.amounts import parse_amount as parse

    return parse(value)


def _parse_address(value: str) -> bytes:
    from fedcoin.data.crypto.addresses import parse_address as parse

    return parse(value)


def _parse_hash(value: str) -> str:
    if len(value) != 64 or not set(value.lower()) <= set("0123456789abcdef"):
        raise ValueError("must be 64 hex digits")
    return value.lower()


def _parse_endpoint(value: str) -> str:
    endpoint_of(value)
    return value


def _parse_node_address(value: str) -> str:
    check_node_address(value)
    return value


AMOUNT = Parsed("amount", _parse_amount)
"""Reads an int, in sap."""

ADDRESS = Parsed("address", _parse_address)
"""Reads the 20 bytes of an address."""

HASH = Parsed("hash", _parse_hash)
"""Reads a str of 64 lower-case hex digits."""

ENDPOINT = Parsed("host:port", _parse_endpoint)
"""Checks a str of the form host:port, and returns it unchanged."""

NODE_ADDRESS = Parsed("key@host:port", _parse_node_address)
"""Checks a str of the form key@host:port, and returns it unchanged."""


def home_option(command: F) -> F:
    """Add `--home DIR`, whose value is a `Home`. A folder that is named must exist.

    Else a mistyped name would be a home with the default settings, whose node is another one.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """
    return _add_home_option(command, is_made=False)


def new_home_option(command: F) -> F:
    """Add `--home DIR` to a command that makes the folder where it is missing.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """
    return _add_home_option(command, is_made=True)


def _add_home_option(command: F, *, is_made: bool) -> F:
    def make(ctx: click.Context, param: click.Parameter, value: str) -> Any:
        from fedcoin.application.configuration.home import Home

        home = Home(Path(value).expanduser())
        is_default = ctx.get_parameter_source(param.name or "") is ParameterSource.DEFAULT
        if not (is_made or is_default or home.root.is_dir()):
            raise RefusalError(
                ApplicationCode.NO_HOME,
                f"{home.root} is not a folder: name the home of a node or a client, or make one"
                f" with `fedcoin-node init --home {home.root}`",
                field="home",
            )
        return home

    return click.option(
        "--home",
        envvar="FEDCOIN_HOME",
        default=DEFAULT_HOME,
        show_default=True,
        metavar="DIR",
        callback=make,
        help="The home folder; also FEDCOIN_HOME.",
    )(command)


def node_option(command: F) -> F:
    """Add `--node HOST:PORT`, whose value is None when it was not given, and `--token-file FILE`.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the options.
    """
    return click.option(
        "--node",
        envvar="FEDCOIN_NODE",
        type=ENDPOINT,
        metavar="HOST:PORT",
        help="The node's API; also FEDCOIN_NODE. Default: the home's api.listen, "
        "else 127.0.0.1:7051.",
    )(token_option(command))


def json_option(command: F) -> F:
    """Add `--json`, as the parameter `as_json`.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """
    text = "Print JSON; amounts are in sap."
    return click.option("--json", "as_json", is_flag=True, help=text)(command)


def _parse_genesis(value: str) -> bytes:
    from fedcoin.application.configuration.pinned_genesis import parse_genesis_argument as parse

    return parse(value)


def genesis_option(command: F) -> F:
    """Add `--genesis FILE|HASH`, whose value is a genesis hash, or None when it was not given.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """
    return click.option(
        "--genesis",
        "genesis_hash",
        envvar="FEDCOIN_GENESIS",
        type=Parsed("genesis", _parse_genesis),
        metavar="FILE|HASH",
        help="The genesis.json of the network to sign for, or its SHA-256, where the home has "
        "none; also FEDCOIN_GENESIS.",
    )(command)


def server_option(command: F) -> F:
    """Add `--server` (`server`), the coordinator that a client trains for.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """
    return click.option(
        "--server",
        required=True,
        type=ENDPOINT,
        envvar="FEDCOIN_SERVER",
        metavar="HOST:PORT",
        help="The coordinator; also FEDCOIN_SERVER.",
    )(command)


def scale_option(inputs: str) -> Callable[[F], F]:
    """Add `--scale X`, as the parameter `scale`: None where it is not given.

    Args:
        inputs: Names the inputs that are divided, in the help text.

    Returns:
        A decorator of commands.
    """
    return click.option(
        "--scale",
        type=click.FloatRange(0, 1e9, min_open=True),
        metavar="X",
        help=f"Divide {inputs} by X, such as 255 for pixels. Without it, the numbers stay as they "
        "are, unless the file holds a number `scale`.",
    )


def node_key_option(command: F) -> F:
    """Add `--node-key HEX`, the key of the node that is asked with a reader's proof.

    Args:
        command: The command's function.

    Returns:
        The command's function, with the parameter `node_key`: None where it is not given.
    """
    return click.option(
        "--node-key",
        type=HASH,
        metavar="HEX",
        help="The key of the node that is asked for artifacts of a private campaign; needed beyond "
        "this machine, so that no other node can use what this command signs.",
    )(command)


def private_options(command: F) -> F:
    """Add `--private` and `--reader ADDRESS` of a command that opens a campaign.

    Args:
        command: The command's function.

    Returns:
        The command's function, with the parameters `private` (None where it is not given) and
        `readers`.
    """
    private = click.option(
        "--private",
        is_flag=True,
        default=None,
        help="Let only the campaign's miners, its server and readers fetch its weights and "
        "evaluation set; needs a list of clients.",
    )
    readers = click.option(
        "--reader",
        "readers",
        multiple=True,
        metavar="ADDRESS",
        help="With --private: who may fetch them as well; may be given several times.",
    )
    return private(readers(command))


def trained_option(command: F) -> F:
    """Add `--trained NAMES`, as the parameter `trained`: None where it is not given.

    Args:
        command: The command's function.

    Returns:
        The command's function.
    """
    return click.option(
        "--trained",
        metavar="NAMES",
        help="The weights that are trained, by names with *, separated by commas, such as "
        "'*lora*,head*'; the others are frozen [all].",
    )(command)


def split_list(text: str | None) -> tuple[str, ...]:
    """Split the value of an option that is a list.

    Args:
        text: Items separated by commas, or None.

    Returns:
        The items without spaces around them; none for None.
    """
    return tuple(item.strip() for item in (text or "").split(",") if item.strip())


def new_campaign_option(command: F) -> F:
    """Add `--new-campaign`, short `--new`: begin another campaign when the saved one is over.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """
    return click.option(
        "--new-campaign",
        "--new",
        "new_campaign",
        is_flag=True,
        help="Start another campaign if the last one is finished, or was closed.",
    )(command)


def key_option(default: str = "node") -> Decorator:
    """Make the option `--key NAME`, as the parameter `key_name`.

    Args:
        default: The key that is used when the option is not given.

    Returns:
        A decorator that adds the option to a command.
    """
    return click.option(
        "--key", "key_name", default=default, show_default=True, metavar="NAME",
        help="The key in the home's keys/ that signs.",
    )  # fmt: skip


def example(*lines: str) -> str:
    """Format the examples at the end of a command's help.

    Args:
        *lines: Command lines.

    Returns:
        The text for click's `epilog`.
    """
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in lines)


def pairs(name: str, read_key: Callable[[str], Any], read_value: Callable[[str], Any]) -> Parsed:
    """Make a type of value that is written KEY=VALUE and read as a tuple.

    Args:
        name: The type's name in help texts and errors.
        read_key: Reads the text before the equals sign.
        read_value: Reads the text after it.

    Returns:
        The type, for a click option.
    """

    def parse(value: str) -> tuple[Any, Any]:
        key, equals, rest = value.partition("=")
        if not equals:
            raise ValueError(f"must be {name}")
        return read_key(key), read_value(rest)

    return Parsed(name, parse)
