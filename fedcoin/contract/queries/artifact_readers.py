"""Who may fetch the artifacts of a private campaign, by the latest state of the chain.

A campaign is private when its terms have a list of readers. A node that holds its artifacts sends
them to four sorts of keys:

* the requester, the server, and the readers that the requester named, at any time;
* while a task of the campaign is open, the miners whose power was frozen for it, as long as they
  have any: a miner that bonds later gets none of the task's artifacts and audits none of its
  reveals;
* while none is open and the campaign is not over, the validators: they must check the next task's
  artifacts before they vote for the block that opens it, which freezes their power for it.

Clients with a registered receipt may add their weights to what a node holds. They get the others'
only when the server has let the receipt window pass, so that they may open the task in its place.
"""

from __future__ import annotations

from fedcoin.contract.state import records
from fedcoin.contract.state.overlay import StateReader
from fedcoin.contract.tasks.frozen_power import read_power
from fedcoin.v1.state_pb2 import CampaignState


def is_private(campaign: CampaignState) -> bool:
    """Tell whether a campaign's artifacts are for its readers alone.

    Args:
        campaign: The campaign's record.

    Returns:
        True when it was opened with a list of readers, which may be empty.
    """
    return campaign.HasField("readers")


def may_read(state: StateReader, time_ms: int, campaign_id: bytes, address: bytes) -> bool:
    """Tell whether an address may fetch the artifacts of a private campaign.

    Args:
        state: The state after the latest block.
        time_ms: The time of that block, Unix ms.
        campaign_id: The campaign's id, of any length.
        address: The address of a key that has proved itself, 20 bytes.

    Returns:
        True when it may; False also when there is no such campaign, or it is not private.
    """
    campaign = records.CAMPAIGNS.get(state, campaign_id)
    if campaign is None or not is_private(campaign):
        return False
    named = (campaign.requester, campaign.terms.server, *campaign.readers.addresses)
    if address in named:
        return True
    if campaign.closed:
        return False
    if campaign.open_task_id:
        return read_power(state, campaign.open_task_id).get(address, 0) > 0
    bond = records.BONDS.get(state, address)
    if bond is not None and bond.bond > 0:
        return True
    is_due = time_ms >= campaign.receipts_since_ms + campaign.terms.receipt_window_ms
    return bool(campaign.receipts) and is_due and _has_receipt(state, campaign_id, address)


def may_write(state: StateReader, time_ms: int, campaign_id: bytes, address: bytes) -> bool:
    """Tell whether an address may give a node artifacts of a private campaign.

    Args:
        state: The state after the latest block.
        time_ms: The time of that block, Unix ms.
        campaign_id: The campaign's id, of any length.
        address: The address of a key that has proved itself, 20 bytes.

    Returns:
        True when it may fetch them, or has a registered receipt for the next round.
    """
    if may_read(state, time_ms, campaign_id, address):
        return True
    campaign = records.CAMPAIGNS.get(state, campaign_id)
    if campaign is None or not is_private(campaign) or campaign.closed:
        return False
    return _has_receipt(state, campaign_id, address)


def _has_receipt(state: StateReader, campaign_id: bytes, address: bytes) -> bool:
    return records.RECEIPTS.get(state, campaign_id, address) is not None
