"""Where commands get a passphrase from: a file, a variable, or a person at a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from fedcoin.application.cli.shared.output import note
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.private_files import find_exposure

if TYPE_CHECKING:
    from fedcoin.application.configuration.home import Home

F = TypeVar("F", bound=Callable[..., Any])

MAX_PASSPHRASE_BYTES = 4096
"""The largest passphrase file that is read, in bytes."""


def read_passphrase_file(path: Path) -> str:
    """Read a passphrase from a file that only its owner can read or write.

    Args:
        path: The file, or a pipe. Line ends at its end are not part of the passphrase.

    Returns:
        The text of the file, without line ends at its end; not empty.

    Raises:
        RefusalError: BAD_PASSPHRASE_FILE when others than the owner can read or write the file, or
            it is empty, longer than `MAX_PASSPHRASE_BYTES`, or not UTF-8.
    """
    with path.open("rb") as file:
        exposure = find_exposure(file.fileno())
        if exposure:
            raise _refused(path, exposure)
        content = file.read(MAX_PASSPHRASE_BYTES + 1)
    if len(content) > MAX_PASSPHRASE_BYTES:
        raise _refused(path, f"is longer than {MAX_PASSPHRASE_BYTES} bytes: give another file")
    try:
        passphrase = content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise _refused(path, "is not UTF-8 text: give another file") from None
    if not passphrase:
        raise _refused(path, "is empty: write the passphrase into it")
    return passphrase


def _refused(path: Path, reason: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_PASSPHRASE_FILE,
        f"the passphrase file {path} {reason}",
        field="passphrase-file",
    )


def passphrase_option(command: F) -> F:
    """Add `--passphrase-file FILE`; its value is the passphrase.

    Without the option, the value is the variable FEDCOIN_PASSPHRASE, or None if that is not set.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """

    def read(ctx: click.Context, param: click.Parameter, value: Path | None) -> str | None:
        if value is not None:
            return read_passphrase_file(value)
        return os.environ.get("FEDCOIN_PASSPHRASE") or None

    return click.option(
        "--passphrase-file",
        "passphrase",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        callback=read,
        metavar="FILE",
        help="Holds the passphrase of an encrypted key; only its owner may read the file. Else "
        "FEDCOIN_PASSPHRASE.",
    )(command)


def encrypt_option(command: F) -> F:
    """Add `--encrypt/--no-encrypt`, None when neither was given.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """
    return click.option(
        "--encrypt/--no-encrypt",
        default=None,
        help="Encrypt the key with a passphrase, or leave it in plain text in the file. "
        "Default: encrypt when there is a passphrase or a terminal to ask for one.",
    )(command)


def choose_passphrase(passphrase: str | None, encrypt: bool | None) -> str | None:
    """Decide with which passphrase a new key is encrypted, and ask for it if necessary.

    Args:
        passphrase: From a file or variable; None when there is none.
        encrypt: The value of `--encrypt/--no-encrypt`; None when neither was given.

    Returns:
        The passphrase; None to leave the key in plain text.

    Raises:
        RefusalError: NO_PASSPHRASE when the key must be encrypted, there is no passphrase, and no
            terminal to ask for one.
    """
    if encrypt is False:
        return None
    if passphrase is not None:
        return passphrase
    if encrypt and not is_interactive():
        raise RefusalError(
            ApplicationCode.NO_PASSPHRASE,
            "--encrypt needs a passphrase: give --passphrase-file or FEDCOIN_PASSPHRASE, or a "
            "terminal to ask for one",
            field="passphrase",
        )
    if is_interactive():
        return str(
            click.prompt(
                "Passphrase for the new key, not empty (for a key without one: --no-encrypt)",
                hide_input=True,
                confirmation_prompt=True,
                err=True,
            )
        )
    note("The key is not encrypted: there was no --passphrase-file, and no terminal to ask for one")
    return None


def find_passphrase(home: Home, names: Sequence[str], passphrase: str | None) -> str | None:
    """Ask for a passphrase when keys are encrypted, none was given, and a person is there.

    Args:
        home: The home that holds the keys.
        names: Names of the keys that will be opened with one passphrase. A missing one is ignored.
        passphrase: From a file or variable; None when there is none.

    Returns:
        `passphrase`, or what was entered; None when none is needed or there is no terminal.
    """
    if passphrase is not None or not is_interactive():
        return passphrase
    existing = set(names) & set(home.key_names())
    if not any(home.key_info(name).is_encrypted for name in existing):
        return None
    return str(click.prompt("Passphrase", hide_input=True, err=True))


def is_interactive() -> bool:
    """True when a person at a terminal can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()
