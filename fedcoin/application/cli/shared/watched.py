"""The option `--watch SECONDS` of commands that show something."""

from __future__ import annotations

import contextlib
import functools
import io
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from fedcoin.application.cli.shared.output import note

_CLEAR = "\x1b[H\x1b[2J\x1b[3J"
"""Moves a terminal's cursor to the top and clears it."""


def watch_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add `--watch SECONDS`: run the command's function again and again, until Ctrl-C.

    On a terminal each output replaces the one before; elsewhere they follow each other, so that
    with `--json` each is one line. A node that cannot be reached is reported, and asked again.

    Args:
        function: The innermost function of a command, which prints to standard output.

    Returns:
        The function with the option, of which it gets nothing.
    """

    @click.option(
        "--watch",
        "watch_seconds",
        type=click.FloatRange(0.2, 86_400),
        multiple=True,
        metavar="SECONDS",
        help="Show it again every so many seconds, until Ctrl-C.",
    )
    @functools.wraps(function)
    def watching(*arguments: Any, watch_seconds: tuple[float, ...], **given: Any) -> None:
        if len(watch_seconds) > 1:
            raise click.UsageError("--watch is given twice: one number of seconds is enough.")
        if not watch_seconds:
            function(*arguments, **given)
            return
        # The end of watching is no failure.
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                _show_once(lambda: function(*arguments, **given))
                time.sleep(watch_seconds[0])

    return watching


def _show_once(show: Callable[[], None]) -> None:
    # Imported here, so that commands without the option do not load gRPC.
    from fedcoin.network.client.rpc_error import RpcError

    shown = io.StringIO()
    try:
        with contextlib.redirect_stdout(shown):
            show()
    except RpcError as error:
        if not error.is_transient:
            raise
        note(f"{error.target}: {error.message}; asking again")
    text = shown.getvalue()
    click.echo(_CLEAR + text if sys.stdout.isatty() else text, nl=False)
