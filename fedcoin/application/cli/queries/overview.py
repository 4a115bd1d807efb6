"""One look at a node and its network, for `fedcoin-node top`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fedcoin.application.cli.shared.output import coins, enum_name, size
from fedcoin.application.cli.shared.waiting import certificate_warning

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from fedcoin.network.client.node_client import NodeClient
    from fedcoin.v1.node_service_pb2 import ConnectedPeer, GetStatusResponse
    from fedcoin.v1.views_pb2 import CampaignView, TaskView, ValidatorView

MAX_TASKS: Final = 10
"""How many tasks are shown: the open ones, or the latest."""

MAX_CAMPAIGNS: Final = 5
"""How many campaigns are shown, the latest."""


@dataclass(frozen=True, slots=True)
class NodeOverview:
    """What one look at a node gave."""

    status: GetStatusResponse
    """The node's state."""
    peers: Sequence[ConnectedPeer]
    """The connected peers."""
    validators: Sequence[ValidatorView]
    """The validators of the next height."""
    tasks: Sequence[TaskView]
    """The latest tasks, at most `MAX_TASKS`."""
    campaigns: Sequence[CampaignView]
    """The latest campaigns, at most `MAX_CAMPAIGNS`."""


async def fetch_overview(client: NodeClient) -> NodeOverview:
    """Ask a node for all that is shown, at once.

    Args:
        client: A client of the node.

    Returns:
        The answers.

    Raises:
        RpcError: A call failed.
    """
    status, peers, validators, tasks, campaigns = await asyncio.gather(
        client.get_status(),
        client.list_peers(),
        client.list_validators(),
        client.list_tasks(None, open_only=False, limit=MAX_TASKS),
        client.list_campaigns(MAX_CAMPAIGNS),
    )
    return NodeOverview(status, peers, validators, tasks, campaigns)


def render(overview: NodeOverview, now_ms: int) -> RenderableType:
    """Lay an overview out for a terminal.

    Args:
        overview: What is shown.
        now_ms: The present time in Unix ms, from which ages and times left are counted.

    Returns:
        Tables for rich's console.
    """
    from rich.console import Group

    parts: list[RenderableType] = [_node(overview, now_ms)]
    if overview.peers:
        parts.append(_peers(overview.peers))
    parts.append(_validators(overview.validators))
    if overview.campaigns:
        parts.append(_campaigns(overview.campaigns))
    if overview.tasks:
        parts.append(_tasks(overview.tasks, now_ms))
    return Group(*parts)


def _node(overview: NodeOverview, now_ms: int) -> Table:
    from rich.table import Table

    status = overview.status
    roles = [name for name in ("validator", "mining") if getattr(status, name)]
    marks = [
        text
        for text, is_so in (
            ("catching up", status.catching_up),
            ("owes a vote", status.vote_overdue),
            ("too little power connected", 3 * status.connected_power <= 2 * status.total_power),
        )
        if is_so
    ]
    expiry = certificate_warning(status, now_ms)
    if expiry:
        marks.append(expiry)
    table = Table(box=None, show_header=False, pad_edge=False)
    for _ in range(4):
        table.add_column(overflow="fold")
    # At height 0 the time is that of the genesis.
    age = f"{max(0, now_ms - status.block_time_ms) / 1000:.1f} s ago"
    table.add_row("chain", status.chain_id, "role", ", ".join(roles) or "observer")
    table.add_row("height", str(status.height), "last block", age if status.height else "none yet")
    power = f"{coins(status.connected_power)} of {coins(status.total_power)}"
    table.add_row("peers", str(status.peers), "power connected", power)
    pool = str(status.pending_transactions)
    table.add_row("pool", pool, "memory", size(status.rss_bytes))
    if marks:
        table.add_row("warning", f"[bold red]{', '.join(marks)}[/]", "", "")
    return table


def _table(title: str, *columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


def _peers(peers: Sequence[ConnectedPeer]) -> Table:
    from rich.markup import escape

    table = _table("Peers", "peer", "height", "score", "agent")
    for peer in peers:
        name = peer.address.rpartition("@")[2] or peer.node_key[:16]
        # What strangers said is not read as markup.
        table.add_row(escape(name), str(peer.height), str(peer.score), escape(peer.agent))
    return table


def _validators(validators: Sequence[ValidatorView]) -> Table:
    table = _table("Validators", "address", "bond", "power", "next")
    total = sum(each.bond for each in validators) or 1
    for each in validators:
        share = f"{100 * each.bond / total:.1f} %"
        table.add_row(each.address, coins(each.bond), share, "*" if each.next_proposer else "")
    return table


def _campaigns(campaigns: Sequence[CampaignView]) -> Table:
    table = _table("Campaigns", "campaign", "round", "budget", "escrow", "state")
    for each in campaigns:
        state = "closed" if each.closed else "closing" if each.closing_ms else "open"
        rounds, escrow = f"{each.last_round} of {each.rounds}", coins(each.escrow)
        table.add_row(each.campaign_id[:16], rounds, coins(each.budget), escrow, state)
    return table


def _tasks(tasks: Sequence[TaskView], now_ms: int) -> Table:
    columns = ("task", "round", "phase", "clients", "committed", "revealed", "left")
    table = _table("Rounds", *columns)
    for each in tasks:
        phase = enum_name(each.DESCRIPTOR.fields_by_name["phase"].enum_type, each.phase)
        committed = sum(miner.committed for miner in each.miners)
        revealed = sum(miner.revealed for miner in each.miners)
        counts = map(str, (len(each.clients), committed, revealed))
        left_ms = 0 if each.closed_height else each.deadline_ms - now_ms
        left = f"{left_ms / 1000:.0f} s" if left_ms > 0 else "-"
        table.add_row(each.task_id[:16], str(each.round), phase, *counts, left)
    return table
