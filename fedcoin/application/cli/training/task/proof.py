"""`fedcoin-node task proof`."""

from __future__ import annotations

from typing import Any

import click

from fedcoin.application.cli.shared.connect import node_client, run_async
from fedcoin.application.cli.shared.id_prefixes import ID_PREFIX, complete_task_id
from fedcoin.application.cli.shared.options import ADDRESS, example, home_option, node_option
from fedcoin.application.cli.shared.output import print_json
from fedcoin.application.configuration.home import Home


@click.command(epilog=example("fedcoin-node task proof 3c9a...41 fc1q...9v > proof.json"))
@click.argument("task_id", type=ID_PREFIX, metavar="TASK")
@click.argument("address", type=ADDRESS, metavar="ADDRESS")
@home_option
@node_option
def proof(task_id: str, address: bytes, home: Home, node: str | None) -> None:
    """Print a proof of the payments of a task to an address, as JSON.

    It can be checked with the network's genesis.json, without a node and without a chain:
    fedcoin-node verify --proof proof.json --genesis genesis.json
    """

    async def question() -> Any:
        from fedcoin.application.verification.proof_file import fetch_document

        async with node_client(home, node) as client:
            full_id = await complete_task_id(client, task_id)
            return await fetch_document(client, full_id, address)

    print_json(run_async(question()))
