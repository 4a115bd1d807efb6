"""Show the progress of a valuation: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from fedcoin.application.cli.shared.progress import LINE_SECONDS
from fedcoin.application.offline.valuation import ReportProgress, ValuationProgress
from fedcoin.data.plurals import format_count


@contextmanager
def shown() -> Iterator[ReportProgress]:
    """Show progress on standard error.

    Yields:
        A function to call with each new progress.
    """
    with _bar() if sys.stderr.isatty() else _lines() as report:
        yield report


def _sentence(progress: ValuationProgress) -> str:
    error = f", {_error(progress)}" if progress.std_error is not None else ""
    total = format_count(progress.max_evaluations, "coalition")
    return (
        f"{progress.num_evaluated} of at most {total}{error}, "
        f"about {progress.seconds_left:.0f} s left"
    )


def _error(progress: ValuationProgress) -> str:
    return "" if progress.std_error is None else f"standard error {progress.std_error:.2g}"


@contextmanager
def _lines() -> Iterator[ReportProgress]:
    last = time.monotonic()

    def report(progress: ValuationProgress) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            click.echo(_sentence(progress), err=True)

    yield report


@contextmanager
def _bar() -> Iterator[ReportProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (
        TextColumn("coalitions"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[left]} {task.fields[error]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, left="", error="")

        def report(progress: ValuationProgress) -> None:
            left = f"{progress.seconds_left:.0f} s left"
            bar.update(
                task,
                completed=progress.num_evaluated,
                total=progress.max_evaluations,
                left=left,
                error=_error(progress),
            )

        yield report
