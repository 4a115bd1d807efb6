"""Where the money of a round goes: payouts, deposits, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from fedcoin.consensus import posap
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.messages import canonical
from fedcoin.incentive.payout import split, split_training_price
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.block_pb2 import PaymentKind, PaymentReceipt, Settlement
from fedcoin.v1.state_pb2 import CampaignState, MinerState, TaskState
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask


@dataclass(frozen=True, slots=True)
class LoadedTask:
    """A task with all that belongs to it."""

    task_id: bytes
    task: TaskState
    terms: OpenTask
    campaign: CampaignState
    miners: Mapping[bytes, MinerState]
    """By address, in rising order."""

    @classmethod
    def load(cls, context: ExecutionContext, task_id: bytes) -> LoadedTask:
        """Everything about an open task."""
        task = records.TASKS.get(context.state, task_id)
        terms = records.TERMS.get(context.state, task_id)
        assert task is not None, "an open task without a record"
        assert terms is not None, "an open task without terms"
        campaign = records.CAMPAIGNS.get(context.state, terms.campaign_id)
        assert campaign is not None, "a task without a campaign"
        miners = dict(records.MINERS.scan(context.state, task_id))
        return cls(task_id, task, terms, campaign, miners)

    @property
    def price(self) -> int:
        """What the round pays in all, in sap."""
        return self.terms.prices.training + self.terms.prices.aggregation + self.terms.prices.mining


def settle(context: ExecutionContext, round: LoadedTask) -> Settlement:
    """Pay for a round whose outcome is known, in one step.

    In this order: the clients by value, or the requester when no value is positive; the server;
    the winner, or the inliers by samples; the miners' deposits.
    """
    outcome = round.task.settlement
    payouts, refund = split_training_price(outcome.mean_shapley_nano, round.terms.prices.training)
    values = outcome.mean_shapley_nano
    for address, amount, value in zip(client_addresses(round.terms), payouts, values, strict=True):
        _pay(context, round, block_pb2.PAYMENT_KIND_TRAINING, address, amount, value)
    _pay(context, round, block_pb2.PAYMENT_KIND_REFUND, round.campaign.requester, refund)
    aggregation = round.terms.prices.aggregation
    _pay(
        context, round, block_pb2.PAYMENT_KIND_AGGREGATION, round.campaign.terms.server, aggregation
    )
    for address, reward in mining_rewards(round).items():
        _pay(context, round, block_pb2.PAYMENT_KIND_MINING, address, reward)
        round.miners[address].reward = reward
    clear_deposits(context, round, due=lambda miner: miner.revealed)
    for address, miner in round.miners.items():
        records.MINERS.put(context.state, round.task_id, address, record=miner)
    _retarget(context, round)
    _close(context, round, block_pb2.TASK_PHASE_SETTLED)
    return outcome


def fail(context: ExecutionContext, round: LoadedTask) -> None:
    """Give a round up: its share of the budget returns to the requester."""
    requester = round.campaign.requester
    _pay(context, round, block_pb2.PAYMENT_KIND_REFUND, requester, round.price)
    _close(context, round, block_pb2.TASK_PHASE_FAILED)


def clear_deposits(
    context: ExecutionContext, round: LoadedTask, *, due: Callable[[MinerState], bool]
) -> None:
    """Return the deposits of miners that did what was `due`, and burn the others'.

    The caller writes the miners' records.
    """
    for address, miner in round.miners.items():
        amount, miner.deposit = miner.deposit, 0
        if due(miner):
            _pay(context, round, block_pb2.PAYMENT_KIND_DEPOSIT_RETURNED, address, amount)
        else:
            context.burn(amount)
            _note(context, round, block_pb2.PAYMENT_KIND_DEPOSIT_BURNED, address, amount)


def mining_rewards(round: LoadedTask) -> dict[bytes, int]:
    """What each miner gets for computing, in sap."""
    price = round.terms.prices.mining
    if round.campaign.terms.mining_reward == task_pb2.MINING_REWARD_WINNER:
        return {round.task.settlement.winner: price}
    samples = {address: m.samples for address, m in round.miners.items() if m.inlier}
    return dict(zip(samples, split(price, list(samples.values())), strict=True))


def client_addresses(terms: OpenTask) -> list[bytes]:
    """Addresses of a task's clients, in its order."""
    return [ClientUpdate.FromString(update.body).address for update in terms.updates]


def closed_terms(terms: OpenTask) -> OpenTask:
    """What the state keeps of a closed task's terms: of each update who, how much, and which.

    The block that opened the task has what was signed, word for word: nothing pays by it any more.
    """
    kept = OpenTask()
    kept.CopyFrom(terms)
    del kept.updates[:]
    for signed in terms.updates:
        update = ClientUpdate.FromString(signed.body)
        part = ClientUpdate(
            update=update.update, num_samples=update.num_samples, address=update.address
        )
        kept.updates.add(body=canonical.encode(part))
    return kept


def close_campaign(context: ExecutionContext, campaign_id: bytes, campaign: CampaignState) -> None:
    """End a campaign: what is left in escrow returns. The caller writes the campaign's record."""
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


def _close(
    context: ExecutionContext, round: LoadedTask, phase: block_pb2.TaskPhase.ValueType
) -> None:
    """Take the round's share out of escrow and end the task; after the last, the campaign too."""
    task, campaign = round.task, round.campaign
    task.phase = phase
    task.phase_height = task.closed_height = context.block.height
    task.closed_ms = context.block.time_ms
    task.deadline_ms = 0
    records.TASKS.put(context.state, round.task_id, record=task)
    records.TERMS.put(context.state, round.task_id, record=closed_terms(round.terms))
    records.OPEN_TASKS.remove(context.state, task.opened_height, round.task_id)
    context.add_phase_receipt(round.task_id, phase, task.attempt)
    campaign.escrow -= round.price
    campaign.open_task_id = b""
    if round.terms.round == campaign.terms.rounds:
        close_campaign(context, round.terms.campaign_id, campaign)
    records.CAMPAIGNS.put(context.state, round.terms.campaign_id, record=campaign)


def _retarget(context: ExecutionContext, round: LoadedTask) -> None:
    """Move D after a sampled task; an exact one says nothing about it."""
    if round.terms.sampling.schedule == task_pb2.SCHEDULE_EXACT:
        return
    ledger = records.read_ledger(context.state)
    ledger.difficulty_nano = posap.retarget(
        round.task.difficulty_nano,
        context.block.time_ms - round.task.opened_ms,
        context.parameters.target_settle_ms,
        context.parameters.min_difficulty_nano,
        context.parameters.max_difficulty_nano,
    )
    records.LEDGER.put(context.state, record=ledger)


def _pay(
    context: ExecutionContext,
    round: LoadedTask,
    kind: PaymentKind.ValueType,
    address: bytes,
    amount: int,
    shapley_nano: int = 0,
) -> None:
    if amount:
        context.credit(address, amount)
        _note(context, round, kind, address, amount, shapley_nano)


def _note(
    context: ExecutionContext,
    round: LoadedTask,
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
            campaign_id=round.terms.campaign_id,
            task_id=round.task_id,
            round=round.terms.round,
            shapley_nano=shapley_nano,
        )
    )
