"""`fedcoin-node bond` and `fedcoin-node unbond`."""

from __future__ import annotations

from typing import Any

import click

from fedcoin.application.cli.shared.options import AMOUNT, example
from fedcoin.application.cli.shared.signed_action import execute, signing_options


@click.command(epilog=example("fedcoin-node bond 100fdc"))
@click.argument("amount", type=AMOUNT)
@signing_options
def bond(amount: int, **given: Any) -> None:
    """Lock coins as a bond. A key whose bond reaches the network's minimum is a miner.

    A miner that signs two contradicting votes loses its bond.
    """
    from fedcoin.v1.transaction_pb2 import Bond

    execute(Bond(amount=amount), given)


@click.command(epilog=example("fedcoin-node unbond 50fdc"))
@click.argument("amount", type=AMOUNT)
@signing_options
def unbond(amount: int, **given: Any) -> None:
    """Take coins out of the bond. They return after the network's unbonding period."""
    from fedcoin.v1.transaction_pb2 import Unbond

    execute(Unbond(amount=amount), given)
