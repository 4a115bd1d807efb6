"""`fedcoin-node task list`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.id_prefixes import ID_PREFIX, complete_campaign_id
from fedcoin.application.cli.shared.options import (
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, coins, moment, print_json, print_table
from fedcoin.application.cli.shared.watched import watch_option
from fedcoin.application.cli.training.task.task_output import phase_of
from fedcoin.application.configuration.home import Home

if TYPE_CHECKING:
    from fedcoin.network.client.node_client import NodeClient
    from fedcoin.v1.views_pb2 import TaskView


@click.command(
    name="list", epilog=example("fedcoin-node task list --open", "fedcoin-node task list --json")
)
@click.option("--campaign", type=ID_PREFIX, help="List the tasks of this campaign only.")
@click.option("--open", "open_only", is_flag=True, help="List open tasks only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@home_option
@node_option
@json_option
@watch_option
def list_tasks(
    campaign: str | None, open_only: bool, limit: int, home: Home, node: str | None, as_json: bool
) -> None:
    """List tasks, the latest first."""

    async def question(client: NodeClient) -> list[TaskView]:
        wanted = await complete_campaign_id(client, campaign) if campaign else None
        return await client.list_tasks(wanted, open_only=open_only, limit=limit)

    found = ask(home, node, question)
    if as_json:
        print_json([as_plain(view) for view in found])
        return
    print_table(
        ("TASK", "ROUND", "PHASE", "CLIENTS", "PRICE", "OPENED", "CAMPAIGN"),
        [
            (
                view.task_id,
                view.round,
                phase_of(view),
                len(view.clients),
                coins(view.prices.training + view.prices.aggregation + view.prices.mining),
                moment(view.opened_ms),
                f"{view.campaign_id[:12]}…",
            )
            for view in found
        ],
        right=" r rr",
    )
