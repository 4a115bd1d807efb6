"""Build the transactions' actions that open a campaign and each round's task, from the settings."""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, EvaluationShard
from fedcoin.contract.actions.receipt_terms import (
    MIN_COMMIT_WINDOW_MS,
    MIN_RECEIPT_ATTEMPTS,
    MIN_REVEAL_WINDOW_MS,
)
from fedcoin.data.crypto import merkle
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.messages.client_list import build_admission, build_client_list
from fedcoin.data.messages.updates import Update
from fedcoin.incentive.training_reward import UNIT_NANO, compute_prices_due, split_budget
from fedcoin.learning.measures.terms import NAMES
from fedcoin.learning.model.aggregation import client_weights
from fedcoin.learning.model.look_alikes import LIMIT_UNIT, group_weights
from fedcoin.v1 import task_pb2

MAX_EXACT_CLIENTS = 12
"""With the schedule "auto", rounds of up to this many clients evaluate every coalition (4,096);
larger ones sample."""

_SPREADS = {
    "equal": task_pb2.BUDGET_SPREAD_EQUAL,
    "decreasing": task_pb2.BUDGET_SPREAD_DECREASING,
}
_REWARDS = {
    "winner": task_pb2.MINING_REWARD_WINNER,
    "pro_rata": task_pb2.MINING_REWARD_PRO_RATA,
}
_TRAINING_REWARDS = {
    "proportional": task_pb2.TRAINING_REWARD_PROPORTIONAL,
    "unit_price": task_pb2.TRAINING_REWARD_UNIT_PRICE,
}
_SCHEDULES = {
    "exact": task_pb2.SCHEDULE_EXACT,
    "permutation": task_pb2.SCHEDULE_PERMUTATION,
    "antithetic": task_pb2.SCHEDULE_ANTITHETIC,
}
_AVERAGINGS = {
    "equal": task_pb2.AVERAGING_EQUAL,
    "renormalised": task_pb2.AVERAGING_RENORMALISED,
    "fixed": task_pb2.AVERAGING_FIXED_DENOMINATOR,
}
_EMPTY_COALITIONS = {
    "base": task_pb2.EMPTY_COALITION_BASE_MODEL,
    "zero": task_pb2.EMPTY_COALITION_ZERO,
}


def build_open_campaign(
    config: CoordinatorConfig, server: bytes, campaign: Campaign
) -> task_pb2.OpenCampaign:
    """Build the action that opens a campaign and puts its budget in escrow.

    Args:
        config: Budget, prices and rewards.
        server: The address (20 bytes) that may open the campaign's tasks and is paid the
            aggregation price.
        campaign: Model, initial weights, number of rounds and evaluation shards.

    Returns:
        The action, for a transaction of the requester.
    """
    terms = task_pb2.OpenCampaign(
        server=server,
        model=campaign.model,
        initial_weights=campaign.initial,
        evaluation_root=merkle.root(shard.artifact for shard in campaign.shards),
        evaluation_shards=len(campaign.shards),
        utility=NAMES[config.utility],
        similarity_limit_ppm=round(config.similarity_limit * LIMIT_UNIT),
    )
    if campaign.listed:
        terms.clients.CopyFrom(build_client_list(campaign.listed))
    terms.MergeFrom(build_payment_terms(config, campaign.rounds))
    terms.receipt_window_ms = round(config.receipt_seconds * 1000)
    if config.private:
        terms.readers.CopyFrom(build_readers(config.readers))
    return terms


def build_readers(readers: Sequence[str]) -> task_pb2.ReaderList:
    """Build the list of a private campaign's readers.

    Args:
        readers: Their addresses as people write them, in any order.

    Returns:
        The list as the chain has it: each address once, in ascending order.

    Raises:
        RefusalError: BAD_ADDRESS when one is not an address.
    """
    return task_pb2.ReaderList(addresses=sorted({parse_address(text) for text in readers}))


def pays_by_unit(config: CoordinatorConfig) -> bool:
    """Tell whether clients are paid a price for each unit of utility.

    Args:
        config: The coordinator's settings.

    Returns:
        True unless each round's training price is split in proportion.
    """
    return _TRAINING_REWARDS[config.training_reward] == task_pb2.TRAINING_REWARD_UNIT_PRICE


def compute_max_harm(config: CoordinatorConfig) -> int:
    """Compute how far below zero a client's values may add up to, before it is left out.

    Somebody may be paid for undoing harm, at the price of a unit. `max_harm` is the part of the
    budget for training that may be spent on undoing one client's harm, so that it means the same
    for each measure and price. Where no price for a unit says what harm costs, it counts as if the
    budget for training paid for one unit.

    Args:
        config: Budget, split, price of a unit and `max_harm`.

    Returns:
        The largest harm in nano-utility, at least 0.
    """
    terms = build_payment_terms(config, config.rounds)
    fund = split_budget(terms).training
    if not pays_by_unit(config) or not fund:
        return round(config.max_harm * UNIT_NANO)
    return round(config.max_harm * fund / terms.unit_price * UNIT_NANO)


def build_open_task(
    config: CoordinatorConfig,
    campaign: Campaign,
    updates: Sequence[Update],
    groups: Sequence[int] = (),
) -> task_pb2.OpenTask:
    """Build the action that opens the present round's Shapley task.

    Args:
        config: Utility, sampling, windows and prices.
        campaign: The campaign; `aggregate` must be set.
        updates: The round's updates, sorted by address.
        groups: The group of each update, where the settings have a similarity limit.

    Returns:
        The action, for a transaction of the server.
    """
    terms = build_payment_terms(config, campaign.rounds)
    fund = split_budget(terms).training - campaign.total_payouts()
    prices = compute_prices_due(terms, campaign.round, fund)
    task = task_pb2.OpenTask(
        campaign_id=campaign.campaign_id,
        round=campaign.round,
        base=campaign.base,
        aggregate=campaign.aggregate,
        updates=[update.envelope for update in updates],
        evaluation=_build_evaluation_shard(campaign.shards, campaign.shard_index),
        utility=NAMES[config.utility],
        empty_coalition=_EMPTY_COALITIONS[config.empty],
        averaging=_AVERAGINGS[config.averaging],
        sampling=build_sampling(config, len(updates)),
        prices=task_pb2.RoundPrices(
            training=prices.training, aggregation=prices.aggregation, mining=prices.mining
        ),
        commit_window_ms=round(config.commit_seconds * 1000),
        reveal_window_ms=round(config.reveal_seconds * 1000),
        max_attempts=config.attempts,
        max_room_fee=config.max_room_fee,
        admissions=[build_admission(campaign.listed, update.address) for update in updates]
        if campaign.listed
        else [],
        groups=groups,
    )
    if config.receipt_seconds:
        # Clients may register receipts until the task is opened, and then it has lower limits.
        task.commit_window_ms = max(task.commit_window_ms, MIN_COMMIT_WINDOW_MS)
        task.reveal_window_ms = max(task.reveal_window_ms, MIN_REVEAL_WINDOW_MS)
        task.max_attempts = max(task.max_attempts, MIN_RECEIPT_ATTEMPTS)
    return task


def count_in_average(
    config: CoordinatorConfig, num_samples: Sequence[int], groups: Sequence[int]
) -> tuple[int, ...]:
    """Tell how much each update counts in the average of a round.

    Args:
        config: The coordinator's settings.
        num_samples: Training examples of each client, as it claims.
        groups: The group of each update, where the settings have a similarity limit; else empty.

    Returns:
        One integer for each update, to be divided by their sum.
    """
    if groups:
        return group_weights(groups)
    return client_weights(num_samples, _AVERAGINGS[config.averaging])


def build_sampling(config: CoordinatorConfig, num_clients: int) -> task_pb2.Sampling:
    """Choose which coalitions the miners evaluate.

    Args:
        config: The schedule, and its limits for schedules that sample.
        num_clients: How many clients the task has.

    Returns:
        The sampling; "auto" is replaced by the schedule that it stands for.
    """
    name = config.schedule
    if name == "auto":
        name = "exact" if num_clients <= MAX_EXACT_CLIENTS else "antithetic"
    if name == "exact":
        return task_pb2.Sampling(schedule=_SCHEDULES[name])
    return task_pb2.Sampling(
        schedule=_SCHEDULES[name],
        max_samples=config.max_samples,
        truncation=config.truncation,
    )


def _build_evaluation_shard(
    shards: Sequence[EvaluationShard], index: int
) -> task_pb2.EvaluationShard:
    """Describe a shard, with the Merkle path that proves that it is the campaign's."""
    artifacts = [shard.artifact for shard in shards]
    return task_pb2.EvaluationShard(
        artifact=artifacts[index],
        index=index,
        path=merkle.audit_path(artifacts, index),
        size=shards[index].size,
    )


def build_payment_terms(config: CoordinatorConfig, rounds: int) -> task_pb2.OpenCampaign:
    """Build the part of a campaign's terms that says what is paid for.

    Args:
        config: Budget, spread, split and rewards.
        rounds: The number of rounds.

    Returns:
        The terms with these fields alone.
    """
    training, aggregation, mining = config.split
    terms = task_pb2.OpenCampaign(
        rounds=rounds,
        budget=config.budget,
        spread=_SPREADS[config.spread],
        split=task_pb2.PriceSplit(training=training, aggregation=aggregation, mining=mining),
        mining_reward=_REWARDS[config.reward],
        training_reward=_TRAINING_REWARDS[config.training_reward],
    )
    if pays_by_unit(config):
        terms.unit_price = config.unit_price or max(1, split_budget(terms).training)
    return terms
