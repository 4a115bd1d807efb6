"""`fedcoin-node task publish`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.connect import open_wallet, run_async
from fedcoin.application.cli.shared.options import (
    AMOUNT,
    example,
    genesis_option,
    home_option,
    json_option,
    node_option,
    private_options,
    scale_option,
    trained_option,
)
from fedcoin.application.cli.shared.output import as_plain, note, print_json
from fedcoin.application.cli.shared.passphrases import passphrase_option
from fedcoin.application.cli.shared.settings_options import flags_of, set_option
from fedcoin.application.cli.shared.waiting import explained_wait
from fedcoin.application.cli.training.task.task_display import task_display
from fedcoin.application.cli.training.task.task_output import print_task, refuse_unless_settled
from fedcoin.application.configuration.home import Home
from fedcoin.learning.measures.terms import NAMES

if TYPE_CHECKING:
    from fedcoin.application.offline.update_folder import UpdateFiles


FILE = click.Path(dir_okay=False, path_type=Path)
SETTINGS = {
    "key_name": "coordinator.key",
    "budget": "coordinator.budget",
    "clients": "coordinator.clients_file",
    "private": "coordinator.private",
    "readers": "coordinator.readers",
    "utility": "coordinator.utility",
    "scale": "coordinator.input_scale",
    "trained": "coordinator.trained",
}
"""The setting that each flag sets."""


@click.command(
    epilog=example(
        "fedcoin-node train simulate ./weights --clients 5",
        "fedcoin-node task publish ./weights --budget 10fdc --key coordinator --wait",
        "fedcoin-node task publish ./updates --table clients.csv --model model.onnx --base base.pt "
        "--data test.npz --budget 10fdc",
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
@private_options
@click.option(
    "--utility", type=click.Choice(list(NAMES)), help="What models are measured by [accuracy]."
)
@click.option(
    "--table",
    type=FILE,
    help="DIR holds a file of weights for each client; this CSV says whose each is: columns file, "
    "key or address, num_samples, and name if you like. See docs/FILES.md.",
)
@click.option("--model", type=FILE, help="With --table: Keras' JSON, .keras or an ONNX file.")
@click.option("--base", type=FILE, help="With --table: the weights that all clients started from.")
@click.option("--data", type=FILE, help="With --table: the evaluation set.")
@scale_option("the evaluation set's inputs")
@trained_option
@set_option
@click.option(
    "--wait",
    is_flag=True,
    help="Wait until the task is settled, and show its payments; exit code 1 if it fails.",
)
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
    """Publish clients' weights, as a campaign of one round with its task.

    DIR is a folder that `train simulate` wrote; or, with --table, a folder of updates from any
    framework, in any format of docs/FILES.md.

    The key pays the budget and is the campaign's server. The split of the price, the schedule and
    the windows come from the [coordinator] settings (--set).
    """
    from fedcoin.application.offline.client_keys import open_client_key
    from fedcoin.application.offline.publication import publish_folder
    from fedcoin.application.offline.update_folder import publish_updates

    config = home.config(os.environ, flags_of(settings, given, SETTINGS))
    files = _collect_files(folder, given)

    async def work() -> Any:
        coordinator = config.coordinator
        async with open_wallet(home, node, coordinator.key, passphrase, genesis_hash) as opened:
            wallet, client = opened
            common = (client, wallet.key, wallet.chain, coordinator)
            reporting: Any = {"report": note, "waiting": partial(explained_wait, client)}
            if files is None:
                made = await publish_folder(folder, *common, **reporting)
            else:
                open_key = partial(open_client_key, home, files.table.parent, passphrase)
                made = await publish_updates(files, open_key, *common, **reporting)
            view = await client.get_task(made.task_id)
            if wait:
                with task_display() as show:
                    async for view in client.watch_task(made.task_id):
                        show(view)
            return view

    view = run_async(work())
    if as_json:
        print_json(as_plain(view))
    else:
        print_task(view)
    if wait:
        refuse_unless_settled(view)


def _collect_files(folder: Path, given: Mapping[str, Any]) -> UpdateFiles | None:
    """Collect the files of a folder of updates; None for a folder of a simulated training."""
    from fedcoin.application.offline.update_folder import UpdateFiles

    files = {name: given[name] for name in ("table", "model", "base", "data")}
    missing = [f"--{name}" for name, path in files.items() if path is None]
    if len(missing) == len(files):
        for name in ("scale", "trained"):
            if given[name] is not None:
                raise click.UsageError(f"--{name} is for a folder of updates: give --table, too.")
        return None
    if missing:
        raise click.UsageError(
            "a folder of updates needs --table, --model, --base and --data; missing: "
            f"{', '.join(missing)}."
        )
    return UpdateFiles(updates=folder, **files)
