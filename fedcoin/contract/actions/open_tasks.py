"""OpenTask: the FL server asks the miners for the Shapley values of a round's updates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from fedcoin.contract.actions.campaigns import check_idle, read_campaign
from fedcoin.contract.actions.client_lists import check_admissions
from fedcoin.contract.actions.client_receipts import check_opener, check_receipts_kept
from fedcoin.contract.actions.update_groups import check_groups
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import compute_max_step_bytes
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks import lifecycle
from fedcoin.contract.tasks.registered_receipts import find_base
from fedcoin.contract.tasks.task_pricing import (
    compute_offer,
    compute_task_deposit,
    compute_work,
)
from fedcoin.contract.tasks.task_room import make_room
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.field_checks import check_choice, check_length, check_range
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.updates import Update, decode_update
from fedcoin.incentive.payout import compute_deposit
from fedcoin.incentive.proof.evidence import compute_max_evidence_bytes
from fedcoin.incentive.proof.exact_layout import MAX_EXACT_CLIENTS
from fedcoin.incentive.proof.sampling_plan import SamplingPlan, build_plan
from fedcoin.incentive.training_reward import compute_prices_due
from fedcoin.v1 import task_pb2
from fedcoin.v1.state_pb2 import CampaignState
from fedcoin.v1.task_pb2 import EvaluationShard, OpenTask

_MAX_WINDOW_MS: Final = 86_400_000
"""The longest window of a phase, in ms."""
TASK_ENTRIES: Final = 2
"""Entries of the state that a task is charged for, beside one for each client and miner."""
MAX_ATTEMPTS: Final = 16
"""The largest number of attempts of a task."""
_ENVELOPE_BYTES: Final = 1024
"""An upper bound of a reveal transaction's bytes without its evidence."""
_MAX_PATH: Final = 32
"""The largest number of hashes in the proof of an evaluation shard."""

_EMPTY: Final = (task_pb2.EMPTY_COALITION_BASE_MODEL, task_pb2.EMPTY_COALITION_ZERO)
_AVERAGINGS: Final = (
    task_pb2.AVERAGING_RENORMALISED,
    task_pb2.AVERAGING_FIXED_DENOMINATOR,
    task_pb2.AVERAGING_EQUAL,
)


def open_task(context: ExecutionContext, transaction: Transaction) -> None:
    """Open the task of a campaign's next round. Its id is the transaction's hash.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: Checked in this order; `LedgerCode` says of each code what it means. The
            campaign is unknown, over or not due for this task: UNKNOWN_CAMPAIGN, NOT_THE_SERVER,
            CLIENTS_TURN, CAMPAIGN_CLOSED, TASK_STILL_OPEN, CAMPAIGN_CLOSING, WRONG_ROUND,
            WRONG_BASE. A term is out of range or not what the campaign promised: BAD_HASH,
            BAD_UTILITY, BAD_EMPTY_COALITION, BAD_AVERAGING, BAD_WINDOW, BAD_ATTEMPTS, WRONG_PRICES,
            WRONG_SHARD. The number of clients or the sampling is not allowed: NO_CLIENTS,
            TOO_MANY_CLIENTS, BAD_PLAN, and TOO_LARGE when a reveal might not fit in a transaction.
            An update is invalid, of something else or not admitted: MALFORMED, TOO_LARGE,
            BAD_ADDRESS, BAD_SIGNATURE, UPDATE_OF_OTHER_CAMPAIGN, UPDATE_OF_OTHER_ROUND,
            UPDATE_OF_OTHER_BASE, DUPLICATE_CLIENT, CLIENTS_OUT_OF_ORDER, CLIENT_NOT_LISTED,
            TOO_MANY_EXAMPLES, BAD_GROUPS, RECEIPT_LEFT_OUT. BLOCK_FULL before all of these when the
            block has no room for the task's entries. At last TOO_MANY_TASKS when the offer
            displaces no open task, and INSUFFICIENT_BALANCE when the sender cannot pay for a place
            or the deposit.
    """
    terms = transaction.body.open_task
    # First, so that a builder whose block is full does not check each task that waits.
    context.room.check_entries(_count_entries(context, terms))
    campaign = read_campaign(context, terms.campaign_id)
    check_opener(context, campaign, transaction)
    _check_round(terms, campaign)
    _check_terms(context, terms, campaign)
    work = compute_work(_check_sampling(context, transaction), campaign.difficulty_nano)
    updates = _check_updates(context, transaction)
    check_admissions(context, terms, updates, campaign)
    check_groups(terms, updates, campaign)
    check_receipts_kept(context, campaign, transaction, updates)
    offer = compute_offer(terms.prices.mining, work)
    make_room(context, transaction.hash, transaction.sender, terms, offer)
    deposit = compute_task_deposit(context.parameters, terms, work)
    context.debit(transaction.sender, deposit, "deposit")
    context.charge_state(transaction.sender, _count_entries(context, terms), "updates")
    campaign.open_task_id = transaction.hash
    records.CAMPAIGNS.put(context.state, terms.campaign_id, record=campaign)
    lifecycle.open_task(
        context,
        transaction.hash,
        terms,
        campaign.difficulty_nano,
        work=work,
        deposit=deposit,
        commit_deposit=compute_deposit(
            context.parameters.commit_deposit,
            terms.prices.mining,
            winner_takes_all=campaign.terms.mining_reward == task_pb2.MINING_REWARD_WINNER,
        ),
        opener=transaction.sender if transaction.sender != campaign.terms.server else b"",
    )


def _count_entries(context: ExecutionContext, terms: OpenTask) -> int:
    """Count the entries that a task leaves in the state: itself, its clients and its miners."""
    return TASK_ENTRIES + len(terms.updates) + len(context.standing_bonds())


def _check_round(terms: OpenTask, campaign: CampaignState) -> None:
    """Check that this round may be opened, from these base weights."""
    check_idle(campaign)
    _check_affordable(terms, campaign)
    next_round = campaign.last_round + 1
    if terms.round != next_round:
        raise RefusalError(
            LedgerCode.WRONG_ROUND,
            f"round is {terms.round}; the campaign's next round is {next_round}",
            field="round",
            limit=str(next_round),
        )
    bases = _bases(campaign)
    if terms.base not in bases:
        raise RefusalError(
            LedgerCode.WRONG_BASE,
            f"base is {terms.base[:32].hex()}; round {next_round} must start from"
            f" {' or '.join(base.hex() for base in bases)}",
            field="base",
        )


def _check_affordable(terms: OpenTask, campaign: CampaignState) -> None:
    """Refuse a further task when the campaign ends because an update was left out.

    Clients with registered receipts may still open one where the escrow pays for it.
    """
    if not campaign.left_out:
        return
    price = terms.prices.training + terms.prices.aggregation + terms.prices.mining
    if not campaign.receipts or price > campaign.escrow:
        raise RefusalError(
            LedgerCode.CAMPAIGN_CLOSING,
            "the campaign closes, since a task lacked an update that its server had signed for",
            field="campaign_id",
        )


def _bases(campaign: CampaignState) -> tuple[bytes, ...]:
    """List the weights from which the next round may start.

    One with a unit price, so that no gain is paid twice; one with a receipt window, so that a task
    can hold all updates that have receipts.
    """
    by_unit = campaign.terms.training_reward == task_pb2.TRAINING_REWARD_UNIT_PRICE
    if by_unit or campaign.terms.receipt_window_ms or campaign.last_round == 0:
        return (find_base(campaign),)
    return (campaign.last_base, campaign.last_aggregate)


def _check_terms(context: ExecutionContext, terms: OpenTask, campaign: CampaignState) -> None:
    check_length(terms.aggregate, HASH_BYTES, "aggregate", code=LedgerCode.BAD_HASH)
    _check_utility(terms, campaign)
    _check_empty_coalition(terms, campaign)
    check_choice(terms.averaging, _AVERAGINGS, "averaging", code=LedgerCode.BAD_AVERAGING)
    min_ms = context.parameters.min_window_ms
    for name in ("commit_window_ms", "reveal_window_ms"):
        value = getattr(terms, name)
        check_range(value, min_ms, _MAX_WINDOW_MS, name, code=LedgerCode.BAD_WINDOW)
    check_range(terms.max_attempts, 1, MAX_ATTEMPTS, "max_attempts", code=LedgerCode.BAD_ATTEMPTS)
    _check_prices(terms, campaign)
    _check_shard(terms.evaluation, campaign)


def _check_utility(terms: OpenTask, campaign: CampaignState) -> None:
    if terms.utility != campaign.terms.utility:
        due = task_pb2.Utility.Name(campaign.terms.utility)
        raise RefusalError(
            LedgerCode.BAD_UTILITY,
            f"utility is {terms.utility}; the campaign promised its clients {due}: use that one",
            field="utility",
            limit=due,
        )


def _check_empty_coalition(terms: OpenTask, campaign: CampaignState) -> None:
    code = LedgerCode.BAD_EMPTY_COALITION
    check_choice(terms.empty_coalition, _EMPTY, "empty_coalition", code=code)
    zero = task_pb2.EMPTY_COALITION_ZERO
    by_unit = campaign.terms.training_reward == task_pb2.TRAINING_REWARD_UNIT_PRICE
    if by_unit and terms.empty_coalition == zero:
        raise RefusalError(
            code,
            "empty_coalition is ZERO, under which the clients' values contain the base model's"
            " utility; a campaign with a unit price pays for gains over it: use BASE_MODEL",
            field="empty_coalition",
            limit="EMPTY_COALITION_BASE_MODEL",
        )


def _check_prices(terms: OpenTask, campaign: CampaignState) -> None:
    share = compute_prices_due(campaign.terms, terms.round, campaign.training_fund)
    prices = terms.prices
    given = (prices.training, prices.aggregation, prices.mining)
    due = (share.training, share.aggregation, share.mining)
    if given != due:
        raise RefusalError(
            LedgerCode.WRONG_PRICES,
            f"prices for training, aggregation and mining are {given} sap; round {terms.round} "
            f"pays {due}",
            field="prices",
            limit=", ".join(map(str, due)),
        )


def _check_shard(shard: EvaluationShard, campaign: CampaignState) -> None:
    check_length(shard.artifact, HASH_BYTES, "evaluation.artifact", code=LedgerCode.BAD_HASH)
    count, root = campaign.terms.evaluation_shards, campaign.terms.evaluation_root
    if len(shard.path) > _MAX_PATH or not merkle.verify_path(
        shard.artifact, shard.index, count, shard.path, root
    ):
        raise RefusalError(
            LedgerCode.WRONG_SHARD,
            f"evaluation.path does not prove that {shard.artifact.hex()} is shard {shard.index} of"
            f" the campaign's {count}",
            field="evaluation.path",
        )


def _check_sampling(context: ExecutionContext, transaction: Transaction) -> SamplingPlan:
    """Check the number of clients, the sampling, and that reveals fit in a transaction.

    Returns a plan of the task.
    """
    terms = transaction.body.open_task
    if not terms.updates:
        raise RefusalError(
            LedgerCode.NO_CLIENTS,
            "updates is empty; a task needs at least one client",
            field="updates",
            limit="1",
        )
    maximum = context.parameters.max_clients
    if terms.sampling.schedule == task_pb2.SCHEDULE_EXACT:
        maximum = min(maximum, MAX_EXACT_CLIENTS)
    if len(terms.updates) > maximum:
        raise RefusalError(
            LedgerCode.TOO_MANY_CLIENTS,
            f"there are {len(terms.updates)} updates; at most {maximum} are allowed under this"
            " schedule",
            field="updates",
            limit=str(maximum),
        )
    plan = build_plan(terms, transaction.hash, transaction.public_key)
    needed = compute_max_evidence_bytes(plan, context.parameters.challenge_leaves) + _ENVELOPE_BYTES
    max_bytes = compute_max_step_bytes(context.parameters)
    if needed > max_bytes:
        raise RefusalError(
            DataCode.TOO_LARGE,
            f"a miner's reveal may take {needed} bytes; it has room for {max_bytes}: use fewer"
            " clients or max_samples",
            field="sampling",
            limit=str(max_bytes),
        )
    return plan


def _check_updates(context: ExecutionContext, transaction: Transaction) -> Sequence[Update]:
    updates = context.results.get_or_compute(
        ("updates", transaction.hash), lambda: tuple(_decode_updates(context, transaction))
    )
    terms = transaction.body.open_task
    previous = b""
    for i, update in enumerate(updates):
        for name, code in (
            ("campaign_id", LedgerCode.UPDATE_OF_OTHER_CAMPAIGN),
            ("round", LedgerCode.UPDATE_OF_OTHER_ROUND),
            ("base", LedgerCode.UPDATE_OF_OTHER_BASE),
        ):
            if getattr(update, name) != getattr(terms, name):
                raise RefusalError(
                    code,
                    f"updates[{i}] was signed for another {name} than the task's",
                    field=f"updates[{i}].{name}",
                )
        if update.address == previous:
            raise RefusalError(
                LedgerCode.DUPLICATE_CLIENT,
                f"updates[{i}] is by the same client as updates[{i - 1}]",
                field=f"updates[{i}].address",
            )
        if update.address < previous:
            raise RefusalError(
                LedgerCode.CLIENTS_OUT_OF_ORDER,
                f"updates[{i}] follows a higher address: sort the updates by address",
                field=f"updates[{i}].address",
            )
        previous = update.address
    return updates


def _decode_updates(context: ExecutionContext, transaction: Transaction) -> Iterator[Update]:
    for i, envelope in enumerate(transaction.body.open_task.updates):
        try:
            yield decode_update(envelope, context.genesis.hash)
        except RefusalError as refusal:
            field = refusal.field.replace("update", f"updates[{i}]", 1)
            raise refusal.prefixed(f"updates[{i}]", field=field) from None
