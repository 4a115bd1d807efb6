"""`fedcoin-node task show`."""

from __future__ import annotations

from typing import Any

import click

from fedcoin.application.cli.shared.connect import node_client, run_async
from fedcoin.application.cli.shared.id_prefixes import ID_PREFIX, complete_task_id
from fedcoin.application.cli.shared.ledger_output import print_payments
from fedcoin.application.cli.shared.options import (
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, print_json
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.cli.training.task.task_output import print_task
from fedcoin.application.configuration.home import Home


@click.command(epilog=example("fedcoin-node task show 3c9a...41"))
@click.argument("task_id", type=ID_PREFIX, metavar="TASK")
@home_option
@node_option
@json_option
@watch_option
def show(task_id: str, home: Home, node: str | None, as_json: bool) -> None:
    """Show a task: its clients' values and payouts, its miners, and all payments."""

    async def question() -> Any:
        async with node_client(home, node) as client:
            full_id = await complete_task_id(client, task_id)
            return await client.get_task(full_id), await client.list_payments(full_id)

    view, payments = run_async(question())
    if as_json:
        print_json({**as_plain(view), "payments": [as_plain(p) for p in payments]})
        return
    print_task(view)
    if payments:
        click.echo()
        print_payments(payments)
