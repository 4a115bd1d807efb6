"""Run a command, and explain its failure."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import NoReturn

import click

from fedcoin.application.cli.failures import Failure, explain
from fedcoin.application.cli.missing_parameters import name_all_missing
from fedcoin.application.cli.root_command import cli


def run(
    arguments: Sequence[str] | None = None,
    command: click.Command = cli,
    program: str = "fedcoin-node",
) -> int:
    """Carry out a command; explain a failure on standard error.

    Args:
        arguments: The command line without the program's name; None takes that of the process.
        command: The command or group that reads the arguments.
        program: The program's name in help and usage texts.

    Returns:
        The exit code for the shell: 0 done, 1 failed, 2 wrong usage, 3 a node failed.
    """
    try:
        result = command.main(
            args=list(arguments) if arguments is not None else None,
            prog_name=program,
            standalone_mode=False,
        )
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        shown = name_all_missing(error) if isinstance(error, click.MissingParameter) else error
        shown.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return 1
    except BrokenPipeError:
        # The reader of our output has gone. Without this, Python prints an error while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("FEDCOIN_DEBUG"):
            raise
        failure = explain(error)
        for line in _sentences(failure):
            click.echo(line, err=True)
        return failure.exit_code
    return result if isinstance(result, int) else 0


def _sentences(failure: Failure) -> Iterable[str]:
    yield f"Error: {failure.sentence} [{failure.code}]"
    if failure.unexpected:
        yield "This is a bug. FEDCOIN_DEBUG=1 shows where it happened."


def main() -> NoReturn:
    """Run `fedcoin-node` and exit."""
    # gRPC reads this when it is imported. This program starts children without forking; with fork
    # support, gRPC would log a warning at the start of each child.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    sys.exit(run())
