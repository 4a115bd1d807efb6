"""Campaigns that end before their last round: closed by their requester, or for want of clients."""

from __future__ import annotations

import shlex

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import format_address, parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import format_amount
from fedcoin.network.client.node_client import NodeClient


def command_to_close(campaign_id: bytes, requester: str) -> str:
    """Write the command with which a campaign's requester closes it.

    Args:
        campaign_id: The campaign's id, 32 bytes.
        requester: The setting `coordinator.requester`: the file of an account of several keys that
            pays the campaign; empty where the coordinator's own key pays.

    Returns:
        The command, as an operator types it.
    """
    close = f"fedcoin-node task close {campaign_id.hex()}"
    if not requester:
        return f"{close} --key NAME"
    return f"{close} --policy {shlex.quote(requester)} --prepare close.json"


async def find_end(node: NodeClient, campaign: Campaign, server: bytes) -> RefusalError | None:
    """Ask the chain whether the present round of a campaign can still be opened by its server.

    Args:
        node: A node of the campaign's network.
        campaign: An open campaign.
        server: The address of this coordinator's key, 20 bytes.

    Returns:
        CAMPAIGN_FINISHED when the campaign was closed, or is about to be; None when the round can
        be opened, or its task was opened already.

    Raises:
        RefusalError: OTHER_SETTINGS when the campaign was opened with another key.
        RpcError: The node does not know the campaign, or the call failed.
    """
    view = await node.get_campaign(campaign.campaign_id)
    is_over = view.closed or view.closing_ms
    if parse_address(view.server) != server:
        other = "it is closed, so begin another with --new-campaign"
        advice = other if is_over else "give --key as before"
        raise RefusalError(
            ApplicationCode.OTHER_SETTINGS,
            f"campaign {view.campaign_id} was opened with the key of {view.server}; the key of "
            f"this coordinator is that of {format_address(server)}: {advice}",
            field="coordinator.key",
            limit=view.server,
        )
    if not is_over or view.last_round >= campaign.round:
        return None
    what = (
        "was closed, and the rest of its budget is back on the account that paid it"
        if view.closed
        else f"is closing, as its requester asked for; {format_amount(view.escrow)} return then"
    )
    return RefusalError(
        ApplicationCode.CAMPAIGN_FINISHED,
        f"campaign {view.campaign_id} {what}; round {campaign.round} is not held",
        field="campaign_id",
    )


def explain_giving_up(campaign: Campaign, config: CoordinatorConfig) -> RefusalError:
    """Explain why a coordinator gives a campaign up, and when the rest of the budget returns.

    Args:
        campaign: The state of the campaign, which no client joined in time.
        config: How long the coordinator waited and clients may register receipts, and whether an
            account of several keys pays, which alone can close the campaign.

    Returns:
        A refusal with code GAVE_UP.
    """
    receipt_seconds = config.receipt_seconds
    if config.requester:
        command = command_to_close(campaign.campaign_id, config.requester)
        outcome = (
            f"start again to wait for clients, or prepare the campaign's end by `{command}`, which"
            " returns the rest of its budget once the account's keys have signed it"
        )
    elif receipt_seconds:
        outcome = (
            "the campaign is closed, and the rest of its budget returns to the account that paid it"
            f" in {receipt_seconds:g} s, unless clients register receipts for their updates by then"
        )
    else:
        outcome = (
            "the campaign is closed, and the rest of its budget is back on the account that paid it"
        )
    return RefusalError(
        ApplicationCode.GAVE_UP,
        f"no client joined round {campaign.round} within {config.join_seconds:g} s; {outcome}",
        field="join_seconds",
    )
