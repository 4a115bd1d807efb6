"""`fedcoin-node start`."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import click

from fedcoin.application.cli.shared.exit_codes import NODE_FAILED
from fedcoin.application.cli.shared.log_output import configure_logging
from fedcoin.application.cli.shared.options import (
    ENDPOINT,
    NODE_ADDRESS,
    example,
    home_option,
    new_campaign_option,
)
from fedcoin.application.cli.shared.passphrases import find_passphrase, passphrase_option
from fedcoin.application.cli.shared.service import (
    GRACE_SECONDS,
    end_process_within,
    parent_option,
    serve,
)
from fedcoin.application.cli.shared.settings_options import flags_of, set_option
from fedcoin.application.configuration.descriptor_limit import raise_descriptor_limit
from fedcoin.application.configuration.home import NODE_KEY, Home

SETTINGS = {
    "mine": "miner.enabled",
    "coordinate": "coordinator.enabled",
    "seed": "peers.seeds",
    "peers_listen": "peers.listen",
    "advertise": "peers.advertise",
    "api_listen": "api.listen",
    "coordinator_listen": "coordinator.listen",
    "insecure": "tls.insecure",
    "log_level": "log.level",
    "log_format": "log.format",
}
"""The setting that each flag of `start` sets."""


@click.command(
    epilog=example(
        "fedcoin-node start --mine",
        "fedcoin-node start --home b --seed $PUBLIC_KEY_OF_A@127.0.0.1:7050",
        "fedcoin-node start --mine --coordinate --set coordinator.clients=3",
    )
)
@home_option
@click.option("--mine/--no-mine", default=None, help="Compute Shapley values; needs a bond.")
@click.option("--coordinate/--no-coordinate", default=None, help="Also run a campaign.")
@new_campaign_option
@click.option("--seed", multiple=True, type=NODE_ADDRESS, help="A node to dial. Repeatable.")
@click.option("--peers-listen", type=ENDPOINT, help="Where peers reach this node.")
@click.option("--advertise", type=ENDPOINT, help="The address that peers are told to dial.")
@click.option("--api-listen", type=ENDPOINT, help="Where wallets and tools reach this node.")
@click.option("--coordinator-listen", type=ENDPOINT, help="Where clients reach the coordinator.")
@click.option("--insecure", is_flag=True, default=None, help="Allow plaintext beyond this machine.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="The least severe level that is logged.",
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), help="Lines for people, or JSON objects."
)
@set_option
@passphrase_option
@parent_option
def start(
    home: Home,
    settings: tuple[tuple[str, str], ...],
    passphrase: str | None,
    new_campaign: bool,
    stop_with_stdin: bool,
    **given: Any,
) -> None:
    """Run a node until it is interrupted.

    The node keeps and serves the chain. With --mine it also computes Shapley values and votes;
    with --coordinate it also runs a campaign. Settings that are not given here come from
    FEDCOIN_<TABLE>_<SETTING> variables, then from config.toml.
    """
    flags = flags_of(settings, given, SETTINGS)
    home.genesis()  # refuses at once when the folder is not a home
    config = home.config(os.environ, flags)
    if new_campaign and not config.coordinator.enabled:
        raise click.UsageError("--new-campaign is for a node that coordinates: add --coordinate.")
    configure_logging(config.log.level, config.log.format)
    raise_descriptor_limit(config)
    from fedcoin.application.node.node_runner import run_node

    names = [NODE_KEY]
    names += [config.miner.key] if config.miner.enabled and not config.miner.signer else []
    names += [config.coordinator.key] if config.coordinator.enabled else []
    opened = dataclasses.replace(home, passphrase=find_passphrase(home, names, passphrase))
    serve(
        lambda stop: run_node(
            config,
            opened,
            stop,
            new_campaign=new_campaign,
            read_config=lambda: home.config(os.environ, flags),
            on_failure=lambda: end_process_within(GRACE_SECONDS, NODE_FAILED),
        ),
        with_stdin=stop_with_stdin,
    )
