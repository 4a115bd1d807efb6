"""``fedcoin-node task``: following Shapley tasks, and publishing one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.connect import ask, node_client, run_async
from fedcoin.application.cli.look import payments_table
from fedcoin.application.cli.options import (
    HASH,
    example,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.output import (
    as_plain,
    coins,
    moment,
    nano,
    note,
    print_fields,
    print_json,
    print_table,
)
from fedcoin.application.home import Home

if TYPE_CHECKING:
    from fedcoin.v1.views_pb2 import TaskView


@click.group(epilog=example("fedcoin-node task list --open", "fedcoin-node task show 3c9a...41"))
def task() -> None:
    """Follow Shapley tasks, or publish one.

    A task is one round of a campaign: miners compute what each client's update was worth, prove
    it, agree on it, and the block that settles the task pays.
    """


def phase_of(view: TaskView) -> str:
    """Where a task stands, in a word."""
    from fedcoin.v1.block_pb2 import TaskPhase

    return TaskPhase.Name(view.phase).removeprefix("TASK_PHASE_").lower()


@task.command(
    name="list", epilog=example("fedcoin-node task list --open", "fedcoin-node task list --json")
)
@click.option("--campaign", type=HASH, help="Only of this campaign.")
@click.option("--open", "open_only", is_flag=True, help="Only those that are not closed.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@home_option
@node_option
@json_option
def list_tasks(
    campaign: str | None, open_only: bool, limit: int, home: Home, node: str | None, as_json: bool
) -> None:
    """List tasks, the latest first."""
    found = ask(home, node, lambda c: c.tasks(campaign, open_only=open_only, limit=limit))
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
                coins(view.prices.train + view.prices.com + view.prices.sap),
                moment(view.opened_ms),
                f"{view.campaign_id[:12]}…",
            )
            for view in found
        ],
        right=" r rr",
    )


@task.command(epilog=example("fedcoin-node task show 3c9a...41"))
@click.argument("task_id", type=HASH, metavar="TASK")
@home_option
@node_option
@json_option
def show(task_id: str, home: Home, node: str | None, as_json: bool) -> None:
    """Show a task: its clients' values and payouts, its miners, what it paid."""

    async def question() -> Any:
        async with node_client(home, node) as client:
            return await client.task(task_id), await client.payments(task_id)

    view, payments = run_async(question())
    if as_json:
        print_json({**as_plain(view), "payments": [as_plain(p) for p in payments]})
        return
    show_task(view)
    if payments:
        click.echo()
        payments_table(payments)


@task.command(epilog=example("fedcoin-node task watch 3c9a...41"))
@click.argument("task_id", type=HASH, metavar="TASK")
@home_option
@node_option
@json_option
def watch(task_id: str, home: Home, node: str | None, as_json: bool) -> None:
    """Follow a task until it is settled or failed; with --json, one object a change."""

    async def follow() -> TaskView | None:
        last = None
        async with node_client(home, node) as client:
            async for view in client.watch_task(task_id):
                last = view
                if as_json:
                    print_json(as_plain(view))
                else:
                    note(change(view))
        return last

    view = run_async(follow())
    if view is not None and not as_json:
        show_task(view)


def change(view: TaskView) -> str:
    """A task's state in a line."""
    committed = sum(miner.committed for miner in view.miners)
    revealed = sum(miner.revealed for miner in view.miners)
    return (
        f"round {view.round}, attempt {view.attempt + 1}: {phase_of(view)}, {committed} miners "
        f"committed, {revealed} revealed"
    )


def show_task(view: TaskView) -> None:
    """One task."""
    from fedcoin.v1.task_pb2 import Schedule

    prices = view.prices
    print_fields(
        {
            "task": view.task_id,
            "campaign": f"{view.campaign_id}, round {view.round}",
            "phase": f"{phase_of(view)}, attempt {view.attempt + 1}",
            "opened": f"{moment(view.opened_ms)}, block {view.opened_height}",
            "closed": f"{moment(view.closed_ms)}, block {view.closed_height}"
            if view.closed_height
            else "-",
            "prices": f"clients {coins(prices.train)}, server {coins(prices.com)}, "
            f"miners {coins(prices.sap)}",
            "schedule": Schedule.Name(view.schedule).removeprefix("SCHEDULE_").lower(),
            "evaluation": f"{view.evaluation_size} examples",
            "difficulty": nano(view.difficulty_nano),
            "winner": view.winner or "-",
        }
    )
    click.echo()
    print_table(
        ("CLIENT", "SAMPLES", "SHAPLEY VALUE", "PAYOUT"),
        [(c.address, c.num_samples, nano(c.shapley_nano), coins(c.payout)) for c in view.clients],
        right=" rrr",
    )
    if view.miners:
        click.echo()
        print_table(
            ("MINER", "COMMITTED", "REVEALED", "WITHIN D", "COALITIONS", "REWARD"),
            [
                (
                    m.address,
                    yes(m.committed),
                    yes(m.revealed),
                    yes(m.inlier),
                    m.evaluations,
                    coins(m.reward),
                )
                for m in view.miners
            ],
            right="    rr",
        )


def yes(value: bool) -> str:
    """For people."""
    return "yes" if value else "no"
