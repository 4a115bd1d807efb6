"""Receipts that a client shows after the server opened the round's task.

A server could open the round before its clients have registered, without their updates. A receipt
whose update such a task does not hold proves that. Then the round's training price is burned, and
the campaign ends. Nobody gains: a price that went to the client would pay a client and a server
that leave each other out on purpose.
"""

from __future__ import annotations

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.registered_receipts import burn_for_round
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT
from fedcoin.data.messages.updates import Update
from fedcoin.incentive.training_reward import compute_training_share
from fedcoin.v1.state_pb2 import CampaignState, TaskState
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask


def check_owed(
    context: ExecutionContext, task_id: bytes, update: Update, campaign: CampaignState
) -> bool:
    """Tell what a receipt means for a task that the server has opened.

    Args:
        context: The execution of the block.
        task_id: The task that the client names.
        update: The client's update, for which the server has signed.
        campaign: The record of the update's campaign.

    Returns:
        True when the task does not hold the update, so that its training price is burned. False
        when the task is open and holds the update: the receipt is registered for it.

    Raises:
        RefusalError: UNKNOWN_TASK when the server opened no such task for the update's round;
            RECEIPTS_OVER when it was opened a receipt window ago; NOTHING_OWED when it held the
            update, its round is not over, or its training price was burned before.
    """
    task, terms = _read_task(context, task_id, update)
    until_ms = task.opened_ms + campaign.terms.receipt_window_ms
    if context.block.time_ms >= until_ms:
        raise RefusalError(
            LedgerCode.RECEIPTS_OVER,
            f"receipts for this task could be registered until Unix time {until_ms} ms",
            field="receipt",
            limit=str(until_ms),
        )
    is_open = campaign.open_task_id == task_id
    is_held = _holds(terms, update)
    if is_open and any(signed.body == update.envelope.body for signed in terms.updates):
        return False
    if task.left_out:
        raise _nothing_owed("the task's training price was burned for another update")
    if not is_open and campaign.last_round < update.round:
        raise _nothing_owed("the task's round is not over: register the receipt without a task id")
    if is_held:
        raise _nothing_owed("the task held the update")
    return True


def charge_left_out(
    context: ExecutionContext, task_id: bytes, update: Update, campaign: CampaignState
) -> None:
    """Burn the training price of a round whose task left out an update, and end the campaign.

    The coins come from the part of the escrow that is not promised to an open task. What is missing
    there is burned later: from the open task's training price, or from what is left when the
    campaign closes.

    Args:
        context: The execution of the block.
        task_id: The id of the task that left the update out, 32 bytes.
        update: The client's verified update, whose receipt the server signed.
        campaign: The campaign's record, which is changed and written.
    """
    task, _ = _read_task(context, task_id, update)
    task.left_out = True
    records.TASKS.put(context.state, task_id, record=task)
    promised = _read_price(context, campaign.open_task_id)
    share = compute_training_share(campaign.terms, update.round, MAX_AMOUNT)
    amount = min(share, campaign.escrow - promised)
    if amount:
        burn_for_round(context, update.campaign_id, campaign, update.round, amount)
    campaign.escrow -= amount
    if not campaign.open_task_id:
        campaign.training_fund = min(campaign.training_fund, campaign.escrow)
    # No more than this can ever be burned, and the sum over tasks may exceed all coins.
    campaign.left_out_debt = min(campaign.left_out_debt + share - amount, campaign.escrow)
    campaign.left_out = True
    now_ms = context.block.time_ms
    if not campaign.closing_ms or campaign.closing_ms > now_ms:
        campaign.closing_ms = now_ms
        records.CLOSING.add(context.state, now_ms, update.campaign_id)
    records.CAMPAIGNS.put(context.state, update.campaign_id, record=campaign)


def _read_task(
    context: ExecutionContext, task_id: bytes, update: Update
) -> tuple[TaskState, OpenTask]:
    task = records.TASKS.get(context.state, task_id)
    terms = records.TERMS.get(context.state, task_id)
    if (
        task is None
        or terms is None
        or task.opener
        or (terms.campaign_id, terms.round) != (update.campaign_id, update.round)
    ):
        raise RefusalError(
            LedgerCode.UNKNOWN_TASK,
            f"the server opened no task {task_id[:32].hex()} for round {update.round} of this"
            " campaign",
            field="task_id",
        )
    return task, terms


def _holds(terms: OpenTask, update: Update) -> bool:
    """Tell whether a task, open or closed, lists what the client signed."""
    wanted = (update.address, update.update, update.num_samples)
    listed = (ClientUpdate.FromString(signed.body) for signed in terms.updates)
    return any((u.address, u.update, u.num_samples) == wanted for u in listed)


def _read_price(context: ExecutionContext, task_id: bytes) -> int:
    """Read the sum of an open task's prices in sap; 0 without one."""
    terms = records.TERMS.get(context.state, task_id) if task_id else None
    if terms is None:
        return 0
    return terms.prices.training + terms.prices.aggregation + terms.prices.mining


def _nothing_owed(reason: str) -> RefusalError:
    return RefusalError(LedgerCode.NOTHING_OWED, reason, field="task_id")
