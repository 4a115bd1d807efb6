"""RegisterReceipt, and what registered receipts ask of the round's task.

A client registers what the server signed for its update. The server must then open the round's task
with the update, and if it does not, a client may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fedcoin.contract.actions.campaigns import check_idle, check_open, read_campaign
from fedcoin.contract.actions.client_lists import check_registrable
from fedcoin.contract.actions.left_out_receipts import charge_left_out, check_owed
from fedcoin.contract.actions.receipt_terms import (
    check_client_terms,
    check_receipt_windows,
)
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.registered_receipts import due_ms, find_base
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.update_receipts import decode_update_receipt
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.v1.state_pb2 import CampaignState, ReceiptState

DEPOSIT_ENTRIES: Final = 10
"""The deposit for a receipt, in prices of an entry of the state."""


def register_receipt(context: ExecutionContext, transaction: Transaction) -> None:
    """Register the server's receipt for the sender's update.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: MALFORMED, TOO_LARGE, BAD_ADDRESS or BAD_SIGNATURE when the update is invalid;
            NOT_THE_CLIENT when the sender did not sign it; UNKNOWN_CAMPAIGN when there is no such
            campaign; NO_RECEIPTS when it has no receipt window; BAD_RECEIPT when the receipt is not
            one of its server for this update; CAMPAIGN_CLOSED when it is over; with a task id,
            UNKNOWN_TASK, RECEIPTS_OVER or NOTHING_OWED as in `check_owed`; without one,
            TASK_STILL_OPEN while a task of the campaign is open, WRONG_ROUND or WRONG_BASE when the
            update is not for the next round or starts from other weights, and RECEIPTS_OVER when
            the time for this round's receipts has passed; CLIENT_NOT_LISTED or TOO_MANY_EXAMPLES
            when the list of clients does not allow the update; ALREADY_REGISTERED when the client
            has registered one for this round; TOO_MANY_CLIENTS when as many have as a task may have
            clients; INSUFFICIENT_BALANCE when the sender cannot pay the deposit; BLOCK_FULL before
            all of these when the block has no room for the receipt's entry.
    """
    # Before any signature is verified: a builder leaves those without room for a later block.
    context.room.take_entries(1)
    action = transaction.body.register_receipt
    update = decode_update(action.update, context.genesis.hash)
    if update.address != transaction.sender:
        raise RefusalError(
            LedgerCode.NOT_THE_CLIENT,
            "only the client that signed the update may register its receipt",
            field="update",
        )
    campaign = read_campaign(context, update.campaign_id)
    _check_signer(context, transaction, update, campaign)
    if action.task_id:
        check_open(campaign)
        is_owed = check_owed(context, action.task_id, update, campaign)
        check_registrable(context, action.admission, update, campaign)
        if is_owed:
            charge_left_out(context, action.task_id, update, campaign)
            return
    else:
        check_idle(campaign)
        _check_due(context, update, campaign)
        check_registrable(context, action.admission, update, campaign)
    _check_room(context, update, campaign)
    deposit = DEPOSIT_ENTRIES * context.parameters.state_fee
    context.debit(transaction.sender, deposit, "deposit")
    record = ReceiptState(update=action.update, deposit=deposit)
    records.RECEIPTS.put(context.state, update.campaign_id, update.address, record=record)
    if not campaign.receipts:
        campaign.receipts_since_ms = context.block.time_ms
        # So that a block is due when clients may open the task, even in an idle network.
        records.CLOSING.add(context.state, due_ms(campaign), update.campaign_id)
    campaign.receipts += 1
    records.CAMPAIGNS.put(context.state, update.campaign_id, record=campaign)


def check_opener(
    context: ExecutionContext, campaign: CampaignState, transaction: Transaction
) -> None:
    """Check that the sender may open the round's task.

    Args:
        context: The execution of the block.
        campaign: The campaign's record.
        transaction: The transaction with the OpenTask.

    Raises:
        RefusalError: NOT_THE_SERVER when it is neither the server nor, in the time for it, a
            client with a registered receipt; CLIENTS_TURN for the server when its last task failed
            and clients may open one.
    """
    if transaction.sender == campaign.terms.server:
        _check_servers_turn(context, campaign)
        return
    campaign_id = transaction.body.open_task.campaign_id
    if not campaign.receipts:
        reason = "only the server that the campaign names may open its tasks"
    elif records.RECEIPTS.get(context.state, campaign_id, transaction.sender) is None:
        reason = "beside the server, only a client with a registered receipt may open this task"
    elif context.block.time_ms < due_ms(campaign):
        reason = f"until Unix time {due_ms(campaign)} ms only the server may open this task"
    else:
        return
    raise RefusalError(LedgerCode.NOT_THE_SERVER, reason, field="campaign_id")


def _check_servers_turn(context: ExecutionContext, campaign: CampaignState) -> None:
    """Leave clients a receipt window after a failed task of the server.

    It could else open one failing task after another, each in the block after the last one.
    """
    now_ms = context.block.time_ms
    until_ms = campaign.failed_ms + campaign.terms.receipt_window_ms
    if campaign.receipts and campaign.failed_ms and due_ms(campaign) <= now_ms < until_ms:
        raise RefusalError(
            LedgerCode.CLIENTS_TURN,
            f"the server's task failed, and until Unix time {until_ms} ms only clients with"
            " registered receipts may open the next one",
            field="campaign_id",
            limit=str(until_ms),
        )


def check_receipts_kept(
    context: ExecutionContext,
    campaign: CampaignState,
    transaction: Transaction,
    updates: Sequence[Update],
) -> None:
    """Check that a task holds what was registered, and gives miners the time to value it.

    A client may leave out updates of others: voters judge whether they are unusable, since the
    ledger knows no artifact.

    Args:
        context: The execution of the block.
        campaign: The campaign's record.
        transaction: The transaction with the OpenTask.
        updates: The task's updates, verified, in the order of the terms.

    Raises:
        RefusalError: BAD_WINDOW or BAD_ATTEMPTS when, in a campaign with a receipt window, the
            task's windows or attempts are not within the bounds of `receipt_terms`;
            RECEIPT_LEFT_OUT when the server's task lacks a registered update, or a client's task
            lists another one; BAD_AVERAGING when a client opens the task on terms of its own.
    """
    terms = transaction.body.open_task
    if campaign.terms.receipt_window_ms:
        check_receipt_windows(terms, campaign)
    if not campaign.receipts:
        return
    by_client = transaction.sender != campaign.terms.server
    bodies = {update.envelope.body for update in updates}
    registered = {
        receipt.update.body: address
        for address, receipt in records.RECEIPTS.scan(context.state, terms.campaign_id)
    }
    left_out = [a for body, a in registered.items() if body not in bodies]
    if by_client:
        left_out = [a for a in left_out if a == transaction.sender]
    if left_out or (by_client and not bodies <= registered.keys()):
        who = "all registered updates, and no others" if by_client else "all registered updates"
        raise RefusalError(
            LedgerCode.RECEIPT_LEFT_OUT,
            f"the task of round {terms.round} must hold {who}: {len(registered)} are registered",
            field="updates",
            limit=str(len(registered)),
        )
    if by_client:
        check_client_terms(terms)


def _check_signer(
    context: ExecutionContext, transaction: Transaction, update: Update, campaign: CampaignState
) -> None:
    if not campaign.terms.receipt_window_ms:
        raise RefusalError(
            LedgerCode.NO_RECEIPTS,
            "the campaign has no receipt window, so that receipts have no effect",
            field="receipt",
        )
    envelope = transaction.body.register_receipt.receipt
    try:
        receipt = decode_update_receipt(envelope, context.genesis.hash)
    except RefusalError as refusal:
        problem = f"the receipt is invalid: {refusal.message}"
    else:
        if receipt.is_for(update) and receipt.server == campaign.terms.server:
            return
        problem = "the receipt is for another update, or by another key than the server's"
    raise RefusalError(LedgerCode.BAD_RECEIPT, problem, field="receipt")


def _check_due(context: ExecutionContext, update: Update, campaign: CampaignState) -> None:
    next_round = campaign.last_round + 1
    if update.round != next_round:
        raise RefusalError(
            LedgerCode.WRONG_ROUND,
            f"the update is for round {update.round}; the campaign's next round is {next_round}",
            field="update.round",
            limit=str(next_round),
        )
    _check_base(update.base, campaign, "update.base")
    if campaign.receipts and context.block.time_ms >= due_ms(campaign):
        raise RefusalError(
            LedgerCode.RECEIPTS_OVER,
            f"receipts of this round could be registered until Unix time {due_ms(campaign)} ms",
            field="receipt",
            limit=str(due_ms(campaign)),
        )


def _check_room(context: ExecutionContext, update: Update, campaign: CampaignState) -> None:
    if records.RECEIPTS.get(context.state, update.campaign_id, update.address) is not None:
        raise RefusalError(
            LedgerCode.ALREADY_REGISTERED,
            "this client has registered a receipt for this round",
            field="update.address",
        )
    maximum = context.parameters.max_clients
    if campaign.receipts >= maximum:
        raise RefusalError(
            LedgerCode.TOO_MANY_CLIENTS,
            f"{maximum} receipts are registered for this round, as many as a task has clients",
            field="update",
            limit=str(maximum),
        )


def _check_base(base: bytes, campaign: CampaignState, field: str) -> None:
    """Check for the one base that registered receipts have, so that one task can hold them all."""
    expected = find_base(campaign)
    if base != expected:
        raise RefusalError(
            LedgerCode.WRONG_BASE,
            f"{field} is {base[:32].hex()}; updates with receipts start from {expected.hex()}",
            field=field,
            limit=expected.hex(),
        )
