"""Sign and submit a transaction, and show its result: shared by commands that change the ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.shared.connect import (
    node_client,
    open_wallet,
    run_async,
    trusted_chain,
)
from fedcoin.application.cli.shared.ledger_output import print_transaction
from fedcoin.application.cli.shared.options import (
    AMOUNT,
    HASH,
    genesis_option,
    home_option,
    json_option,
    key_option,
    node_option,
)
from fedcoin.application.cli.shared.output import as_plain, note, print_json
from fedcoin.application.cli.shared.passphrases import passphrase_option
from fedcoin.application.cli.shared.policy_options import check_policy_options, policy_options
from fedcoin.application.cli.shared.waiting import explained_wait
from fedcoin.data.atomic_files import refuse_existing, replace_file

if TYPE_CHECKING:
    from google.protobuf.message import Message


Command = Callable[..., None]
"""A function that becomes a click command."""


def signing_options(command: Command) -> Command:
    """Add the options of a command that signs a transaction.

    Args:
        command: The command; it hands the options' values to `execute`.

    Returns:
        The command with the options.
    """
    options: tuple[Callable[[Command], Command], ...] = (
        home_option,
        node_option,
        genesis_option,
        key_option(),
        passphrase_option,
        click.option(
            "--fee", type=AMOUNT, help="The fee; default: the lowest that gets in (`fees`)."
        ),
        click.option(
            "--replace",
            type=HASH,
            metavar="HASH",
            help="Replace this transaction of the same key, which must still wait for a block. The "
            "fee is a tenth above the old one, and at least the minimum fee above it.",
        ),
        click.option("--no-wait", is_flag=True, help="Do not wait until the transaction is final."),
        click.option(
            "--timeout",
            type=click.FloatRange(0.1, 86_400),
            default=60.0,
            show_default=True,
            help="How long to wait, in seconds.",
        ),
        policy_options,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def execute(action: Message, given: dict[str, Any]) -> None:
    """Sign and submit an action, wait until it is final, and show its transaction.

    With `--prepare` it is written to a file instead, for the keys of an account to sign.

    Args:
        action: The action, such as a `Transfer`.
        given: The values of `signing_options` by parameter.

    Raises:
        RefusalError: The key cannot be opened, or the home belongs to another network.
        RpcError: The node refused the transaction or cannot be reached.
    """
    if check_policy_options(given):
        _prepare(action, given)
        return

    async def work() -> Any:
        names = ("home", "node", "key_name", "passphrase", "genesis_hash")
        wallet = open_wallet(*(given[name] for name in names))
        async with wallet as (signer, client):
            replaced = await client.get_transaction(given["replace"]) if given["replace"] else None
            transaction = await signer.submit(action, fee=given["fee"], replaces=replaced)
            if given["no_wait"]:
                return await client.get_transaction(transaction.hash)
            note(f"Submitted {transaction.hash.hex()}, waiting for its block")
            async with explained_wait(client):
                return await signer.wait_until_final(transaction, given["timeout"])

    view = run_async(work())
    if given["as_json"]:
        print_json(as_plain(view))
    else:
        print_transaction(view)


def _prepare(action: Message, given: dict[str, Any]) -> None:
    """Write the next transaction of an account of several keys to a file."""
    from fedcoin.application.wallet.shared_account import prepare_transaction

    policy, path = given["policy"], given["prepare"]
    refuse_existing(path)

    async def work() -> Any:
        async with node_client(given["home"], given["node"]) as client:
            chain = await trusted_chain(given["home"], client, given["genesis_hash"])
            fee, nonce = given["fee"], given["nonce"]
            return await prepare_transaction(client, policy, chain, action, fee=fee, nonce=nonce)

    prepared = run_async(work())
    replace_file(path, prepared.render().encode())
    if given["as_json"]:
        print_json(json.loads(prepared.render()))
        return
    expiry = prepared.body.expiry_height
    click.echo(
        f"{path} holds transaction {prepared.hash.hex()}, which {policy} keys must sign by height"
        f" {expiry}: `fedcoin-node transaction sign {path}` with each"
    )
