"""Show the progress of long work on standard error: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

LINE_SECONDS = 5.0
"""The time between two plain lines, in seconds."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show how many steps of a piece of work are done.

    Args:
        what: What the steps are, in the plural.
        total: The number of steps.

    Yields:
        A function to call after each step.
    """
    if sys.stderr.isatty():
        with _bar(what, total) as advance_bar:
            yield advance_bar
        return
    done, last = 0, time.monotonic()

    def advance() -> None:
        nonlocal done, last
        done += 1
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            click.echo(f"{done} of {total} {what}", err=True)

    yield advance
    click.echo(f"{done} of {total} {what}", err=True)


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)
