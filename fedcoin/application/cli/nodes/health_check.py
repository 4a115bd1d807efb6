"""`fedcoin-node health`."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.options import example, home_option, node_option
from fedcoin.application.configuration.home import Home


@click.command(
    epilog=example("fedcoin-node health", "fedcoin-node health --node miner-1:7051 --timeout 10")
)
@home_option
@node_option
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 600),
    default=3.0,
    show_default=True,
    help="How long to wait for it, in seconds.",
)
def health(home: Home, node: str | None, timeout_s: float) -> None:
    """Ask the health service of a node or coordinator: exit code 0 when it serves, else 1.

    For containers' health checks and scripts. It needs no token.
    """
    ask(home, node, lambda client: client.wait_until_serving(timeout_s))
    click.echo("serving")
