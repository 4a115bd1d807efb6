"""`fedcoin-node train server`: a coordinator that uses a node in another process."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.api_token import find_token
from fedcoin.application.cli.shared.connect import node_address, trusted_chain
from fedcoin.application.cli.shared.log_output import configure_logging
from fedcoin.application.cli.shared.options import (
    AMOUNT,
    ENDPOINT,
    example,
    genesis_option,
    home_option,
    json_option,
    new_campaign_option,
    node_option,
    private_options,
    scale_option,
    trained_option,
)
from fedcoin.application.cli.shared.output import coins, note, print_json, print_table
from fedcoin.application.cli.shared.passphrases import find_passphrase, passphrase_option
from fedcoin.application.cli.shared.service import (
    parent_option,
    serve,
    unless_stopped,
)
from fedcoin.application.cli.shared.settings_options import flags_of, set_option
from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.config_sources import naming_file
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.tls import client_credentials
from fedcoin.learning.measures.terms import NAMES, TERMS

if TYPE_CHECKING:
    import asyncio

    from fedcoin.application.coordinator.campaign import Campaign
    from fedcoin.application.coordinator.round_record import RoundRecord
    from fedcoin.data.crypto.keys import KeyPair


SETTINGS = {
    "key_name": "coordinator.key",
    "listen": "coordinator.listen",
    "clients": "coordinator.clients",
    "private": "coordinator.private",
    "readers": "coordinator.readers",
    "rounds": "coordinator.rounds",
    "budget": "coordinator.budget",
    "requester": "coordinator.requester",
    "dataset": "coordinator.dataset",
    "scale": "coordinator.input_scale",
    "model": "coordinator.model",
    "initial_weights": "coordinator.initial_weights",
    "trained": "coordinator.trained",
    "epochs": "coordinator.epochs",
    "utility": "coordinator.utility",
    "training_seed": "coordinator.seed",
    "insecure": "tls.insecure",
}
"""The setting that each flag sets."""


@click.command(
    epilog=example(
        "fedcoin-node train server --clients 2 --rounds 3 --budget 100fdc --key coordinator",
        "fedcoin-node train server --home c --node 10.0.0.5:7051 --dataset ./evaluation.npz",
    )
)
@home_option
@node_option
@genesis_option
@click.option("--key", "key_name", metavar="NAME", help="The key that pays and is paid [node].")
@click.option(
    "--listen", type=ENDPOINT, help="Where clients reach the coordinator [127.0.0.1:7052]."
)
@click.option("--clients", type=int, help="How many clients the campaign waits for [1].")
@private_options
@click.option("--rounds", type=int, help="The number of rounds [3].")
@click.option("--budget", type=AMOUNT, help="The budget of all rounds together [100fdc].")
@click.option(
    "--requester",
    metavar="FILE",
    help="The file of an account of several keys that pays the budget, in place of --key.",
)
@click.option("--dataset", help="The evaluation set: digits, mnist or a file [digits].")
@scale_option("the evaluation set's inputs")
@click.option(
    "--model", help="mlp, cnn, or the path of a model: Keras' JSON, .keras or ONNX [mlp]."
)
@click.option(
    "--initial-weights",
    metavar="FILE",
    help="The weights to start from, such as an earlier campaign's average, in any format that "
    "convert reads [the model's own].",
)
@trained_option
@click.option("--epochs", type=int, help="Passes over a client's data in each round [5].")
@click.option(
    "--utility", type=click.Choice(list(NAMES)), help="What models are measured by [accuracy]."
)
@click.option(
    "--training-seed", type=int, help="Seed of the first weights and of the order of examples."
)
@new_campaign_option
@click.option("--insecure", is_flag=True, default=None, help="Allow plaintext beyond this machine.")
@set_option
@passphrase_option
@parent_option
@json_option
def server(
    home: Home,
    node: str | None,
    genesis_hash: bytes | None,
    settings: tuple[tuple[str, str], ...],
    passphrase: str | None,
    new_campaign: bool,
    stop_with_stdin: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Run a campaign: open it, wait for clients, and have each round valued and paid.

    The command ends with the campaign. When it is stopped before, it continues at the next start,
    with the settings that it was begun with, which need not be given again; `task close` closes the
    campaign instead. All other properties of the campaign are [coordinator] settings (--set).
    """
    from fedcoin.application.coordinator.fixed_settings import recall_settings

    recalled = recall_settings(home.coordinator_path, new=new_campaign)
    config = home.config(os.environ, flags_of(settings, given, SETTINGS), recalled)
    configure_logging(config.log.level, config.log.format)
    name = config.coordinator.key
    key = home.key(name, find_passphrase(home, [name], passphrase))
    target = node_address(home, node, config)
    records: list[RoundRecord] = []

    async def work(stop: asyncio.Event) -> None:
        await _run_server(config, home, key, target, genesis_hash, stop, new_campaign, records)

    try:
        serve(work, with_stdin=stop_with_stdin)
    except BaseException:
        if records:
            _show_records(records, as_json)
        raise
    _show_records(records, as_json)


async def _run_server(
    config: NodeConfig,
    home: Home,
    key: KeyPair,
    target: str,
    genesis_hash: bytes | None,
    stop: asyncio.Event,
    new: bool,
    records: list[RoundRecord],
) -> None:
    from fedcoin.application.coordinator.runner import open_coordinator, open_coordinator_store
    from fedcoin.network.client.node_client import NodeClient

    store = open_coordinator_store(config, home)
    credentials, token = client_credentials(config.tls), find_token(config)
    client = NodeClient(target, credentials=credentials, token=token, proxy=config.api.proxy)
    async with client:
        chain = await trusted_chain(home, client, genesis_hash)
        opened = open_coordinator(config, home, key, client, chain, store, new=new)

        async def campaign() -> None:
            async with opened as coordinator:
                try:
                    await coordinator.run()
                finally:
                    records.extend(coordinator.campaign.history)
                    _note_open(coordinator.campaign, config.coordinator.requester)

        with naming_file(home.config_path):
            await unless_stopped(stop, campaign())


def _note_open(campaign: Campaign, requester: str) -> None:
    """Say that a campaign which has not come to its end keeps its budget in escrow."""
    from fedcoin.application.coordinator.campaign import CampaignPhase
    from fedcoin.application.coordinator.campaign_end import command_to_close

    if campaign.phase is CampaignPhase.FINISHED or not campaign.campaign_id:
        return
    command = command_to_close(campaign.campaign_id, requester)
    closes = "prepares its end, for the account's keys to sign" if requester else "closes it"
    note(
        f"Campaign {campaign.campaign_id.hex()} stays open in round {campaign.round} of "
        f"{campaign.rounds}, with the rest of its budget in escrow: the same command goes on with "
        f"it, and `{command}` {closes}"
    )


def _show_records(records: Sequence[RoundRecord], as_json: bool) -> None:
    if as_json:
        print_json([_plain_record(record) for record in records])
    elif records:
        terms = TERMS[NAMES[records[0].measure]]
        print_table(
            ("ROUND", "SETTLED", terms.title.upper(), "CLIENTS", "PAID TO CLIENTS", "TASK"),
            [
                (
                    record.round,
                    "yes" if record.settled else "no",
                    terms.format_fraction(record.fraction),
                    len(record.clients),
                    coins(sum(client.payout for client in record.clients)),
                    record.task_id.hex(),
                )
                for record in records
            ],
            right="r rrr",
        )


def _plain_record(record: RoundRecord) -> dict[str, Any]:
    from fedcoin.data.crypto.addresses import format_address

    return {
        "round": record.round,
        "task_id": record.task_id.hex(),
        "settled": record.settled,
        "measure": record.measure,
        "utility": record.utility,
        "evaluation_size": record.evaluation_size,
        "clients": [
            {
                "address": format_address(client.address),
                "name": client.name,
                "samples": client.num_samples,
                "shapley_nano": client.shapley_nano,
                "payout": client.payout,
            }
            for client in record.clients
        ],
    }
