"""`fedcoin-node task`: follow Shapley tasks, and publish one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.connect import ask, node_client, open_wallet, run_async
from fedcoin.application.cli.options import (
    ADDRESS,
    AMOUNT,
    HASH,
    example,
    home_option,
    json_option,
    node_option,
    passphrase_option,
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
from fedcoin.application.cli.query import payments_table
from fedcoin.application.cli.start import flags_of, set_option
from fedcoin.application.cli.waiting import explained_wait
from fedcoin.application.configuration.home import Home
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.v1.views_pb2 import TaskView


@click.group(epilog=example("fedcoin-node task list --open", "fedcoin-node task show 3c9a...41"))
def task() -> None:
    """Follow Shapley tasks, or publish one.

    A task is one round of a campaign: miners compute the Shapley value of each client's update,
    prove it and agree on it, and the block that settles the task pays.
    """


def _phase_of(view: TaskView) -> str:
    from fedcoin.v1.block_pb2 import TaskPhase

    return TaskPhase.Name(view.phase).removeprefix("TASK_PHASE_").lower()


@task.command(
    name="list", epilog=example("fedcoin-node task list --open", "fedcoin-node task list --json")
)
@click.option("--campaign", type=HASH, help="List the tasks of this campaign only.")
@click.option("--open", "open_only", is_flag=True, help="List open tasks only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=20, show_default=True)
@home_option
@node_option
@json_option
def list_tasks(
    campaign: str | None, open_only: bool, limit: int, home: Home, node: str | None, as_json: bool
) -> None:
    """List tasks, the latest first."""
    found = ask(home, node, lambda c: c.list_tasks(campaign, open_only=open_only, limit=limit))
    if as_json:
        print_json([as_plain(view) for view in found])
        return
    print_table(
        ("TASK", "ROUND", "PHASE", "CLIENTS", "PRICE", "OPENED", "CAMPAIGN"),
        [
            (
                view.task_id,
                view.round,
                _phase_of(view),
                len(view.clients),
                coins(view.prices.training + view.prices.aggregation + view.prices.mining),
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
    """Show a task: its clients' values and payouts, its miners, and all payments."""

    async def question() -> Any:
        async with node_client(home, node) as client:
            return await client.get_task(task_id), await client.list_payments(task_id)

    view, payments = run_async(question())
    if as_json:
        print_json({**as_plain(view), "payments": [as_plain(p) for p in payments]})
        return
    _show_task(view)
    if payments:
        click.echo()
        payments_table(payments)


@task.command(epilog=example("fedcoin-node task watch 3c9a...41"))
@click.argument("task_id", type=HASH, metavar="TASK")
@home_option
@node_option
@json_option
def watch(task_id: str, home: Home, node: str | None, as_json: bool) -> None:
    """Follow a task until it is settled or failed. --json prints one object for each change."""

    async def follow() -> TaskView | None:
        last = None
        async with node_client(home, node) as client:
            async for view in client.watch_task(task_id):
                last = view
                if as_json:
                    print_json(as_plain(view))
                else:
                    note(_change(view))
        return last

    view = run_async(follow())
    if view is not None and not as_json:
        _show_task(view)


@task.command(epilog=example("fedcoin-node task proof 3c9a...41 fc1q...9v > proof.json"))
@click.argument("task_id", type=HASH, metavar="TASK")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@home_option
@node_option
def proof(task_id: str, address: bytes, home: Home, node: str | None) -> None:
    """Print a proof of the payments of a task to an address, as JSON.

    It can be checked with the network's genesis.json, without a node and without a chain:
    fedcoin-node verify --proof proof.json --genesis genesis.json
    """

    async def question() -> Any:
        from fedcoin.application.verification.proof_file import fetch_document

        async with node_client(home, node) as client:
            return await fetch_document(client, task_id, address)

    print_json(run_async(question()))


def _change(view: TaskView) -> str:
    committed = sum(miner.committed for miner in view.miners)
    revealed = sum(miner.revealed for miner in view.miners)
    return (
        f"round {view.round}, attempt {view.attempt + 1}: {_phase_of(view)}, "
        f"{format_count(committed, 'miner')} committed, {revealed} revealed"
    )


def _show_task(view: TaskView) -> None:
    from fedcoin.v1.task_pb2 import Schedule

    prices = view.prices
    print_fields(
        {
            "task": view.task_id,
            "campaign": f"{view.campaign_id}, round {view.round}",
            "phase": f"{_phase_of(view)}, attempt {view.attempt + 1}",
            "opened": f"{moment(view.opened_ms)}, block {view.opened_height}",
            "closed": f"{moment(view.closed_ms)}, block {view.closed_height}"
            if view.closed_height
            else "-",
            "prices": f"clients {coins(prices.training)}, server {coins(prices.aggregation)}, "
            f"miners {coins(prices.mining)}",
            "schedule": Schedule.Name(view.schedule).removeprefix("SCHEDULE_").lower(),
            "evaluation": format_count(view.evaluation_size, "example"),
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
                    _yes(m.committed),
                    _yes(m.revealed),
                    _yes(m.inlier),
                    m.evaluations,
                    coins(m.reward),
                )
                for m in view.miners
            ],
            right="    rr",
        )


def _yes(value: bool) -> str:
    return "yes" if value else "no"


@task.command(
    epilog=example(
        "fedcoin-node train simulate ./weights --clients 5",
        "fedcoin-node task publish ./weights --budget 10fdc --key coordinator --wait",
    )
)
@click.argument(
    "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR"
)
@home_option
@node_option
@click.option("--key", "key_name", metavar="NAME", help="The key that pays and is paid [node].")
@passphrase_option
@click.option("--budget", type=AMOUNT, help="The budget of the task [100fdc].")
@set_option
@click.option("--wait", is_flag=True, help="Wait until the task is settled, and show its payments.")
@json_option
def publish(
    folder: Path,
    home: Home,
    node: str | None,
    passphrase: str | None,
    settings: tuple[tuple[str, str], ...],
    wait: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Publish weights that `train simulate` wrote, as a campaign of one round with its task.

    The key pays the budget and is the campaign's server. The split of the price, the schedule and
    the windows come from the [coordinator] settings (--set).
    """
    from fedcoin.application.offline.publication import publish_folder

    names = {"key_name": "coordinator.key", "budget": "coordinator.budget"}
    config = home.config(os.environ, flags_of(settings, given, names))
    payer = config.coordinator.key

    async def work() -> Any:
        async with open_wallet(home, node, payer, passphrase) as (wallet, client):
            async with explained_wait(client):
                made = await publish_folder(
                    folder, client, wallet.key, config.coordinator, report=note
                )
            view = await client.get_task(made.task_id)
            if wait:
                async for view in client.watch_task(made.task_id):
                    note(_change(view))
            return view

    view = run_async(work())
    if as_json:
        print_json(as_plain(view))
    else:
        _show_task(view)
