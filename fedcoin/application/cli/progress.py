"""Long work: a bar on a terminal, plain lines elsewhere, always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

LINE_SECONDS = 5.0
"""How often a plain line is written."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Counts ``total`` steps; each call of what this gives is one of them."""
    if sys.stderr.isatty():
        with bar(what, total) as advance_bar:
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
def bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """The same with rich."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)
