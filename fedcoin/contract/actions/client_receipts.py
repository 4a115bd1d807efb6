"""RegisterReceipt, and what registered receipts ask of the round's task.

A client registers what the server signed for its update. The server must then open the round's task
with the update, and if it does not, a client may.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fedcoin.contract.actions.campaigns import check_idle, read_campaign
from fedcoin.contract.actions.client_lists import check_registrable
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.registered_receipts import due_ms
from fedcoin.contract.tasks.task_pricing import compute_windows_ms
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_range
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.update_receipts import decode_update_receipt
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.v1 import task_pb2
from fedcoin.v1.state_pb2 import CampaignState, ReceiptState
from fedcoin.v1.task_pb2 import OpenTask

DEPOSIT_ENTRIES: Final = 10
"""The deposit for a receipt, in prices of an entry of the state."""
MIN_COMMIT_WINDOW_MS: Final = 30_000
"""The shortest commit window of a task that registered receipts wait for, in ms."""
MIN_REVEAL_WINDOW_MS: Final = 10_000
"""The shortest reveal window of such a task, in ms."""
MIN_RECEIPT_ATTEMPTS: Final = 2
"""The smallest number of attempts of such a task."""
MIN_RECEIPT_SAMPLES: Final = 1_000
"""The smallest `max_samples` of a task that a client opens and that samples."""
MAX_RECEIPT_SAMPLES: Final = 5_000
"""The largest `max_samples` of such a task."""
MAX_EXACT_CLIENTS: Final = 12
"""The most updates of such a task with the exact schedule."""
MAX_CLIENT_TASK_MS: Final = 3_600_000
"""The most time for all windows of a task that a client opens, in ms, or the receipt window where
that is longer."""
_MAX: Final = 2**63 - 1


def register_receipt(context: ExecutionContext, transaction: Transaction) -> None:
    """Register the server's receipt for the sender's update of the next round.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: Those of `decode_update`; NOT_THE_CLIENT; UNKNOWN_CAMPAIGN; NO_RECEIPTS;
            BAD_RECEIPT; CAMPAIGN_CLOSED; TASK_STILL_OPEN; WRONG_ROUND; WRONG_BASE; RECEIPTS_OVER;
            CLIENT_NOT_LISTED or TOO_MANY_EXAMPLES; ALREADY_REGISTERED; TOO_MANY_CLIENTS;
            INSUFFICIENT_BALANCE for the deposit.
    """
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
        campaign: The campaign.
        transaction: The transaction with the OpenTask.

    Raises:
        RefusalError: NOT_THE_SERVER when it is neither the server nor, in the time for it, a
            client with a registered receipt.
    """
    if transaction.sender == campaign.terms.server:
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
        campaign: The campaign.
        transaction: The transaction with the OpenTask.
        updates: The task's updates.

    Raises:
        RefusalError: RECEIPT_LEFT_OUT; WRONG_BASE; BAD_WINDOW or BAD_ATTEMPTS; BAD_AVERAGING when
            a client opens the task on terms of its own.
    """
    if not campaign.receipts:
        return
    terms = transaction.body.open_task
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
    _check_base(terms.base, campaign, "base")
    _check_time(terms)
    if by_client:
        _check_client_terms(terms, campaign)


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
    if campaign.terms.training_reward == task_pb2.TRAINING_REWARD_UNIT_PRICE:
        expected = campaign.best_weights
    elif campaign.last_round == 0:
        expected = campaign.terms.initial_weights
    else:
        expected = campaign.last_base if campaign.last_failed else campaign.last_aggregate
    if base != expected:
        raise RefusalError(
            LedgerCode.WRONG_BASE,
            f"{field} is {base[:32].hex()}; updates with receipts start from {expected.hex()}",
            field=field,
            limit=expected.hex(),
        )


def _check_time(terms: OpenTask) -> None:
    """Refuse a task that is made to fail, which would end the receipts without a payment."""
    code = LedgerCode.BAD_WINDOW
    check_range(terms.commit_window_ms, MIN_COMMIT_WINDOW_MS, _MAX, "commit_window_ms", code=code)
    check_range(terms.reveal_window_ms, MIN_REVEAL_WINDOW_MS, _MAX, "reveal_window_ms", code=code)
    check_range(
        terms.max_attempts, MIN_RECEIPT_ATTEMPTS, _MAX, "max_attempts", code=LedgerCode.BAD_ATTEMPTS
    )


def _check_client_terms(terms: OpenTask, campaign: CampaignState) -> None:
    """Leave a client no choice by which it would gain at the cost of others, or end their receipts.

    A client that could ask for much work or long windows would open a task that no miner takes,
    which holds the escrow for weeks and then fails.
    """
    sampling = terms.sampling
    if sampling.schedule == task_pb2.SCHEDULE_EXACT:
        is_fair_work = len(terms.updates) <= MAX_EXACT_CLIENTS
    else:
        is_fair_work = MIN_RECEIPT_SAMPLES <= sampling.max_samples <= MAX_RECEIPT_SAMPLES
    is_fair = (
        is_fair_work
        and terms.averaging == task_pb2.AVERAGING_EQUAL
        and terms.empty_coalition == task_pb2.EMPTY_COALITION_BASE_MODEL
        and sampling.truncation == 0
    )
    if not is_fair:
        raise RefusalError(
            LedgerCode.BAD_AVERAGING,
            "a task that a client opens has equal weights (AVERAGING_EQUAL), the base model as"
            f" empty coalition, no truncation, and {MIN_RECEIPT_SAMPLES} to {MAX_RECEIPT_SAMPLES}"
            f" samples or, with at most {MAX_EXACT_CLIENTS} updates, the exact schedule",
            field="averaging",
            limit="AVERAGING_EQUAL",
        )
    limit_ms = max(MAX_CLIENT_TASK_MS, campaign.terms.receipt_window_ms)
    windows_ms = compute_windows_ms(terms)
    if windows_ms > limit_ms:
        raise RefusalError(
            LedgerCode.BAD_WINDOW,
            f"all windows of all attempts take {windows_ms} ms; those of a task that a client opens"
            f" take at most {limit_ms} ms",
            field="commit_window_ms",
            limit=str(limit_ms),
        )
