"""`fedcoin-node task watch`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.connect import node_client, run_async
from fedcoin.application.cli.shared.id_prefixes import ID_PREFIX, complete_task_id
from fedcoin.application.cli.shared.options import (
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, print_json
from fedcoin.application.cli.training.task.task_display import task_display
from fedcoin.application.cli.training.task.task_output import print_task, refuse_unless_settled
from fedcoin.application.configuration.home import Home

if TYPE_CHECKING:
    from fedcoin.v1.views_pb2 import TaskView


@click.command(epilog=example("fedcoin-node task watch 3c9a...41"))
@click.argument("task_id", type=ID_PREFIX, metavar="TASK")
@home_option
@node_option
@json_option
def watch(task_id: str, home: Home, node: str | None, as_json: bool) -> None:
    """Follow a task until it is closed. --json prints one object for each change.

    The exit code is 1 when the task fails.
    """

    async def follow() -> TaskView | None:
        last = None
        display = nullcontext(_print_one) if as_json else task_display()
        async with node_client(home, node) as client:
            full_id = await complete_task_id(client, task_id)
            with display as show:
                async for view in client.watch_task(full_id):
                    last = view
                    show(view)
        return last

    view = run_async(follow())
    if view is None:
        return
    if not as_json:
        print_task(view)
    refuse_unless_settled(view)


def _print_one(view: TaskView) -> None:
    print_json(as_plain(view))
