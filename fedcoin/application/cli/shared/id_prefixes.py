"""Ids of tasks and campaigns that are given by their first digits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from fedcoin.application.cli.shared.connect import ask
from fedcoin.application.cli.shared.options import Parsed
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

if TYPE_CHECKING:
    from fedcoin.network.client.node_client import NodeClient

MIN_DIGITS: Final = 4
"""The smallest number of digits that name a task or a campaign."""

MAX_LISTED: Final = 1_000
"""How many of the latest tasks or campaigns are searched for one that is named by its first digits.
"""

_DIGITS: Final = 64
_MAX_NAMED: Final = 5


MIN_TRANSACTION_DIGITS: Final = 8
"""The smallest number of digits that name a transaction: nodes search all that they have."""


def _parse(value: str, least: int) -> str:
    value = value.rstrip("….")  # tables shorten ids so
    if not least <= len(value) <= _DIGITS or not set(value.lower()) <= set("0123456789abcdef"):
        raise ValueError(f"must be 64 hex digits, or at least the first {least} of them")
    return value.lower()


ID_PREFIX = Parsed("id", partial(_parse, least=MIN_DIGITS))
"""Reads a str of 4 to 64 lower-case hex digits."""

HASH_PREFIX = Parsed("hash", partial(_parse, least=MIN_TRANSACTION_DIGITS))
"""Reads a str of 8 to 64 lower-case hex digits."""


async def complete_task_id(client: NodeClient, prefix: str) -> str:
    """Find the task whose id begins with some digits.

    Args:
        client: A client of the node that knows the task.
        prefix: 4 to 64 lower-case hex digits.

    Returns:
        The id, 64 hex digits; `prefix` itself when it has as many.

    Raises:
        RefusalError: BAD_ARGUMENT when none of the latest tasks begins so, or several do.
        RpcError: The node cannot be reached.
    """
    if len(prefix) == _DIGITS:
        return prefix
    tasks = await client.list_tasks(limit=MAX_LISTED)
    return choose("task", prefix, [task.task_id for task in tasks])


async def complete_campaign_id(client: NodeClient, prefix: str) -> str:
    """Find the campaign whose id begins with some digits.

    Args:
        client: A client of the node that knows the campaign.
        prefix: 4 to 64 lower-case hex digits.

    Returns:
        The id, 64 hex digits; `prefix` itself when it has as many.

    Raises:
        RefusalError: BAD_ARGUMENT when none of the latest campaigns begins so, or several do.
        RpcError: The node cannot be reached.
    """
    if len(prefix) == _DIGITS:
        return prefix
    campaigns = await client.list_campaigns(MAX_LISTED)
    return choose("campaign", prefix, [campaign.campaign_id for campaign in campaigns])


def require_campaign_id(prefix: str, home: Home, node: str | None) -> bytes:
    """Refuse the first digits of a campaign's id where a signature or a proof depends on it.

    Args:
        prefix: 4 to 64 lower-case hex digits.
        home: The home of the command.
        node: The value of `--node`; None when it was not given.

    Returns:
        The id, 32 bytes.

    Raises:
        RefusalError: BAD_ARGUMENT for less than 64 digits; it names the campaigns that begin so.
        RpcError: The node cannot be reached.
    """
    if len(prefix) == _DIGITS:
        return bytes.fromhex(prefix)
    campaigns = ask(home, node, lambda client: client.list_campaigns(MAX_LISTED))
    found = [one.campaign_id for one in campaigns if one.campaign_id.startswith(prefix)]
    begin = ", ".join(found[:_MAX_NAMED]) or "no campaign that the node lists"
    raise RefusalError(
        ApplicationCode.BAD_ARGUMENT,
        f"campaign {prefix}: what is signed names a campaign by its whole id, of 64 digits; with"
        f" these begins: {begin}",
        field="campaign",
    )


def choose(what: str, prefix: str, ids: Sequence[str]) -> str:
    """Choose the one id that begins with some digits.

    Args:
        what: What the ids name, for the error.
        prefix: Lower-case hex digits.
        ids: Ids of 64 lower-case hex digits.

    Returns:
        The id.

    Raises:
        RefusalError: BAD_ARGUMENT when no id begins so, or several do.
    """
    found = [one for one in ids if one.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    problem = f"{len(found)} ids begin so: give more digits" if found else "no id begins so"
    searched = f"among the latest {len(ids)} {what}s, " if len(ids) >= MAX_LISTED else ""
    raise RefusalError(
        ApplicationCode.BAD_ARGUMENT, f"{what} {prefix}: {searched}{problem}", field=what
    )
