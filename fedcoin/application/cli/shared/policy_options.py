"""Options of commands that prepare a transaction of an account of several keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from fedcoin.application.cli.shared.options import Parsed
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.key_policies import KeyPolicy
from fedcoin.data.errors import RefusalError


def _parse_policy(value: str) -> KeyPolicy:
    from fedcoin.application.wallet.key_policy_file import read_policy

    return read_policy(Path(value).expanduser())


POLICY = Parsed("policy", _parse_policy)
"""Reads a `KeyPolicy` from its file."""


def policy_options(command: Any) -> Any:
    """Add `--prepare FILE` (`prepare`), `--policy FILE` (`policy`) and `--nonce N` (`nonce`).

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the options.
    """
    for option in reversed(
        (
            click.option(
                "--prepare",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Write the transaction to FILE for the keys of --policy to sign "
                "(`transaction sign`), in place of signing it.",
            ),
            click.option(
                "--policy",
                type=POLICY,
                metavar="FILE",
                help="The account of several keys (`keys policy create`) whose transaction it is.",
            ),
            click.option(
                "--nonce",
                type=click.IntRange(0),
                help="With --prepare: the transaction's number; default: the account's next one.",
            ),
        )
    ):
        command = option(command)
    return command


def check_policy_options(given: dict[str, Any]) -> bool:
    """Check that the options of an account of several keys are given together.

    Args:
        given: The values of `policy_options`, and of `--replace`, by parameter.

    Returns:
        Whether a transaction is to be prepared.

    Raises:
        RefusalError: BAD_ARGUMENT when one of `--prepare` and `--policy` is missing, or when
            another option does not go with them.
    """
    prepares, named = given["prepare"] is not None, given["policy"] is not None
    if prepares != named or (given["nonce"] is not None and not prepares):
        problem = "--prepare and --policy go together, and --nonce with both"
    elif prepares and given["replace"]:
        problem = "--replace does not go with --prepare: give the nonce of the other one as --nonce"
    else:
        return prepares
    raise RefusalError(ApplicationCode.BAD_ARGUMENT, problem, field="prepare")
