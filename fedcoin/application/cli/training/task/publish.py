"""`fedcoin-node task publish`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from fedcoin.application.cli.shared.connect import open_wallet, run_async
from fedcoin.application.cli.shared.options import (
    AMOUNT,
    example,
    genesis_option,
    home_option,
    json_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, note, print_json
from fedcoin.application.cli.shared.passphrases import passphrase_option
from fedcoin.application.cli.shared.settings_options import flags_of, set_option
from fedcoin.application.cli.shared.waiting import explained_wait
from fedcoin.application.cli.training.task.task_output import describe_progress, print_task
from fedcoin.application.configuration.home import Home
from fedcoin.learning.measures.terms import NAMES


@click.command(
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
@genesis_option
@click.option("--key", "key_name", metavar="NAME", help="The key that pays and is paid [node].")
@passphrase_option
@click.option("--budget", type=AMOUNT, help="The budget of the task [100fdc].")
@click.option(
    "--clients",
    metavar="FILE",
    help="A list of the clients that may take part: an address on each line, and how many "
    "examples it may claim.",
)
@click.option(
    "--utility", type=click.Choice(list(NAMES)), help="What models are measured by [accuracy]."
)
@set_option
@click.option("--wait", is_flag=True, help="Wait until the task is settled, and show its payments.")
@json_option
def publish(
    folder: Path,
    home: Home,
    node: str | None,
    genesis_hash: bytes | None,
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
    names |= {"clients": "coordinator.clients_file", "utility": "coordinator.utility"}
    config = home.config(os.environ, flags_of(settings, given, names))
    payer = config.coordinator.key

    async def work() -> Any:
        async with open_wallet(home, node, payer, passphrase, genesis_hash) as (wallet, client):
            async with explained_wait(client):
                made = await publish_folder(
                    folder, client, wallet.key, wallet.chain, config.coordinator, report=note
                )
            view = await client.get_task(made.task_id)
            if wait:
                async for view in client.watch_task(made.task_id):
                    note(describe_progress(view))
            return view

    view = run_async(work())
    if as_json:
        print_json(as_plain(view))
    else:
        print_task(view)
