"""`fedcoin-node train simulate`: training without a network."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from fedcoin.application.cli.shared.options import (
    example,
    json_option,
    scale_option,
    split_list,
    trained_option,
)
from fedcoin.application.cli.shared.output import note, print_json, print_table
from fedcoin.learning.measures.terms import NAMES, TERMS, format_utility


@click.command(
    epilog=example(
        "fedcoin-node train simulate ./weights --clients 5",
        "fedcoin-node train simulate ./weights --clients 8 --mislabelled 1 --free-riders 1",
        "fedcoin-node train simulate ./weights --clients 20 --partition labels:2+copies:2",
        "fedcoin-node task publish ./weights --key coordinator",
    )
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--clients", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option("--mislabelled", type=click.IntRange(0), default=0, help="Clients with wrong labels.")
@click.option(
    "--noise",
    type=click.FloatRange(0, 1),
    default=0.6,
    show_default=True,
    help="The fraction of their labels that is wrong.",
)
@click.option(
    "--partition",
    default="linear",
    show_default=True,
    metavar="SPEC",
    help="How the data are divided: linear, iid, quantity:SIGMA, dirichlet:ALPHA, labels:N or "
    "types:N, with +size:N, +copies:N, +label-noise:F, +feature-noise:S.",
)
@click.option("--free-riders", type=click.IntRange(0), default=0, help="Clients that do not train.")
@click.option("--dataset", default="digits", show_default=True, metavar="digits|mnist|PATH")
@scale_option("all inputs")
@click.option("--model", default="mlp", show_default=True, metavar="mlp|cnn|PATH")
@click.option(
    "--initial-weights",
    metavar="FILE",
    help="The weights to start from, such as an earlier campaign's average, in any format that "
    "convert reads [the model's own].",
)
@trained_option
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=0.1)
@click.option("--evaluation-size", type=click.IntRange(0), default=0, help="0: all test examples.")
@click.option(
    "--utility",
    type=click.Choice(list(NAMES)),
    default="accuracy",
    show_default=True,
    help="What each client's model is measured by.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    help="How many clients train at a time [one for each core].",
)
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def simulate(folder: Path, as_json: bool, **given: Any) -> None:
    """Train clients on shares of one data set, and write their weights to the new folder DIR.

    No network is needed. --partition divides the data and adds noise to shares. Of the clients,
    the first --mislabelled get wrong labels on top of that, and the next --free-riders do not
    train. `task publish` turns the folder into a Shapley task.
    """
    import asyncio

    from fedcoin.application.configuration.cpu_count import count_usable_cpus
    from fedcoin.application.offline import simulation
    from fedcoin.learning.training.partition_spec import parse_partition
    from fedcoin.learning.training.training_plan import TrainingPlan

    roles = [simulation.MISLABELLED] * given["mislabelled"]
    roles += [simulation.FREE_RIDER] * given["free_riders"]
    if len(roles) > given["clients"]:
        raise click.UsageError("There are fewer --clients than --mislabelled and --free-riders.")
    manifest = asyncio.run(
        simulation.simulate(
            folder,
            num_clients=given["clients"],
            dataset=given["dataset"],
            model=given["model"],
            plan=TrainingPlan(given["epochs"], given["batch_size"], given["learning_rate"]),
            seed=given["seed"],
            roles=roles,
            label_noise=given["noise"],
            partition=parse_partition(given["partition"]),
            evaluation_size=given["evaluation_size"],
            scale=given["scale"] or 0.0,
            utility=NAMES[given["utility"]],
            trained=split_list(given["trained"]),
            initial_weights=given["initial_weights"] or "",
            processes=given["processes"] or count_usable_cpus(),
            report=note,
        )
    )
    if as_json:
        print_json({"folder": str(folder), **dataclasses.asdict(manifest)})
        return
    title = TERMS[NAMES[manifest.measure]].title.upper()
    print_table(
        ("CLIENT", "WHAT IT IS", "SAMPLES", f"{title} BY ITSELF"),
        [
            (
                client.address,
                client.role,
                client.num_samples,
                format_utility(NAMES[manifest.measure], client.utility, manifest.evaluation_size),
            )
            for client in manifest.clients
        ],
        right="  rr",
    )
    click.echo(f"Weights are in {folder}. Next: fedcoin-node task publish {folder}")
