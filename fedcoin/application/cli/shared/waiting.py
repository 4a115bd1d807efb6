"""Say on standard error why a command that waits for a block has nothing to show yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from fedcoin.application.cli.shared.output import coins, note
from fedcoin.application.node.watching.certificate_watch import DAY_MS, EARLY_DAYS
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.network.client.node_client import NodeClient
    from fedcoin.v1.node_service_pb2 import GetStatusResponse

CAUSE_SECONDS: Final = 1.0
"""When a known cause, such as missing validators, is named, in seconds; a block takes less."""

FIRST_SECONDS: Final = 4.0
"""When a command says that it still waits, whatever the cause is, in seconds."""

REPEAT_SECONDS: Final = 20.0
"""The time between two explanations, in seconds."""


@asynccontextmanager
async def explained_wait(client: NodeClient) -> AsyncIterator[None]:
    """Say on standard error, while the body of a `with` block runs, why no block comes.

    Args:
        client: A client of the node that the transaction was submitted to.

    Yields:
        Nothing; the command waits inside the `with` block.
    """
    explaining = asyncio.create_task(_explain(client))
    try:
        yield
    finally:
        explaining.cancel()
        with suppress(asyncio.CancelledError):
            await explaining


async def _explain(client: NodeClient) -> None:
    await asyncio.sleep(CAUSE_SECONDS)
    if not await _say(client, only_causes=True):
        await asyncio.sleep(FIRST_SECONDS - CAUSE_SECONDS)
        await _say(client)
    while True:
        await asyncio.sleep(REPEAT_SECONDS)
        await _say(client)


async def _say(client: NodeClient, *, only_causes: bool = False) -> bool:
    # Tells whether it said something. With `only_causes` it does not while all seems well.
    from fedcoin.network.client.rpc_error import RpcError

    # The call that waits reports a failure of the node itself.
    with suppress(RpcError):
        status = await client.get_status()
        if not only_causes or status.catching_up or power_shortage(status):
            note(explanation(status))
            return True
    return False


def explanation(status: GetStatusResponse) -> str:
    """Return a line that says what the next block waits for.

    Args:
        status: The node's answer to GetStatus.

    Returns:
        One or two sentences for a person.
    """
    shortage = power_shortage(status)
    if shortage:
        return f"Still waiting: {shortage}"
    if status.catching_up:
        at = f"{status.height}{sync_progress(status)}"
        return f"Still waiting: the node is fetching blocks, now at height {at}."
    pending = format_count(status.pending_transactions, "pending transaction")
    return (
        f"Still waiting: the node is at height {status.height} with {pending}; "
        "`fedcoin-node peers` shows whether it is connected."
    )


def sync_progress(status: GetStatusResponse) -> str:
    """Say how far a node is that fetches blocks from its peers.

    Args:
        status: The node's answer to GetStatus.

    Returns:
        A phrase to follow the height, such as ` (catching up to 5000, 1200 blocks/s, 3 s left)`;
        empty when the node is not catching up.
    """
    if not status.catching_up:
        return ""
    target = f" to {status.sync_target_height}" if status.sync_target_height else ""
    if not status.HasField("sync_seconds_left"):
        return f" (catching up{target})"
    rate, left = status.sync_blocks_per_second, _duration(status.sync_seconds_left)
    return f" (catching up{target}, {rate:.0f} blocks/s, {left} left)"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def power_shortage(status: GetStatusResponse) -> str:
    """Return a warning when too few validators are connected to decide a block, else "".

    Args:
        status: The node's answer to GetStatus.

    Returns:
        Two sentences for a person, or an empty string.
    """
    if 3 * status.connected_power > 2 * status.total_power:
        return ""
    return (
        f"only validators with {coins(status.connected_power)} of the voting power of "
        f"{coins(status.total_power)} are connected, and a block needs more than two thirds. "
        "Start the others (`fedcoin-node validators` lists them)."
    )


def certificate_warning(status: GetStatusResponse, now_ms: int) -> str:
    """Return a warning when a certificate of the node expires within 30 days, else "".

    Args:
        status: The node's answer to GetStatus.
        now_ms: The present time in Unix ms.

    Returns:
        Such as "the node's certificate expires in 2.9 days", or an empty string.
    """
    left_ms = status.tls_expiry_ms - now_ms
    if not status.tls_expiry_ms or left_ms > EARLY_DAYS * DAY_MS:
        return ""
    if left_ms <= 0:
        return "the node's certificate has expired"
    return f"the node's certificate expires in {left_ms / DAY_MS:.1f} days"
