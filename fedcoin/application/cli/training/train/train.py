"""`fedcoin-node train`: the FL server, the FL client, and a simulation without a network."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.options import example
from fedcoin.application.cli.training.train.client import client
from fedcoin.application.cli.training.train.client_group import clients
from fedcoin.application.cli.training.train.forecast import forecast
from fedcoin.application.cli.training.train.server import server
from fedcoin.application.cli.training.train.simulate import simulate


@click.group(
    epilog=example(
        "fedcoin-node train server --clients 2 --rounds 3 --budget 100fdc --key coordinator",
        "fedcoin-node train client --server 127.0.0.1:7052 --data mine.npz",
    )
)
def train() -> None:
    """Serve or join the training of a model.

    The server (coordinator) pays for a campaign of several rounds and averages the clients'
    updates. Each client trains on its own data, which never leaves its machine. The network
    computes the Shapley values of each round and pays.
    """


for command in (forecast, server, client, clients, simulate):
    train.add_command(command)
