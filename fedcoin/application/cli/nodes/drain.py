"""`fedcoin-node drain`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from fedcoin.application.cli.shared.connect import run_async
from fedcoin.application.cli.shared.options import example, home_option
from fedcoin.application.cli.shared.output import note
from fedcoin.application.configuration.home import Home
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.network.client.rpc_error import RpcError

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
        try:
            left, before = await node.drain(), -1
        except RpcError as error:
            if not _is_away(home, error):
                raise
            if not wait:
                text = "no node runs on this home: there is nothing to drain"
                raise RpcError(error.status, error.code, text, target=str(home.root)) from None
            note(f"No node runs on {home.root}: there is nothing to drain")
            return
        while wait:
            if left != before:
                note(f"{_describe(left)} to finish")
            before = left
            await asyncio.sleep(POLL_SECONDS)
            try:
                left = await node.drain()
            except RpcError as error:
                if not error.is_transient:
                    raise
                await _wait_until_unlocked(home)
                break
    note("The node has stopped" if wait else f"The node drains; {_describe(left)} to finish")


def _is_away(home: Home, error: RpcError) -> bool:
    """Tell whether a call failed because no process works on a home; False for no home at all."""
    from fedcoin.application.diagnosis.home_checks import is_locked

    return error.is_lost and home.is_home and not is_locked(home)


def _describe(left: int) -> str:
    return format_count(left, "commitment or transaction", "commitments or transactions")


async def _wait_until_unlocked(home: Home) -> None:
    """Wait until the process has let go of the home, after its listeners have closed."""
    from fedcoin.application.diagnosis.home_checks import is_locked

    while True:
        if not is_locked(home):
            return
        await asyncio.sleep(POLL_SECONDS / 4)
