"""Show the progress of a valuation: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from fedcoin.application.cli.shared.progress import LINE_SECONDS
from fedcoin.application.offline.valuation import ReportProgress, ValuationProgress
from fedcoin.data.plurals import format_count
from fedcoin.shapley.tolerance import NORMAL_95


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
    left = f", {_left(progress)}" if progress.seconds_left is not None else ""
    return f"{progress.num_evaluated} of at most {total}{error}{left}"


def _left(progress: ValuationProgress) -> str:
    return "" if progress.seconds_left is None else f"about {progress.seconds_left:.0f} s left"


class _Announcement:
    """Says before the evaluation how much there is to do, and as soon as possible how long.

    Args:
        say: Takes each sentence.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._has_time = False

    def update(self, progress: ValuationProgress) -> None:
        """Say what this progress is the first one to tell."""
        if not progress.num_evaluated:
            coalitions = format_count(progress.max_evaluations, "coalition")
            examples = format_count(progress.num_examples, "example")
            self._say(f"{progress.method}: evaluates at most {coalitions} on {examples}")
        elif progress.seconds_left is not None and not self._has_time:
            self._has_time = True
            self._say(
                f"the evaluation will take about {progress.seconds_left:.0f} s more, measured on "
                f"{format_count(progress.num_evaluated, 'coalition')}"
            )


def _error(progress: ValuationProgress) -> str:
    if progress.std_error is None:
        return ""
    if progress.tolerance is None:
        return f"standard error {progress.std_error:.2g}"
    # With a tolerance the evaluation ends by this number.
    half_width = NORMAL_95 * progress.std_error
    return f"widest interval ±{half_width:.2g}, tolerance ±{progress.tolerance:g}"


@contextmanager
def _lines() -> Iterator[ReportProgress]:
    last = time.monotonic()

    announcement = _Announcement(lambda sentence: click.echo(sentence, err=True))

    def report(progress: ValuationProgress) -> None:
        nonlocal last
        announcement.update(progress)
        if progress.num_evaluated and time.monotonic() - last >= LINE_SECONDS:
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

        announcement = _Announcement(bar.console.print)

        def report(progress: ValuationProgress) -> None:
            announcement.update(progress)
            bar.update(
                task,
                completed=progress.num_evaluated,
                total=progress.max_evaluations,
                left=_left(progress),
                error=_error(progress),
            )

        yield report
