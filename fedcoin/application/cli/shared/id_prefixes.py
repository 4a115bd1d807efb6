"""Ids of tasks and campaigns that are given by their first digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fedcoin.application.cli.shared.options import Parsed
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


def _parse(value: str) -> str:
    value = value.rstrip("….")  # tables shorten ids so
    if not MIN_DIGITS <= len(value) <= _DIGITS or not set(value.lower()) <= set("0123456789abcdef"):
        raise ValueError(f"must be 64 hex digits, or at least the first {MIN_DIGITS} of them")
    return value.lower()


ID_PREFIX = Parsed("id", _parse)
"""Reads a str of 4 to 64 lower-case hex digits."""


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
