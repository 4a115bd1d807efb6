"""`fedcoin-node train client`: train on local data for a coordinator."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.api_token import token_option
from fedcoin.application.cli.shared.connect import node_client
from fedcoin.application.cli.shared.log_output import configure_logging
from fedcoin.application.cli.shared.options import (
    ENDPOINT,
    AlternativeOption,
    Parsed,
    example,
    genesis_option,
    json_option,
    key_option,
    new_home_option,
    scale_option,
    server_option,
)
from fedcoin.application.cli.shared.output import coins, nano, note, print_json, print_table
from fedcoin.application.cli.shared.passphrases import (
    choose_passphrase,
    encrypt_option,
    find_passphrase,
    passphrase_option,
)
from fedcoin.application.cli.shared.service import (
    parent_option,
    serve,
    unless_stopped,
)
from fedcoin.application.cli.training.train.privacy_options import (
    open_ledger,
    privacy_of,
    privacy_options,
)
from fedcoin.application.cli.training.unfinished_campaign import refuse_early_end
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.tls import client_credentials
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

if TYPE_CHECKING:
    import asyncio

    from fedcoin.application.client.own_program import OwnProgram
    from fedcoin.application.client.round_payments import RoundPayment
    from fedcoin.data.crypto.keys import KeyPair
    from fedcoin.learning.training.client_data import ClientData
    from fedcoin.learning.training.private_sgd import PrivacySettings


def parse_share(value: str) -> tuple[int, int]:
    """Read a share I/N, such as 2/5 for the second of five shares.

    Args:
        value: The text, such as `2/5`.

    Returns:
        The share's number, from 1, and the number of shares.

    Raises:
        ValueError: The text has another form.
    """
    part, slash, parts = value.partition("/")
    good = slash and part.isascii() and part.isdigit() and parts.isascii() and parts.isdigit()
    if not good or not 1 <= int(part) <= int(parts):
        raise ValueError("must be I/N, such as 2/5 for the second of five shares")
    return int(part), int(parts)


SHARE = Parsed("I/N", parse_share)
"""Reads what `parse_share` returns."""


def _parse_name(value: str) -> str:
    from fedcoin.data.messages.client_names import check_name

    check_name(value)
    return value


NAME = Parsed("name", _parse_name)
"""Checks a client's name, and returns it unchanged."""


@click.command(
    epilog=example(
        "fedcoin-node train client --server 127.0.0.1:7052 --data mine.npz",
        "fedcoin-node train client --home d --server 10.0.0.5:7052 --data digits --share 2/5",
        "fedcoin-node train client --server 127.0.0.1:7052 --command 'python train.py'",
    )
)
@new_home_option
@server_option
@click.option(
    "--data",
    metavar="PATH|digits|mnist",
    help="Your data: a file (docs/FILES.md), or the name of a known data set.",
)
@click.option(
    "--command",
    cls=AlternativeOption,
    alternative="data",
    metavar="COMMAND",
    help="Train by this program instead, such as 'python train.py': see docs/OPERATIONS.md.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(0.1, 604_800),
    help="How long the program may run in a round, in seconds [3600].",
)
@scale_option("your inputs")
@genesis_option
@key_option()
@click.option(
    "--name",
    type=NAME,
    default="",
    help="What you call yourself, up to 48 bytes: signed with your updates and public. Nobody "
    "checks it.",
)
@privacy_options
@click.option("--share", type=SHARE, help="Use only this share of the data, for experiments.")
@click.option(
    "--partition",
    default="linear",
    show_default=True,
    metavar="SPEC",
    help="How --share divides the data, as in `train simulate`; the same for all clients.",
)
@click.option(
    "--noise",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="The fraction of labels that are made wrong, for experiments.",
)
@click.option(
    "--share-seed", type=int, default=0, help="Seed of the share and of the wrong labels."
)
@click.option(
    "--free-ride", is_flag=True, help="Return the base weights unchanged, for experiments."
)
@click.option(
    "--node",
    type=ENDPOINT,
    metavar="HOST:PORT",
    help="A node's API, asked about the campaign before each round: nothing is handed in for a "
    "receipt that would have no effect.",
)
@token_option
@passphrase_option
@encrypt_option
@parent_option
@json_option
def client(
    home: Home,
    server: str,
    data: str | None,
    command: str | None,
    time_limit: float | None,
    scale: float | None,
    genesis_hash: bytes | None,
    key_name: str,
    name: str,
    clip: float | None,
    noise_multiplier: float | None,
    delta: float | None,
    claim_privacy: bool,
    share: tuple[int, int] | None,
    partition: str,
    noise: float,
    share_seed: int,
    free_ride: bool,
    node: str | None,
    passphrase: str | None,
    encrypt: bool | None,
    stop_with_stdin: bool,
    as_json: bool,
) -> None:
    """Train on your own data for a coordinator, and be paid by the value of your updates.

    The built-in trainer trains on --data; --command runs a program of yours in each round instead,
    in any framework.

    The client needs a key, which is made if the home has none, and the genesis of the network. It
    never asks the coordinator for that: a home without a genesis needs --genesis once. Your data
    stays on this machine. The coordinator's signed receipts for your updates are kept in the
    home's receipts folder. The command ends with the campaign.

    With --clip and --noise-multiplier, the privacy that was spent is signed with your updates.
    """
    from fedcoin.application.client.receipt_folder import ReceiptFolder
    from fedcoin.application.client.trainer import Trainer

    experiment = _Experiment(share or (1, 0), partition, noise, share_seed, free_ride)
    privacy = privacy_of(clip, noise_multiplier, delta, claim_privacy)
    local = _training_of(data, scale, command, time_limit, experiment, privacy, claim_privacy)
    ledger = open_ledger(home, delta) if privacy or claim_privacy else None
    config = home.config(os.environ)
    configure_logging(config.log.level, config.log.format)
    trusted = trusted_genesis(home, genesis_hash)
    key = _own_key(home, key_name, passphrase, encrypt)
    paid: list[RoundPayment] = []
    missing = 0

    async def work(stop: asyncio.Event) -> None:
        nonlocal missing
        receipts = ReceiptFolder(home.root, trusted)
        async with AsyncExitStack() as stack:
            chain = await stack.enter_async_context(node_client(home, node)) if node else None
            trainer = Trainer(
                server,
                key,
                local,
                trusted,
                credentials=client_credentials(config.tls),
                proxy=config.api.proxy,
                receipts=receipts,
                node=chain,
                name=name,
                ledger=ledger,
            )
            try:
                await unless_stopped(stop, trainer.run())
                missing = 0 if stop.is_set() else trainer.missing_rounds
            finally:
                paid.extend(trainer.payments)
                await trainer.stop()

    try:
        serve(work, with_stdin=stop_with_stdin)
    except BaseException:
        if paid:
            _show_paid(paid, as_json)
        raise
    _show_paid(paid, as_json)
    refuse_early_end(missing)


@dataclasses.dataclass(frozen=True, slots=True)
class _Experiment:
    """The options for experiments."""

    share: tuple[int, int]
    partition: str
    noise: float
    seed: int
    free_ride: bool


def _training_of(
    data: str | None,
    scale: float | None,
    command: str | None,
    time_limit: float | None,
    experiment: _Experiment,
    privacy: PrivacySettings | None,
    claim_privacy: bool,
) -> ClientData | OwnProgram:
    """Describe the client's training; refuses options that do not belong together."""
    from fedcoin.application.client.own_program import DEFAULT_SECONDS, OwnProgram, parse_command
    from fedcoin.learning.training.client_data import ClientData
    from fedcoin.learning.training.partition_spec import parse_partition

    if (data is None) is (command is None):
        raise click.UsageError("Give either --data or --command.")
    if privacy is not None and (command is not None or experiment.free_ride):
        raise click.UsageError(
            "--clip and --noise-multiplier are for the built-in trainer on --data: a program of "
            "yours must clip and add noise itself, and says so with --claim-privacy."
        )
    if claim_privacy and command is None:
        raise click.UsageError(
            "--claim-privacy is for --command; the built-in trainer takes --clip and "
            "--noise-multiplier."
        )
    if command is not None:
        if scale is not None or experiment != _Experiment((1, 0), "linear", 0.0, 0, False):
            raise click.UsageError("--command reads its data itself: give it no options for them.")
        try:
            return OwnProgram(parse_command(command), time_limit or DEFAULT_SECONDS, claim_privacy)
        except ValueError as error:
            raise click.UsageError(f"--command {error}.") from None
    if time_limit is not None:
        raise click.UsageError("--time-limit is for --command.")
    assert data is not None
    part, parts = experiment.share
    return ClientData(
        data,
        parts,
        part - 1,
        experiment.seed,
        experiment.noise,
        experiment.free_ride,
        parse_partition(experiment.partition),
        scale=scale or 0.0,
        privacy=privacy,
    )


def trusted_genesis(home: Home, given: bytes | None) -> bytes:
    """Return the genesis hash that a client signs for, and pin it in the home.

    Args:
        home: The client's home.
        given: The value of `--genesis`, 32 bytes, if it was given.

    Returns:
        The genesis hash, 32 bytes.

    Raises:
        RefusalError: NO_GENESIS when neither the home nor the caller knows it; WRONG_NETWORK when
            `given` differs from the home's; BAD_GENESIS or BAD_STATE when the home's genesis or pin
            is malformed.
    """
    from fedcoin.application.configuration.pinned_genesis import find_genesis_hash, pin_genesis

    genesis_hash = find_genesis_hash(home, given)
    if genesis_hash is None:
        raise RefusalError(
            ApplicationCode.NO_GENESIS,
            f"{home.root} does not know the genesis of its network: give --genesis with the "
            "network's genesis.json or its SHA-256, from a source that you trust; the coordinator "
            "is not asked for it",
            field="genesis",
        )
    pin_genesis(home, genesis_hash)
    return genesis_hash


def _own_key(home: Home, name: str, passphrase: str | None, encrypt: bool | None) -> KeyPair:
    from fedcoin.data.crypto.addresses import format_address
    from fedcoin.data.crypto.keys import KeyPair

    if not home.key_names():
        made = KeyPair.generate()
        chosen = choose_passphrase(passphrase, encrypt)
        home.add_key(name, made, chosen)
        note(f"Made a key for {format_address(made.address)} in {home.key_path(name)}")
        return made
    return home.key(name, find_passphrase(home, [name], passphrase))


def _show_paid(paid: Sequence[RoundPayment], as_json: bool) -> None:
    if as_json:
        print_json([{**dataclasses.asdict(p), "task_id": p.task_id.hex()} for p in paid])
    elif paid:
        print_table(
            ("ROUND", "UPDATE", "EXAMPLES", "SHAPLEY VALUE", "PAYOUT", "TASK"),
            [_row_of(p) for p in paid],
            right="r rrr",
        )


def _row_of(paid: RoundPayment) -> tuple[object, ...]:
    """Build a row of the table; an update that was not valued has no value."""
    from fedcoin.application.client.round_payments import RoundStatus

    is_valued = paid.status is RoundStatus.PAID
    return (
        paid.round,
        paid.status.value,
        paid.num_samples,
        nano(paid.shapley_nano) if is_valued else "-",
        coins(paid.payout),
        paid.task_id.hex() or "-",
    )
