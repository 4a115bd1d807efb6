"""Show how far a task is while it is followed: a table on a terminal, lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from fedcoin.application.cli.shared.output import note
from fedcoin.application.cli.training.task.task_output import describe_progress
from fedcoin.data.clock import unix_ms

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fedcoin.v1.views_pb2 import TaskView


@contextlib.contextmanager
def task_display() -> Iterator[Callable[[TaskView], None]]:
    """Show a task on standard error, each time that it changes.

    On a terminal a table of its miners stays in place, and the time left counts down; elsewhere
    there is a line for each change.

    Yields:
        A function that takes the task after each change.
    """
    if not sys.stderr.isatty():
        yield lambda view: note(describe_progress(view, unix_ms()))
        return
    from rich.console import Console
    from rich.live import Live

    shown: list[TaskView] = []

    def latest() -> RenderableType:
        return render_miners(shown[-1], unix_ms()) if shown else ""

    with Live(get_renderable=latest, console=Console(stderr=True), transient=True):
        yield shown.append


def render_miners(view: TaskView, now_ms: int) -> RenderableType:
    """Lay out a task's phase and its miners for a terminal.

    Args:
        view: The task as a node shows it.
        now_ms: The present time in Unix ms.

    Returns:
        A table for rich's console: for each miner its share of the power, and what it has done.
    """
    from rich import box
    from rich.table import Table

    title = describe_progress(view, now_ms)
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("miner", "power", "samples", "coalitions", "state"):
        table.add_column(column)
    for miner in view.miners:
        state = "revealed" if miner.revealed else "committed" if miner.committed else "computing"
        share = f"{miner.power / view.total_power:.1%}" if view.total_power else "-"
        counts = (str(miner.samples or "-"), str(miner.evaluations or "-"))
        table.add_row(miner.address, share, *counts, state)
    for address in view.declined:
        table.add_row(address, "", "", "", "cannot take part")
    return table
