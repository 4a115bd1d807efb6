"""Commands that sign transactions: send, bond, unbond."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from fedcoin.application.cli.connect import open_wallet, run_async
from fedcoin.application.cli.options import (
    ADDRESS,
    AMOUNT,
    HASH,
    example,
    home_option,
    json_option,
    key_option,
    node_option,
    passphrase_option,
)
from fedcoin.application.cli.output import as_plain, note, print_json
from fedcoin.application.cli.query import show_transaction
from fedcoin.application.cli.waiting import explained_wait

if TYPE_CHECKING:
    from google.protobuf.message import Message

Command = Callable[..., None]


def _signing_options(command: Command) -> Command:
    options: tuple[Callable[[Command], Command], ...] = (
        home_option,
        node_option,
        key_option(),
        passphrase_option,
        click.option("--fee", type=AMOUNT, help="The fee; default: the minimum fee."),
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
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


def _execute(action: Message, given: dict[str, Any]) -> None:

    async def work() -> Any:
        wallet = open_wallet(given["home"], given["node"], given["key_name"], given["passphrase"])
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
        show_transaction(view)


@click.command(
    epilog=example(
        "fedcoin-node send fc1... 2.5fdc",
        "fedcoin-node send fc1... 1fdc fc1... 2fdc --key alice",
        "fedcoin-node send fc1... 1fdc --replace 6b1f...e2     instead of one that waits",
    )
)
@click.argument("outputs", nargs=-1, required=True, metavar="ADDRESS AMOUNT...")
@_signing_options
@click.pass_context
def send(ctx: click.Context, /, outputs: tuple[str, ...], **given: Any) -> None:
    """Send coins to one address or to many at once.

    AMOUNT has a unit, such as 1.5fdc; without one it is in sap. 1 FDC is 100,000,000 sap.
    """
    from fedcoin.v1.transaction_pb2 import Transfer, TransferOutput

    if len(outputs) % 2:
        raise click.UsageError("Give an amount after each address.", ctx)
    transfer = Transfer(
        outputs=[
            TransferOutput(
                recipient=ADDRESS.convert(address, None, ctx),
                amount=AMOUNT.convert(amount, None, ctx),
            )
            for address, amount in zip(outputs[::2], outputs[1::2], strict=True)
        ]
    )
    _execute(transfer, given)


@click.command(epilog=example("fedcoin-node bond 100fdc"))
@click.argument("amount", type=AMOUNT)
@_signing_options
def bond(amount: int, **given: Any) -> None:
    """Lock coins as a bond. A key whose bond reaches the network's minimum is a miner.

    A miner that signs two contradicting votes loses its bond.
    """
    from fedcoin.v1.transaction_pb2 import Bond

    _execute(Bond(amount=amount), given)


@click.command(epilog=example("fedcoin-node unbond 50fdc"))
@click.argument("amount", type=AMOUNT)
@_signing_options
def unbond(amount: int, **given: Any) -> None:
    """Take coins out of the bond. They return after the network's unbonding period."""
    from fedcoin.v1.transaction_pb2 import Unbond

    _execute(Unbond(amount=amount), given)
