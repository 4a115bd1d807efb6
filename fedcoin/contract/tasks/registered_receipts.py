"""Registered receipts: what they oblige a campaign to, until when, and how they end.

From the first registration of a round on, two windows of `receipt_window_ms` follow each other:

    since ........ due ........ over
      | register    | a client   | the campaign may close, which burns
      |             | may open   | the training price of this round
      |             | the task   |

The round's task must hold all registered updates, whenever it is opened.
"""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.errors import RefusalError
from fedcoin.incentive.training_reward import compute_training_share
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.block_pb2 import PaymentReceipt
from fedcoin.v1.state_pb2 import CampaignState


def due_ms(campaign: CampaignState) -> int:
    """Tell when clients may open the round's task themselves.

    Args:
        campaign: A campaign with registered receipts.

    Returns:
        Unix time in ms.
    """
    return campaign.receipts_since_ms + campaign.terms.receipt_window_ms


def over_ms(campaign: CampaignState) -> int:
    """Tell until when the registered receipts keep the campaign from closing.

    Args:
        campaign: A campaign with registered receipts.

    Returns:
        Unix time in ms.
    """
    return campaign.receipts_since_ms + 2 * campaign.terms.receipt_window_ms


def are_binding(campaign: CampaignState, time_ms: int) -> bool:
    """Tell whether registered receipts keep the campaign from closing.

    Args:
        campaign: The campaign's record.
        time_ms: The block's time, Unix ms.

    Returns:
        False without receipts, and when their time is over.
    """
    return campaign.receipts > 0 and time_ms < over_ms(campaign)


def check_settled(context: ExecutionContext, campaign: CampaignState) -> None:
    """Check that no registered receipt waits for its round's task.

    Args:
        context: The execution of the block.
        campaign: The campaign's record.

    Raises:
        RefusalError: RECEIPTS_UNSETTLED when one waits and its time (`over_ms`) has not passed.
    """
    if are_binding(campaign, context.block.time_ms):
        until = over_ms(campaign)
        raise RefusalError(
            LedgerCode.RECEIPTS_UNSETTLED,
            f"{campaign.receipts} registered receipts wait for the task of round"
            f" {campaign.last_round + 1}: open it with their updates, or wait until Unix time"
            f" {until} ms",
            field="campaign_id",
            limit=str(until),
        )


def release_receipts(
    context: ExecutionContext, campaign_id: bytes, campaign: CampaignState
) -> None:
    """Delete the receipts of a round that ends, and return their deposits.

    Args:
        context: The execution of the block.
        campaign_id: The campaign's id, 32 bytes.
        campaign: The campaign, which is changed; the caller writes its record.
    """
    for address, receipt in list(records.RECEIPTS.scan(context.state, campaign_id)):
        records.RECEIPTS.delete(context.state, campaign_id, address)
        context.credit(address, receipt.deposit)
        context.add_payment_receipt(
            PaymentReceipt(
                kind=block_pb2.PAYMENT_KIND_RECEIPT_DEPOSIT_RETURNED,
                address=address,
                amount=receipt.deposit,
                campaign_id=campaign_id,
                round=campaign.last_round + 1,
            )
        )
    campaign.receipts = 0
    campaign.receipts_since_ms = 0
    campaign.failed_ms = 0


def prolong_receipts(context: ExecutionContext, campaign: CampaignState) -> None:
    """Start the receipt window again for a round whose task was closed and that goes on.

    Args:
        context: The execution of the block.
        campaign: The campaign, which is changed; the caller writes its record.
    """
    if campaign.receipts:
        begun = context.block.time_ms - campaign.terms.receipt_window_ms
        campaign.receipts_since_ms = max(campaign.receipts_since_ms, begun)


def find_base(campaign: CampaignState) -> bytes:
    """Find the weights from which all updates of the next round start.

    Without receipts a server may also go on from the base of a round that was settled.

    Args:
        campaign: The campaign's record.

    Returns:
        The artifact id of these weights, 32 bytes.
    """
    if campaign.terms.training_reward == task_pb2.TRAINING_REWARD_UNIT_PRICE:
        return campaign.best_weights
    if campaign.last_round == 0:
        return campaign.terms.initial_weights
    return campaign.last_base if campaign.last_failed else campaign.last_aggregate


def burn_training(
    context: ExecutionContext, campaign_id: bytes, campaign: CampaignState, available: int
) -> int:
    """Burn the training price of a round whose registered receipts were never valued.

    Without this, a server that holds back the evaluation set would save what it owes.

    Args:
        context: The execution of the block.
        campaign_id: The campaign's id, 32 bytes.
        campaign: The campaign. The caller takes the amount from its escrow and ends the receipts.
        available: The most that can be burned, in sap.

    Returns:
        The amount in sap; 0 without receipts.
    """
    if not campaign.receipts:
        return 0
    round_number = campaign.last_round + 1
    share = compute_training_share(campaign.terms, round_number, campaign.training_fund)
    amount = min(share, available)
    burn_for_round(context, campaign_id, campaign, round_number, amount)
    return amount


def burn_for_round(
    context: ExecutionContext,
    campaign_id: bytes,
    campaign: CampaignState,
    round_number: int,
    amount: int,
) -> None:
    """Burn coins of a round's training price, and write the receipt.

    Args:
        context: The execution of the block.
        campaign_id: The campaign's id, 32 bytes.
        campaign: The campaign. The caller takes the amount from its escrow.
        round_number: The round, from 1.
        amount: The amount in sap.
    """
    context.burn(amount)
    context.add_payment_receipt(
        PaymentReceipt(
            kind=block_pb2.PAYMENT_KIND_TRAINING_BURNED,
            address=campaign.requester,
            amount=amount,
            campaign_id=campaign_id,
            round=round_number,
        )
    )
