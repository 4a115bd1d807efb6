"""What a coordinator's settings mean on the chain: the campaign, and the task of each round."""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.application.configuration.config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, EvaluationShard
from fedcoin.data.crypto import merkle
from fedcoin.data.messages.updates import Update
from fedcoin.incentive.payout import compute_round_prices
from fedcoin.learning.training.sgd import TrainingPlan
from fedcoin.v1 import federated_learning_service_pb2, task_pb2

MOST_EXACT_CLIENTS = 12
"""Up to how many clients the schedule "auto" evaluates every coalition."""

_SPREADS = {
    "equal": task_pb2.BUDGET_SPREAD_EQUAL,
    "decreasing": task_pb2.BUDGET_SPREAD_DECREASING,
}
_REWARDS = {
    "winner": task_pb2.MINING_REWARD_WINNER,
    "pro_rata": task_pb2.MINING_REWARD_PRO_RATA,
}
_SCHEDULES = {
    "exact": task_pb2.SCHEDULE_EXACT,
    "permutation": task_pb2.SCHEDULE_PERMUTATION,
    "antithetic": task_pb2.SCHEDULE_ANTITHETIC,
}
_AVERAGINGS = {
    "renormalised": task_pb2.AVERAGING_RENORMALISED,
    "fixed": task_pb2.AVERAGING_FIXED_DENOMINATOR,
}
_EMPTY = {
    "base": task_pb2.EMPTY_COALITION_BASE_MODEL,
    "zero": task_pb2.EMPTY_COALITION_ZERO,
}


def build_open_campaign(
    config: CoordinatorConfig, server: bytes, campaign: Campaign
) -> task_pb2.OpenCampaign:
    """The campaign that puts the budget in escrow; ``server`` (20 bytes) may open its tasks."""
    return task_pb2.OpenCampaign(
        server=server,
        model=campaign.model,
        initial_weights=campaign.initial,
        rounds=campaign.rounds,
        budget=config.budget,
        spread=_SPREADS[config.spread],
        split=price_split(config),
        mining_reward=_REWARDS[config.reward],
        evaluation_root=merkle.root(shard.artifact for shard in campaign.shards),
        evaluation_shards=len(campaign.shards),
    )


def build_open_task(
    config: CoordinatorConfig, campaign: Campaign, updates: Sequence[Update]
) -> task_pb2.OpenTask:
    """The task of the campaign's present round. ``updates`` are in rising order of addresses."""
    prices = compute_round_prices(
        config.budget,
        campaign.rounds,
        _SPREADS[config.spread],
        campaign.round,
        price_split(config),
    )
    return task_pb2.OpenTask(
        campaign_id=campaign.campaign_id,
        round=campaign.round,
        base=campaign.base,
        aggregate=campaign.aggregate,
        updates=[update.envelope for update in updates],
        evaluation=evaluation_shard(campaign.shards, campaign.shard_index),
        utility=task_pb2.UTILITY_ACCURACY,
        empty_coalition=_EMPTY[config.empty],
        averaging=_AVERAGINGS[config.averaging],
        sampling=sampling(config, len(updates)),
        prices=task_pb2.RoundPrices(
            training=prices.training, aggregation=prices.aggregation, mining=prices.mining
        ),
        commit_window_ms=round(config.commit_seconds * 1000),
        reveal_window_ms=round(config.reveal_seconds * 1000),
        max_attempts=config.attempts,
    )


def evaluation_shard(shards: Sequence[EvaluationShard], index: int) -> task_pb2.EvaluationShard:
    """One shard with the path that proves it is the campaign's."""
    ids = [shard.artifact for shard in shards]
    return task_pb2.EvaluationShard(
        artifact=ids[index],
        index=index,
        path=merkle.audit_path(ids, index),
        size=shards[index].size,
    )


def sampling(config: CoordinatorConfig, clients: int) -> task_pb2.Sampling:
    """Which coalitions count for this many clients."""
    name = config.schedule
    if name == "auto":
        name = "exact" if clients <= MOST_EXACT_CLIENTS else "antithetic"
    if name == "exact":
        return task_pb2.Sampling(schedule=_SCHEDULES[name])
    return task_pb2.Sampling(
        schedule=_SCHEDULES[name],
        max_samples=config.max_samples,
        truncation=config.truncation,
    )


def price_split(config: CoordinatorConfig) -> task_pb2.PriceSplit:
    """Clients, server, miners."""
    training, aggregation, mining = config.split
    return task_pb2.PriceSplit(training=training, aggregation=aggregation, mining=mining)


def encode_training_plan(config: CoordinatorConfig) -> federated_learning_service_pb2.TrainingPlan:
    """How clients are told to train."""
    return federated_learning_service_pb2.TrainingPlan(
        epochs=config.epochs,
        batch_size=config.batch_size,
        learning_rate_micro=round(config.learning_rate * 1_000_000),
        seed=config.seed,
    )


def decode_training_plan(message: federated_learning_service_pb2.TrainingPlan) -> TrainingPlan:
    """How a client was told to train. Raises Refusal BAD_PLAN."""
    return TrainingPlan(
        epochs=message.epochs,
        batch_size=message.batch_size,
        learning_rate=message.learning_rate_micro / 1_000_000,
        seed=message.seed,
    )
