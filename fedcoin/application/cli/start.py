"""``fedcoin-node start``."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import click

from fedcoin.application.cli.options import (
    ENDPOINT,
    Parsed,
    example,
    home_option,
    passphrase_option,
)
from fedcoin.application.cli.service import configure_logging, parent_option, serve
from fedcoin.application.home import Home


def parse_setting(value: str) -> tuple[str, str]:
    """TABLE.NAME=VALUE."""
    name, equals, text = value.partition("=")
    if not equals or "." not in name:
        raise ValueError("must be TABLE.NAME=VALUE, such as limits.pool_transactions=100")
    return name, text


SETTING = Parsed("setting", parse_setting)

set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    type=SETTING,
    metavar="TABLE.NAME=VALUE",
    help="Any other setting of config.toml. Repeatable.",
)


def flags_of(settings: tuple[tuple[str, str], ...], **named: Any) -> dict[str, object]:
    """What was given, by the setting's dotted name; ``table__name`` stands for ``table.name``."""
    flags: dict[str, object] = {name.replace("__", "."): value for name, value in named.items()}
    return {**{k: v for k, v in flags.items() if v not in (None, ())}, **dict(settings)}


@click.command(
    epilog=example(
        "fedcoin-node start --mine",
        "fedcoin-node start --home b --seed 127.0.0.1:7050",
        "fedcoin-node start --mine --coordinate --set coordinator.clients=3",
    )
)
@home_option
@click.option("--mine/--no-mine", default=None, help="Compute Shapley values; needs a bond.")
@click.option("--coordinate/--no-coordinate", default=None, help="Run a campaign, too.")
@click.option("--seed", multiple=True, type=ENDPOINT, help="A node to dial. Repeatable.")
@click.option("--peers-listen", type=ENDPOINT, help="Where peers reach this node.")
@click.option("--advertise", type=ENDPOINT, help="Where peers are told to reach it.")
@click.option("--api-listen", type=ENDPOINT, help="Where its API is.")
@click.option("--coordinator-listen", type=ENDPOINT, help="Where clients reach the coordinator.")
@click.option("--insecure", is_flag=True, default=None, help="Allow plaintext beyond this machine.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option("--log-format", type=click.Choice(["text", "json"]))
@set_option
@passphrase_option
@parent_option
def start(
    home: Home,
    settings: tuple[tuple[str, str], ...],
    passphrase: str | None,
    stop_with_stdin: bool,
    **given: Any,
) -> None:
    """Run a node until it is interrupted.

    It keeps and serves the chain, and takes part in whatever else is asked for: mining with
    --mine, training as the coordinator with --coordinate. What is not given here comes from
    FEDCOIN_<TABLE>_<SETTING> variables, then from config.toml.
    """
    flags = flags_of(
        settings,
        mining__enabled=given["mine"],
        coordinator__enabled=given["coordinate"],
        peers__seeds=given["seed"],
        peers__listen=given["peers_listen"],
        peers__advertise=given["advertise"],
        api__listen=given["api_listen"],
        coordinator__listen=given["coordinator_listen"],
        tls__insecure=given["insecure"],
        log__level=given["log_level"],
        log__format=given["log_format"],
    )
    home.genesis()  # says at once when this is no home
    config = home.config(os.environ, flags)
    configure_logging(config.log.level, config.log.format)
    from fedcoin.application.node import run_node

    opened = dataclasses.replace(home, passphrase=passphrase)
    serve(lambda stop: run_node(config, opened, stop), with_stdin=stop_with_stdin)
