"""`fedcoin-node train forecast`: what a campaign would cost."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import click

from fedcoin.application.cli.shared.options import AMOUNT, example, home_option, json_option
from fedcoin.application.cli.shared.output import coins, note, print_fields, print_json, print_table
from fedcoin.application.cli.shared.settings_options import flags_of, set_option
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

SETTINGS = {
    "clients": "coordinator.clients",
    "rounds": "coordinator.rounds",
    "budget": "coordinator.budget",
    "evaluation_size": "coordinator.evaluation_size",
}
"""The setting that each flag sets."""


@click.command(
    epilog=example(
        "fedcoin-node train forecast --clients 10 --rounds 3 --budget 100fdc --evaluation-size 360"
    )
)
@home_option
@click.option("--clients", type=int, help="The number of clients of each round [1].")
@click.option("--rounds", type=int, help="The number of rounds [3].")
@click.option("--budget", type=AMOUNT, help="The budget of all rounds together [100fdc].")
@click.option("--evaluation-size", type=int, help="The examples of each round's evaluation set.")
@click.option(
    "--miners", type=click.IntRange(1, 1000), default=4, show_default=True,
    help="How many miners with equal bonds share the mining price.",
)  # fmt: skip
@set_option
@json_option
def forecast(
    home: Home, miners: int, settings: tuple[tuple[str, str], ...], as_json: bool, **given: Any
) -> None:
    """Show what a campaign would cost, and what its miners would earn; nothing is sent.

    The network's parameters are those of the home's genesis. All other terms come from the
    [coordinator] settings (--set), as for `train server`.
    """
    from fedcoin.application.offline.cost_forecast import forecast_campaign
    from fedcoin.data.messages.parameters import Parameters

    config = home.config(os.environ, flags_of(settings, given, SETTINGS))
    if not config.coordinator.evaluation_size:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            "the work of miners depends on the evaluation set: give --evaluation-size",
            field="evaluation-size",
        )
    rules = home.genesis().parameters if home.is_initialised else Parameters()
    if not home.is_initialised:
        note(f"{home.root} has no genesis: the default parameters of a network are taken")
    size, floor_price = config.coordinator.evaluation_size, config.miner.floor_price
    found = forecast_campaign(config.coordinator, rules, size, miners, floor_price)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    print_fields(
        {
            "into escrow": coins(found.budget),
            "clients": f"at most {coins(found.training)}",
            "server": coins(found.aggregation),
            "miners": coins(found.mining),
            "deposit of a task": f"{coins(found.rounds[0].deposit)}, returned with its end",
        }
    )
    click.echo()
    print_table(
        ("ROUND", "SERVER", "MINERS", "MILLION EVALUATIONS", "SAP A MILLION", "EACH MINER EARNS"),
        [
            (
                each.round,
                coins(each.aggregation),
                coins(each.mining),
                f"{each.work / 1e6:,.3f}",
                f"{each.offer:,}",
                coins(each.income_of_miner) if each.income_of_miner >= 0 else "less than its fees",
            )
            for each in found.rounds
        ],
        right="rrrrrr",
    )
    if not all(each.pays_floor for each in found.rounds):
        note(
            f"Warning: with a floor of {floor_price:,} sap a million evaluations"
            " (miner.floor_price), such miners leave at least one of these rounds out: raise the"
            " budget or the split's part for mining"
        )
