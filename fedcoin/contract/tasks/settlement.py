"""Settlement of a round: payouts, deposits and refunds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fedcoin.consensus import posap
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.frozen_power import forget_power
from fedcoin.contract.tasks.loaded_task import LoadedTask
from fedcoin.contract.tasks.mining_price import divide_after_failure, divide_price
from fedcoin.contract.tasks.registered_receipts import (
    burn_for_round,
    burn_training,
    prolong_receipts,
    release_receipts,
)
from fedcoin.contract.tasks.room_rent import compute_rent, leave_room
from fedcoin.data.messages import canonical
from fedcoin.incentive.equal_updates import share_values
from fedcoin.incentive.training_reward import compute_payouts, is_gain
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.block_pb2 import PaymentKind, PaymentReceipt, Settlement
from fedcoin.v1.state_pb2 import CampaignState, MinerState
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask


def settle(context: ExecutionContext, loaded: LoadedTask) -> Settlement:
    """Pay for a task whose outcome is known, and close it.

    Pays in this order: the clients by their values; the requester, what the clients did not get,
    unless the campaign keeps it in its training fund; the server or the client that opened the task
    in its place; the miners (`mining_price`); the miners' deposits.

    Args:
        context: The execution of the block.
        loaded: A task in phase SETTLE.

    Returns:
        The task's outcome.
    """
    outcome = loaded.task.settlement
    values = client_values(loaded.terms, outcome.mean_shapley_nano)
    price = loaded.terms.prices.training - _burn_debt(context, loaded, 0)
    payouts = compute_payouts(loaded.campaign.terms, values, price)
    unpaid = price - sum(payouts)
    kept = unpaid if loaded.campaign.training_fund else 0
    for address, amount, value in zip(client_addresses(loaded.terms), payouts, values, strict=True):
        _pay(context, loaded, block_pb2.PAYMENT_KIND_TRAINING, address, amount, value)
    requester = loaded.campaign.requester
    _pay(context, loaded, block_pb2.PAYMENT_KIND_REFUND, requester, unpaid - kept)
    aggregation = loaded.terms.prices.aggregation
    _pay(
        context,
        loaded,
        block_pb2.PAYMENT_KIND_AGGREGATION,
        loaded.opener,
        aggregation,
    )
    paid = _pay_miners(context, loaded, divide_price(loaded))
    _burn_price(context, loaded, loaded.terms.prices.mining - paid)
    settle_deposits(context, loaded, is_returned=lambda miner: miner.revealed)
    for address, miner in loaded.miners.items():
        records.MINERS.put(context.state, loaded.task_id, address, record=miner)
    _retarget(context, loaded)
    if is_gain(values):
        loaded.campaign.best_weights = loaded.terms.aggregate
    close_task(context, loaded, block_pb2.TASK_PHASE_SETTLED)
    _end_round(context, loaded, kept)
    return outcome


def fail(context: ExecutionContext, loaded: LoadedTask) -> None:
    """Fail a task: pay for the samples that miners proved, refund the rest, and close the task.

    The mining price is paid when any attempt had valid reveals, since the vectors are public from
    then on: a requester that caused the failure would else have them for nothing.

    A campaign with a unit price keeps its training fund for the rounds to come.

    With registered receipts, a server that opens a task that no miner takes would end its debt. So
    the round goes on when no miner was paid. When miners were paid, the price of another task is
    spent, and the training price is burned: a miner of the server's own could prove a little.

    Args:
        context: The execution of the block.
        loaded: The task after its last attempt.
    """
    campaign, fund = loaded.campaign, loaded.campaign.training_fund
    paid = _pay_miners(context, loaded, divide_after_failure(context.state, loaded))
    for address, miner in loaded.miners.items():
        records.MINERS.put(context.state, loaded.task_id, address, record=miner)
    if campaign.receipts and not paid:
        _leave_round_open(context, loaded)
        return
    price = loaded.terms.prices.training
    burned = burn_training(context, loaded.terms.campaign_id, campaign, price)
    burned += _burn_debt(context, loaded, burned)
    kept = fund - burned if fund else 0
    refund = loaded.price - paid - burned - kept
    _pay(context, loaded, block_pb2.PAYMENT_KIND_REFUND, campaign.requester, refund)
    close_task(context, loaded, block_pb2.TASK_PHASE_FAILED)
    _end_round(context, loaded, kept)


def settle_deposits(
    context: ExecutionContext, loaded: LoadedTask, *, is_returned: Callable[[MinerState], bool]
) -> None:
    """Return the deposits of some miners, and burn those of the others.

    Args:
        context: The execution of the block.
        loaded: The task with its miners, whose records the caller writes.
        is_returned: Tells whether a miner did its part, so that its deposit is returned.
    """
    for address, miner in loaded.miners.items():
        amount, miner.deposit = miner.deposit, 0
        if is_returned(miner):
            _pay(context, loaded, block_pb2.PAYMENT_KIND_DEPOSIT_RETURNED, address, amount)
        else:
            context.burn(amount)
            _add_receipt(context, loaded, block_pb2.PAYMENT_KIND_DEPOSIT_BURNED, address, amount)


def client_addresses(terms: OpenTask) -> list[bytes]:
    """List the addresses of a task's clients.

    Args:
        terms: The task's terms.

    Returns:
        Addresses, 20 bytes each, in the order of the task's updates.
    """
    return [ClientUpdate.FromString(update.body).address for update in terms.updates]


def client_values(terms: OpenTask, mean_shapley_nano: Sequence[int]) -> tuple[int, ...]:
    """Compute the values by which a task's clients are paid.

    Args:
        terms: The task's terms, whole or shortened.
        mean_shapley_nano: The agreed values (S-bar) in nano-utility, one for each update.

    Returns:
        The values in nano-utility, of which equal updates, and those of one group, have equal
        parts.
    """
    if terms.groups:
        # Equal updates are in one group; the ledger has checked it.
        return share_values(terms.groups, mean_shapley_nano)
    updates = [ClientUpdate.FromString(signed.body).update for signed in terms.updates]
    return share_values(updates, mean_shapley_nano)


def shorten_terms(terms: OpenTask) -> OpenTask:
    """Shorten the terms of a closed task.

    Of each update the artifact, samples, address and claims are kept. Payments no longer depend on
    the rest, and the block that opened the task still has all that the clients signed.

    Args:
        terms: The task's terms.

    Returns:
        The terms that the state keeps.
    """
    kept = OpenTask()
    kept.CopyFrom(terms)
    del kept.updates[:]
    del kept.admissions[:]
    for signed in terms.updates:
        update = ClientUpdate.FromString(signed.body)
        part = ClientUpdate(
            update=update.update,
            num_samples=update.num_samples,
            address=update.address,
            name=update.name,
            privacy=update.privacy if update.HasField("privacy") else None,
        )
        kept.updates.add(body=canonical.encode(part))
    return kept


def close_campaign(context: ExecutionContext, campaign_id: bytes, campaign: CampaignState) -> None:
    """Close a campaign and return what is left in escrow to the requester.

    When receipts were registered for a task that never came, the training price of their round is
    burned before, and so is what is still to be burned for updates that were left out.

    Args:
        context: The execution of the block.
        campaign_id: The campaign's id, 32 bytes.
        campaign: The campaign, which is changed; the caller writes its record.
    """
    campaign.escrow -= burn_training(context, campaign_id, campaign, campaign.escrow)
    debt = min(campaign.left_out_debt, campaign.escrow)
    if debt:
        burn_for_round(context, campaign_id, campaign, campaign.last_round, debt)
        campaign.escrow -= debt
    campaign.left_out_debt = 0
    release_receipts(context, campaign_id, campaign)
    amount, campaign.escrow = campaign.escrow, 0
    campaign.closed = True
    if amount:
        context.credit(campaign.requester, amount)
    context.add_payment_receipt(
        PaymentReceipt(
            kind=block_pb2.PAYMENT_KIND_REFUND,
            address=campaign.requester,
            amount=amount,
            campaign_id=campaign_id,
        )
    )


def close_task(
    context: ExecutionContext, loaded: LoadedTask, phase: block_pb2.TaskPhase.ValueType
) -> None:
    """Close a task: end its records, burn the rent of its place, and return the server's deposit.

    Args:
        context: The execution of the block.
        loaded: The task. Its campaign has no open task afterwards; the caller writes the campaign.
        phase: The final phase: TASK_PHASE_SETTLED, TASK_PHASE_FAILED or TASK_PHASE_GAVE_WAY.
    """
    task, campaign = loaded.task, loaded.campaign
    leave_room(context)
    task.phase = phase
    task.phase_height = task.closed_height = context.block.height
    task.closed_ms = context.block.time_ms
    task.deadline_ms = 0
    deposit, task.deposit = task.deposit, 0
    records.TASKS.put(context.state, loaded.task_id, record=task)
    records.TERMS.put(context.state, loaded.task_id, record=shorten_terms(loaded.terms))
    records.OPEN_TASKS.remove(context.state, task.opened_height, loaded.task_id)
    records.OFFERS.remove(context.state, task.offer, loaded.task_id)
    forget_power(context.state, loaded.task_id)
    rent = min(deposit, compute_rent(context, task))
    opener = loaded.opener
    if rent:
        context.burn(rent)
        _add_receipt(context, loaded, block_pb2.PAYMENT_KIND_ROOM_BURNED, opener, rent)
    returned = block_pb2.PAYMENT_KIND_TASK_DEPOSIT_RETURNED
    _pay(context, loaded, returned, opener, deposit - rent)
    context.add_phase_receipt(loaded.task_id, phase, task.attempt)
    campaign.open_task_id = b""


def _burn_debt(context: ExecutionContext, loaded: LoadedTask, burned: int) -> int:
    """Burn what the campaign owes for updates left out, out of this task's training price.

    `burned` sap of that price are burned already. The caller writes the records of the campaign and
    of the task. Returns the amount in sap.
    """
    campaign = loaded.campaign
    amount = min(campaign.left_out_debt, loaded.terms.prices.training - burned)
    if amount:
        ids = loaded.terms.campaign_id
        burn_for_round(context, ids, campaign, loaded.terms.round, amount)
        campaign.left_out_debt -= amount
        loaded.task.training_burned = amount
    return amount


def _leave_round_open(context: ExecutionContext, loaded: LoadedTask) -> None:
    """Close a failed task whose round, with its receipts and its price, is to be opened again.

    After a task of the server, clients have another receipt window to open theirs. A client's task
    gives no such time: clients could keep the escrow from the requester for as long as they like.
    """
    close_task(context, loaded, block_pb2.TASK_PHASE_FAILED)
    if not loaded.task.opener:
        prolong_receipts(context, loaded.campaign)
        loaded.campaign.failed_ms = context.block.time_ms
    records.CAMPAIGNS.put(context.state, loaded.terms.campaign_id, record=loaded.campaign)


def _end_round(context: ExecutionContext, loaded: LoadedTask, kept: int) -> None:
    """End the round of a closed task, and after the last one the campaign.

    What was paid leaves the escrow: the task's price but for `kept` sap of it, which stay in the
    training fund.
    """
    campaign = loaded.campaign
    campaign.escrow -= loaded.price - kept
    campaign.training_fund = kept
    release_receipts(context, loaded.terms.campaign_id, campaign)
    campaign.last_round = loaded.terms.round
    campaign.last_base = loaded.terms.base
    campaign.last_aggregate = loaded.terms.aggregate
    campaign.times_gave_way = 0
    campaign.last_failed = loaded.task.phase == block_pb2.TASK_PHASE_FAILED
    if loaded.terms.round == campaign.terms.rounds:
        close_campaign(context, loaded.terms.campaign_id, campaign)
    records.CAMPAIGNS.put(context.state, loaded.terms.campaign_id, record=campaign)


def _retarget(context: ExecutionContext, loaded: LoadedTask) -> None:
    """Adjust the campaign's D by the time that a sampled task took; the caller writes its record.

    Time in which the task only waited for absent miners is left out. D has no effect on exact
    tasks.
    """
    if loaded.terms.sampling.schedule == task_pb2.SCHEDULE_EXACT:
        return
    loaded.campaign.difficulty_nano = posap.retarget(
        loaded.task.difficulty_nano,
        context.block.time_ms - loaded.task.opened_ms - loaded.task.idle_ms,
        context.parameters.target_settle_ms,
        context.parameters.min_difficulty_nano,
        context.parameters.max_difficulty_nano,
    )


def _pay_miners(context: ExecutionContext, loaded: LoadedTask, rewards: Mapping[bytes, int]) -> int:
    """Pay rewards by address, note them in the miners' records, and return their sum in sap."""
    for address, reward in rewards.items():
        _pay(context, loaded, block_pb2.PAYMENT_KIND_MINING, address, reward)
        # A miner of an earlier attempt has no record in the last one.
        if address in loaded.miners:
            loaded.miners[address].reward = reward
    return sum(rewards.values())


def _burn_price(context: ExecutionContext, loaded: LoadedTask, amount: int) -> None:
    """Burn the part of the mining price that no miner may have."""
    if amount:
        context.burn(amount)
        kind = block_pb2.PAYMENT_KIND_MINING_BURNED
        _add_receipt(context, loaded, kind, loaded.task.settlement.winner, amount)


def _pay(
    context: ExecutionContext,
    loaded: LoadedTask,
    kind: PaymentKind.ValueType,
    address: bytes,
    amount: int,
    shapley_nano: int = 0,
) -> None:
    if amount:
        context.credit(address, amount)
        _add_receipt(context, loaded, kind, address, amount, shapley_nano)


def _add_receipt(
    context: ExecutionContext,
    loaded: LoadedTask,
    kind: PaymentKind.ValueType,
    address: bytes,
    amount: int,
    shapley_nano: int = 0,
) -> None:
    context.add_payment_receipt(
        PaymentReceipt(
            kind=kind,
            address=address,
            amount=amount,
            campaign_id=loaded.terms.campaign_id,
            task_id=loaded.task_id,
            round=loaded.terms.round,
            shapley_nano=shapley_nano,
        )
    )
