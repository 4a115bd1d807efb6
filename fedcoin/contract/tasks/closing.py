"""Campaigns that close by time: their requesters asked for it a receipt window before.

Requesters choose the time, so that any number of campaigns may become due at one moment, each
with as many receipts as a task has clients. A block closes a few of them, and the next ones go on.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Final

from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks.registered_receipts import are_binding, over_ms
from fedcoin.contract.tasks.settlement import close_campaign
from fedcoin.v1.state_pb2 import CampaignState

MAX_CLOSINGS: Final = 64
"""The largest number of campaigns that one block closes or puts off by time."""


def announce_closing(
    context: ExecutionContext, campaign_id: bytes, campaign: CampaignState
) -> None:
    """Note that a campaign closes when its receipt window has passed.

    Args:
        context: The execution of the block.
        campaign_id: The campaign's id, 32 bytes.
        campaign: The campaign, which is changed; the caller writes its record.
    """
    campaign.closing_ms = context.block.time_ms + campaign.terms.receipt_window_ms
    records.CLOSING.add(context.state, campaign.closing_ms, campaign_id)


def close_due(context: ExecutionContext) -> None:
    """Close the campaigns whose time has come, unless a task is open or receipts wait for one.

    A block closes at most `MAX_CLOSINGS` campaigns. It also stops before a campaign, other than the
    first, with which more than `max_clients` registered receipts would be deleted in the block. The
    next blocks close the rest.

    Args:
        context: The execution of the block.
    """
    now, receipts = context.block.time_ms, 0
    due = takewhile(lambda entry: entry[0] <= now, _entries(context.state))
    for i, (time_ms, campaign_id, campaign) in enumerate(list(islice(due, MAX_CLOSINGS))):
        is_closing = _is_closing(campaign, time_ms)
        receipts += campaign.receipts if is_closing else 0
        if i and receipts > context.parameters.max_clients:
            return
        records.CLOSING.remove(context.state, time_ms, campaign_id)
        if not is_closing:
            continue
        if are_binding(campaign, now):
            campaign.closing_ms = over_ms(campaign)
            records.CLOSING.add(context.state, campaign.closing_ms, campaign_id)
        else:
            close_campaign(context, campaign_id, campaign)
        records.CAMPAIGNS.put(context.state, campaign_id, record=campaign)


def next_closing_ms(state: StateReader) -> int | None:
    """Tell when a block is due because a campaign closes, or its clients may open a task.

    Closings of campaigns with open tasks do not count: they wait for the tasks, and would else
    have blocks made without a pause for as long as these are open.

    Args:
        state: The state after the latest block.

    Returns:
        Unix time in ms; None when there is no such time.
    """
    return next((time_ms for time_ms, _, _ in _entries(state)), None)


def _entries(state: StateReader) -> Iterator[tuple[int, bytes, CampaignState]]:
    """Read what is due by time, but for closings that wait for an open task."""
    for time_ms, campaign_id in records.CLOSING.scan(state):
        campaign = records.CAMPAIGNS.get(state, campaign_id)
        assert campaign is not None, "a closing without a campaign"
        if not (campaign.open_task_id and _is_closing(campaign, time_ms)):
            yield time_ms, campaign_id, campaign


def _is_closing(campaign: CampaignState, time_ms: int) -> bool:
    """Tell whether a campaign closes at this time; else its clients may open a task then."""
    return time_ms == campaign.closing_ms and not campaign.closed
