"""The token that a command sends to a node's API: from a file that an option or a setting names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.data.errors import RefusalError
from fedcoin.data.private_files import find_exposure
from fedcoin.network.errors import NetworkCode

F = TypeVar("F", bound=Callable[..., Any])

MAX_BYTES: Final = 1_024
"""The largest file of a token that is read, in bytes."""

_META: Final = "fedcoin.token_file"


def token_option(command: F) -> F:
    """Add `--token-file FILE`, which `find_token` reads; the command's function does not get it.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """

    def keep(ctx: click.Context, param: click.Parameter, value: Path | None) -> None:
        ctx.meta[_META] = value

    return click.option(
        "--token-file",
        envvar="FEDCOIN_TOKEN_FILE",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=keep,
        help="Holds the token for the node's API, if it asks for one; also FEDCOIN_TOKEN_FILE, or "
        "the setting api.token_file.",
    )(command)


def find_token(config: NodeConfig) -> str:
    """Find the token that the running command sends to a node.

    Args:
        config: The settings of the command's home.

    Returns:
        The token in the file of `--token-file`, FEDCOIN_TOKEN_FILE or `api.token_file`, the first
        of them that is given; empty when none is.

    Raises:
        OSError: The file cannot be read.
        RefusalError: BAD_TOKEN_FILE when others can read it, or it holds no token.
    """
    context = click.get_current_context(silent=True)
    given = None if context is None else context.meta.get(_META)
    path = given or config.api.token_file
    return read_token_file(Path(path)) if path else ""


def read_token_file(path: Path) -> str:
    """Read a token from a file that only its owner can read or write.

    Args:
        path: The file, with one line.

    Returns:
        The token.

    Raises:
        OSError: The file cannot be read.
        RefusalError: BAD_TOKEN_FILE when others than the owner can read or write it, or it does not
            hold one line of printable ASCII characters.
    """
    with path.open("rb") as file:
        exposure = find_exposure(file.fileno())
        if exposure:
            raise _refused(path, exposure)
        content = file.read(MAX_BYTES + 1).strip()
    token = content.decode("ascii", errors="replace")
    if not token or not token.isascii() or not token.isprintable() or len(content) > MAX_BYTES:
        raise _refused(path, "does not hold a token: write one line as `token create` prints it")
    return token


def _refused(path: Path, problem: str) -> RefusalError:
    return RefusalError(
        NetworkCode.BAD_TOKEN_FILE, f"the token file {path} {problem}", field="token-file"
    )
