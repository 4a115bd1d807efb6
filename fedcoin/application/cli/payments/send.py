"""`fedcoin-node send`."""

from __future__ import annotations

from typing import Any

import click

from fedcoin.application.cli.shared.options import ADDRESS, AMOUNT, example
from fedcoin.application.cli.shared.signed_action import execute, signing_options


@click.command(
    epilog=example(
        "fedcoin-node send fc1... 2.5fdc",
        "fedcoin-node send fc1... 1fdc fc1... 2fdc --key alice",
        "fedcoin-node send fc1... 1fdc --replace 6b1f...e2     instead of one that waits",
    )
)
@click.argument("outputs", nargs=-1, required=True, metavar="ADDRESS AMOUNT...")
@signing_options
@click.pass_context
def send(ctx: click.Context, /, outputs: tuple[str, ...], **given: Any) -> None:
    """Send coins to one address or to many at once.

    AMOUNT has a unit, such as 1.5fdc or 150000000sap. 1 FDC is 100,000,000 sap.
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
    execute(transfer, given)
