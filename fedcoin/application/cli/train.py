"""``fedcoin-node train``: the FL server, the FL client, and both at once without a network."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.connect import node_address
from fedcoin.application.cli.options import (
    AMOUNT,
    ENDPOINT,
    Parsed,
    example,
    home_option,
    json_option,
    key_option,
    node_option,
    passphrase_option,
)
from fedcoin.application.cli.output import coins, nano, note, print_json, print_table
from fedcoin.application.cli.service import (
    configure_logging,
    parent_option,
    serve,
    unless_stopped,
)
from fedcoin.application.cli.start import flags_of, set_option
from fedcoin.application.config import NodeConfig
from fedcoin.application.credentials import client_credentials, server_credentials
from fedcoin.application.home import Home

if TYPE_CHECKING:
    import asyncio

    from fedcoin.application.trainer import Paid
    from fedcoin.data.keys import KeyPair
    from fedcoin.learning.campaign import RoundRecord
    from fedcoin.learning.local import LocalData


@click.group(
    epilog=example(
        "fedcoin-node train server --clients 2 --rounds 3 --budget 100fdc --key coordinator",
        "fedcoin-node train client --server 127.0.0.1:7052 --data mine.npz",
    )
)
def train() -> None:
    """Serve or join the training of a model.

    The server (coordinator) pays for a campaign of several rounds and averages the clients'
    updates; each client trains on its own data, which never leaves its machine; the network
    values each round and pays.
    """


@train.command(
    epilog=example(
        "fedcoin-node train server --clients 2 --rounds 3 --budget 100fdc --key coordinator",
        "fedcoin-node train server --home c --node 10.0.0.5:7051 --dataset ./evaluation.npz",
    )
)
@home_option
@node_option
@click.option("--key", "key_name", metavar="NAME", help="The key that pays and is paid [node].")
@click.option("--listen", type=ENDPOINT, help="Where clients reach it [127.0.0.1:7052].")
@click.option("--clients", type=int, help="How many clients it waits for [1].")
@click.option("--rounds", type=int, help="How many rounds there are [3].")
@click.option("--budget", type=AMOUNT, help="What all rounds pay together [100fdc].")
@click.option("--dataset", help="The evaluation set: digits, mnist or PATH.npz [digits].")
@click.option("--model", help="mlp, cnn or the path of a Keras architecture JSON [mlp].")
@click.option("--epochs", type=int, help="Passes over a client's data in each round [5].")
@click.option("--training-seed", type=int, help="For first weights and the order of examples.")
@click.option("--new", is_flag=True, help="Begin another campaign if the last one is finished.")
@click.option("--insecure", is_flag=True, default=None, help="Allow plaintext beyond this machine.")
@set_option
@passphrase_option
@parent_option
@json_option
def server(
    home: Home,
    node: str | None,
    settings: tuple[tuple[str, str], ...],
    passphrase: str | None,
    new: bool,
    stop_with_stdin: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Run a campaign: open it, wait for clients, and have each round valued and paid.

    Ends when the campaign does. Stopped before, it goes on where it was when it is started
    again. Everything else about the campaign is in the [coordinator] settings (--set).
    """
    flags = flags_of(
        settings,
        coordinator__key=given["key_name"],
        coordinator__listen=given["listen"],
        coordinator__clients=given["clients"],
        coordinator__rounds=given["rounds"],
        coordinator__budget=given["budget"],
        coordinator__dataset=given["dataset"],
        coordinator__model=given["model"],
        coordinator__epochs=given["epochs"],
        coordinator__seed=given["training_seed"],
        tls__insecure=given["insecure"],
    )
    config = home.config(os.environ, flags)
    configure_logging(config.log.level, config.log.format)
    key = home.key(config.coordinator.key, passphrase)
    target = node_address(home, node, config)
    records: list[RoundRecord] = []

    async def work(stop: asyncio.Event) -> None:
        await run_server(config, home, key, target, stop, new, records)

    serve(work, with_stdin=stop_with_stdin)
    show_records(records, as_json)


async def run_server(
    config: NodeConfig,
    home: Home,
    key: KeyPair,
    target: str,
    stop: asyncio.Event,
    new: bool,
    records: list[RoundRecord],
) -> None:
    """Runs the campaign of a home through the node at ``target``; fills ``records``."""
    from fedcoin.application.coordination import open_coordinator, retire_campaign
    from fedcoin.network.api.client import NodeClient

    if new and await retire_campaign(home):
        note("The last campaign is finished; this is a new one.")
    async with NodeClient(target, credentials=client_credentials(config.tls)) as client:
        opened = open_coordinator(
            config, home, key, client, credentials=server_credentials(config.tls)
        )

        async def campaign() -> Sequence[RoundRecord]:
            async with opened as coordinator:
                return await coordinator.run()

        records.extend(await unless_stopped(stop, campaign()) or ())


def show_records(records: Sequence[RoundRecord], as_json: bool) -> None:
    """What a campaign came to."""
    if as_json:
        print_json([plain_record(record) for record in records])
    elif records:
        print_table(
            ("ROUND", "SETTLED", "ACCURACY", "CLIENTS", "PAID TO CLIENTS", "TASK"),
            [
                (
                    record.round,
                    "yes" if record.settled else "no",
                    f"{100 * record.right_answers / record.evaluation_size:.1f} %",
                    len(record.clients),
                    coins(sum(client.payout for client in record.clients)),
                    record.task_id.hex(),
                )
                for record in records
            ],
            right="r rrr",
        )


def plain_record(record: RoundRecord) -> dict[str, Any]:
    """A round for tools."""
    from fedcoin.data.addresses import format_address

    return {
        "round": record.round,
        "task_id": record.task_id.hex(),
        "settled": record.settled,
        "right_answers": record.right_answers,
        "evaluation_size": record.evaluation_size,
        "clients": [
            {
                "address": format_address(client.address),
                "samples": client.num_samples,
                "shapley_nano": client.shapley_nano,
                "payout": client.payout,
            }
            for client in record.clients
        ],
    }


def parse_share(value: str) -> tuple[int, int]:
    """I/N, counted from 1."""
    part, slash, parts = value.partition("/")
    good = slash and part.isascii() and part.isdigit() and parts.isascii() and parts.isdigit()
    if not good or not 1 <= int(part) <= int(parts):
        raise ValueError("must be I/N, such as 2/5 for the second of five shares")
    return int(part), int(parts)


SHARE = Parsed("I/N", parse_share)


@train.command(
    epilog=example(
        "fedcoin-node train client --server 127.0.0.1:7052 --data mine.npz",
        "fedcoin-node train client --home d --server 10.0.0.5:7052 --data digits --share 2/5",
    )
)
@home_option
@click.option(
    "--server",
    required=True,
    type=ENDPOINT,
    envvar="FEDCOIN_SERVER",
    metavar="HOST:PORT",
    help="The coordinator; also FEDCOIN_SERVER.",
)
@click.option(
    "--data",
    required=True,
    metavar="PATH.npz|digits|mnist",
    help="Your own data: an .npz with x_train and y_train; or one that is known by name.",
)
@key_option()
@click.option("--share", type=SHARE, help="Hold only this share of the data, for experiments.")
@click.option(
    "--noise", type=click.FloatRange(0, 1), default=0.0, help="Part of wrong labels, too."
)
@click.option("--share-seed", type=int, default=0, help="For which share, and which labels.")
@click.option("--free-ride", is_flag=True, help="Only pretend to train, for experiments.")
@passphrase_option
@parent_option
@json_option
def client(
    home: Home,
    server: str,
    data: str,
    key_name: str,
    share: tuple[int, int] | None,
    noise: float,
    share_seed: int,
    free_ride: bool,
    passphrase: str | None,
    stop_with_stdin: bool,
    as_json: bool,
) -> None:
    """Train on your own data for a coordinator, and be paid by what it was worth.

    Needs a key and nothing else: one is made if the home has none. Your data stays on this
    machine. Ends when the campaign does.
    """
    from fedcoin.learning.local import LocalData

    config = home.config(os.environ)
    configure_logging(config.log.level, config.log.format)
    key = own_key(home, key_name, passphrase)
    part, parts = share or (1, 0)
    local = LocalData(data, parts, part - 1, share_seed, noise, free_ride)
    paid: list[Paid] = []

    async def work(stop: asyncio.Event) -> None:
        paid.extend(await run_client(config, home, key, server, local, stop))

    serve(work, with_stdin=stop_with_stdin)
    show_paid(paid, as_json)


def own_key(home: Home, name: str, passphrase: str | None) -> KeyPair:
    """The home's key of this name, made if it is the first one."""
    from fedcoin.data.addresses import format_address
    from fedcoin.data.keys import KeyPair

    if not home.key_names():
        made = KeyPair.generate()
        home.add_key(name, made, passphrase)
        note(f"Made a key for {format_address(made.address)} in {home.key_path(name)}")
    return home.key(name, passphrase)


async def run_client(
    config: NodeConfig,
    home: Home,
    key: KeyPair,
    server: str,
    data: LocalData,
    stop: asyncio.Event,
) -> Sequence[Paid]:
    """Takes part until the campaign is over; what each round brought."""
    from fedcoin.application.trainer import Trainer

    trainer = Trainer(
        server,
        key,
        data,
        chain_id=home.genesis().chain_id if home.is_initialised else "",
        credentials=client_credentials(config.tls),
    )
    try:
        return await unless_stopped(stop, trainer.run()) or ()
    finally:
        await trainer.stop()


def show_paid(paid: Sequence[Paid], as_json: bool) -> None:
    """What a client got."""
    if as_json:
        print_json([{**dataclasses.asdict(p), "task_id": p.task_id.hex()} for p in paid])
    elif paid:
        print_table(
            ("ROUND", "SAMPLES", "SHAPLEY VALUE", "PAYOUT", "TASK"),
            [
                (p.round, p.num_samples, nano(p.shapley_nano), coins(p.payout), p.task_id.hex())
                for p in paid
            ],
            right="rrrr",
        )


@train.command(
    epilog=example(
        "fedcoin-node train simulate ./weights --clients 5",
        "fedcoin-node train simulate ./weights --clients 8 --mislabelled 1 --free-riders 1",
        "fedcoin-node task publish ./weights --key coordinator",
    )
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@click.option("--clients", type=click.IntRange(1, 1000), default=5, show_default=True)
@click.option(
    "--mislabelled", type=click.IntRange(0), default=0, help="How many have wrong labels."
)
@click.option(
    "--noise", type=click.FloatRange(0, 1), default=0.6, show_default=True, help="The wrong part."
)
@click.option("--free-riders", type=click.IntRange(0), default=0, help="How many do nothing.")
@click.option("--dataset", default="digits", show_default=True, metavar="digits|mnist|PATH.npz")
@click.option("--model", default="mlp", show_default=True, metavar="mlp|cnn|PATH.json")
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True)
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), default=0.1)
@click.option("--evaluation-size", type=click.IntRange(0), default=0, help="0: all test examples.")
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def simulate(folder: Path, as_json: bool, **given: Any) -> None:
    """Train clients on shares of one data set, and write their weights to the new folder DIR.

    No network is needed. The shares are unequal; who has wrong labels and who only pretends to
    train comes first. `task publish` turns the folder into a Shapley task.
    """
    import asyncio

    from fedcoin.application import simulate as simulation
    from fedcoin.learning.training import Plan

    roles = [simulation.MISLABELLED] * given["mislabelled"]
    roles += [simulation.FREE_RIDER] * given["free_riders"]
    if len(roles) > given["clients"]:
        raise click.UsageError("There are fewer --clients than --mislabelled and --free-riders.")
    manifest = asyncio.run(
        simulation.simulate(
            folder,
            clients=given["clients"],
            dataset=given["dataset"],
            model=given["model"],
            plan=Plan(given["epochs"], given["batch_size"], given["learning_rate"]),
            seed=given["seed"],
            roles=roles,
            noise=given["noise"],
            evaluation_size=given["evaluation_size"],
            report=note,
        )
    )
    if as_json:
        print_json({"folder": str(folder), **dataclasses.asdict(manifest)})
        return
    print_table(
        ("CLIENT", "WHAT IT IS", "SAMPLES", "ACCURACY BY ITSELF"),
        [
            (
                client.address,
                client.role,
                client.num_samples,
                f"{100 * client.right_answers / manifest.evaluation_size:.1f} %",
            )
            for client in manifest.clients
        ],
        right="  rr",
    )
    click.echo(f"Weights are in {folder}. Next: fedcoin-node task publish {folder}")
