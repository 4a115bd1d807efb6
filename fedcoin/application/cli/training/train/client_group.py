"""`fedcoin-node train clients`: many clients in one process, for experiments."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.log_output import configure_logging
from fedcoin.application.cli.shared.options import example, json_option, server_option
from fedcoin.application.cli.shared.output import coins, print_json, print_table
from fedcoin.application.cli.shared.passphrases import find_passphrase, passphrase_option
from fedcoin.application.cli.shared.service import (
    parent_option,
    serve,
    unless_stopped,
)
from fedcoin.application.cli.training.train.client import trusted_genesis
from fedcoin.application.cli.training.unfinished_campaign import refuse_early_end
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.configuration.tls import client_credentials

if TYPE_CHECKING:
    import asyncio

    from fedcoin.application.client.client_host import ClientIdentity
    from fedcoin.application.client.round_payments import RoundPayment
    from fedcoin.application.configuration.hosted_clients import HostedClient


@click.command(
    epilog=example("fedcoin-node train clients clients.json --server 127.0.0.1:7052 --processes 2")
)
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE"
)
@server_option
@click.option(
    "--processes",
    type=click.IntRange(1, 256),
    help="The processes that the clients share for training [one for each core].",
)
@passphrase_option
@parent_option
@json_option
def clients(
    file: Path,
    server: str,
    processes: int | None,
    passphrase: str | None,
    stop_with_stdin: bool,
    as_json: bool,
) -> None:
    """Run many clients in one process that share a few training processes, for experiments.

    FILE is a JSON list with an object for each client: "home", a folder with the client's key and
    the network's genesis; "data", the .npz file of its training data; and, if you like, "name",
    what it calls itself in its updates, and "free_ride", true if it does not train. Each client
    joins and is paid by itself. The command ends with the campaign.
    """
    from fedcoin.application.configuration.hosted_clients import read_hosted_clients

    hosted = read_hosted_clients(file)
    first = hosted[0].home
    config = Home(first).config(os.environ)
    configure_logging(config.log.level, config.log.format)
    trusted = trusted_genesis(Home(first), None)
    identities = [_identity(client, trusted, passphrase) for client in hosted]
    paid: list[Sequence[RoundPayment]] = []
    missing = 0

    async def work(stop: asyncio.Event) -> None:
        nonlocal missing
        from fedcoin.application.client.client_host import run_clients
        from fedcoin.application.configuration.cpu_count import count_usable_cpus

        running = run_clients(
            identities,
            server,
            trusted,
            processes=processes or count_usable_cpus(),
            credentials=client_credentials(config.tls),
            proxy=config.api.proxy,
        )
        ended = await unless_stopped(stop, running)
        if ended is not None:
            paid.extend(ended.payments)
            missing = ended.missing_rounds

    serve(work, with_stdin=stop_with_stdin)
    _show_paid(identities[: len(paid)], paid, as_json)
    refuse_early_end(missing)


def _identity(client: HostedClient, trusted: bytes, passphrase: str | None) -> ClientIdentity:
    from fedcoin.application.client.client_host import ClientIdentity
    from fedcoin.application.client.receipt_folder import ReceiptFolder
    from fedcoin.learning.training.client_data import ClientData

    home = Home(client.home)
    key = home.key(NODE_KEY, find_passphrase(home, [NODE_KEY], passphrase))
    data = ClientData(str(client.data), is_free_rider=client.is_free_rider)
    receipts = ReceiptFolder(client.home, trusted)
    return ClientIdentity(client.home.name, key, data, receipts, client.name)


def _show_paid(
    identities: Sequence[ClientIdentity], paid: Sequence[Sequence[RoundPayment]], as_json: bool
) -> None:
    from fedcoin.data.crypto.addresses import format_address

    totals = [
        (
            identity.claimed_name or identity.name,
            format_address(identity.key.address),
            len(payments),
            sum(payment.payout for payment in payments),
        )
        for identity, payments in zip(identities, paid, strict=True)
    ]
    if as_json:
        names = ("name", "address", "rounds", "payout")
        print_json([dict(zip(names, total, strict=True)) for total in totals])
    elif totals:
        print_table(
            ("CLIENT", "ADDRESS", "ROUNDS", "PAYOUT"),
            [(*total[:3], coins(total[3])) for total in totals],
            right="  rr",
        )
