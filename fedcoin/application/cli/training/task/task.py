"""`fedcoin-node task`: follow Shapley tasks, and publish one."""

from __future__ import annotations

import click

from fedcoin.application.cli.shared.options import example
from fedcoin.application.cli.training.task.clients import clients
from fedcoin.application.cli.training.task.close import close
from fedcoin.application.cli.training.task.kept_receipts import receipts
from fedcoin.application.cli.training.task.list import list_tasks
from fedcoin.application.cli.training.task.proof import proof
from fedcoin.application.cli.training.task.publish import publish
from fedcoin.application.cli.training.task.readers import readers
from fedcoin.application.cli.training.task.show import show
from fedcoin.application.cli.training.task.watch import watch


@click.group(epilog=example("fedcoin-node task list --open", "fedcoin-node task show 3c9a...41"))
def task() -> None:
    """Follow Shapley tasks, or publish one.

    A task is one round of a campaign: miners compute the Shapley value of each client's update,
    prove it and agree on it, and the block that settles the task pays.
    """


for command in (list_tasks, show, watch, proof, publish, close, clients, readers, receipts):
    task.add_command(command)
