"""Campaigns that close by time: their requesters asked for it a receipt window before."""

from __future__ import annotations

from itertools import takewhile

from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.registered_receipts import are_binding, over_ms
from fedcoin.contract.tasks.settlement import close_campaign
from fedcoin.v1.state_pb2 import CampaignState


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

    Args:
        context: The execution of the block.
    """
    now = context.block.time_ms
    due = takewhile(lambda entry: entry[0] <= now, records.CLOSING.scan(context.state))
    for time_ms, campaign_id in list(due):
        campaign = records.CAMPAIGNS.get(context.state, campaign_id)
        assert campaign is not None, "a closing without a campaign"
        is_closing = time_ms == campaign.closing_ms and not campaign.closed
        if is_closing and campaign.open_task_id:
            continue
        records.CLOSING.remove(context.state, time_ms, campaign_id)
        if not is_closing:
            continue
        if are_binding(campaign, now):
            campaign.closing_ms = over_ms(campaign)
            records.CLOSING.add(context.state, campaign.closing_ms, campaign_id)
        else:
            close_campaign(context, campaign_id, campaign)
        records.CAMPAIGNS.put(context.state, campaign_id, record=campaign)
