"""`fedcoin-node drain`."""

from __future__ import annotations

import asyncio

import click

from fedcoin.application.cli.shared.connect import run_async
from fedcoin.application.cli.shared.options import example, home_option
from fedcoin.application.cli.shared.output import note
from fedcoin.application.configuration.home import Home
from fedcoin.data.plurals import format_count

POLL_SECONDS = 1.0
"""The time between two questions to a node that drains, in seconds."""


@click.command(epilog=example("fedcoin-node drain --home b", "fedcoin-node drain --home b --wait"))
@home_option
@click.option("--wait", is_flag=True, help="Wait until the node has stopped.")
def drain(home: Home, wait: bool) -> None:
    """Have a miner's node finish what it has committed to, and then stop.

    A stop between a commitment and its reveal burns the deposit. Until it stops, the node takes up
    no task, and declines those that it has not committed to. It calls the node by the operator's
    socket of its home.
    """
    run_async(_drain(home, wait))


async def _drain(home: Home, wait: bool) -> None:
    from fedcoin.network.client.admin_client import AdminClient
    from fedcoin.network.client.rpc_error import RpcError

    async with AdminClient(f"unix:{home.admin_socket.absolute()}") as node:
        left, before = await node.drain(), -1
        while wait:
            if left != before:
                note(f"{format_count(left, 'commitment or transaction', _PLURAL)} to finish")
            before = left
            await asyncio.sleep(POLL_SECONDS)
            try:
                left = await node.drain()
            except RpcError as error:
                if not error.is_transient:
                    raise
                await _wait_until_unlocked(home)
                break
    note("The node has stopped" if wait else f"The node drains; {left} to finish")


async def _wait_until_unlocked(home: Home) -> None:
    """Wait until the process has let go of the home, after its listeners have closed."""
    from fedcoin.application.diagnosis.home_checks import is_locked

    while True:
        if not is_locked(home):
            return
        await asyncio.sleep(POLL_SECONDS / 4)


_PLURAL = "commitments or transactions"
