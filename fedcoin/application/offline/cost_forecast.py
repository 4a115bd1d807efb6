"""Forecast what a campaign costs, and what its miners earn, before anything is in escrow."""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator.chain_messages import build_payment_terms, build_sampling
from fedcoin.application.mining.task_choice import is_worth_mining
from fedcoin.contract.tasks.task_pricing import compute_offer, compute_task_deposit, compute_work
from fedcoin.data.messages.parameters import Parameters
from fedcoin.incentive.proof.sampling_plan import SamplingPlan, build_plan
from fedcoin.incentive.training_reward import compute_prices_due, split_budget
from fedcoin.learning.measures.terms import NAMES
from fedcoin.v1 import task_pb2
from fedcoin.v1.state_pb2 import TaskState

TRANSACTIONS_OF_MINER = 3
"""Commitment, opening and reveal: what a miner pays fees for in each task."""


@dataclass(frozen=True, slots=True)
class RoundForecast:
    """What one round pays for, by the campaign's terms."""

    round: int
    """The round, from 1."""
    training: int
    """The most that clients can get, in sap. With a price for each unit of utility it is the
    campaign's whole fund, which all rounds share."""
    aggregation: int
    """What the server gets, in sap."""
    mining: int
    """What all miners get together, in sap."""
    work: int
    """The most evaluations (of one example by one coalition's model) that a miner makes."""
    offer: int
    """The mining price for each million of evaluations, in sap."""
    deposit: int
    """The deposit of the server that opens the task, in sap, which returns with its end."""
    income_of_miner: int
    """What each of `num_miners` miners with equal bonds earns, less its fees, in sap; it may be
    negative."""
    pays_floor: bool
    """Whether these miners work for it, with the floor price that was given."""


@dataclass(frozen=True, slots=True)
class CampaignForecast:
    """What a campaign costs."""

    budget: int
    """What goes into escrow when it opens, in sap."""
    training: int
    """The most that clients can get in all rounds together, in sap; the rest returns."""
    aggregation: int
    """What the server gets in all rounds, in sap."""
    mining: int
    """What the miners get in all rounds, in sap."""
    rounds: tuple[RoundForecast, ...]
    """Each round."""


def forecast_campaign(
    config: CoordinatorConfig,
    rules: Parameters,
    evaluation_size: int,
    num_miners: int,
    floor_price: int,
) -> CampaignForecast:
    """Compute a campaign's prices, work and deposits from its settings.

    Args:
        config: The campaign's settings; `clients` is the number of clients of each round.
        rules: The network's parameters.
        evaluation_size: Examples of each round's evaluation set, at least 1.
        num_miners: How many miners with equal bonds share the mining price, at least 1.
        floor_price: What a miner asks for each million of evaluations, in sap.

    Returns:
        The forecast. Fees of the requester's own transactions come on top; they are small.

    Raises:
        RefusalError: BAD_SPLIT when all parts of the price split are 0.
    """
    terms = build_payment_terms(config, config.rounds)
    parts = split_budget(terms)
    plan = _plan(config, evaluation_size)
    rounds = []
    for number in range(1, config.rounds + 1):
        # The work grows while D falls; this is the D that campaigns begin with.
        work = compute_work(plan, rules.initial_difficulty_nano)
        prices = compute_prices_due(terms, number, parts.training)
        task = task_pb2.OpenTask(
            max_attempts=config.attempts,
            commit_window_ms=round(config.commit_seconds * 1000),
            reveal_window_ms=round(config.reveal_seconds * 1000),
        )
        fees = TRANSACTIONS_OF_MINER * (rules.base_fee + rules.fee_per_kib)
        state = TaskState(work=work, total_power=num_miners)
        rounds.append(
            RoundForecast(
                round=number,
                training=prices.training,
                aggregation=prices.aggregation,
                mining=prices.mining,
                work=work,
                offer=compute_offer(prices.mining, work),
                deposit=compute_task_deposit(rules, task, work),
                income_of_miner=prices.mining // num_miners - fees,
                pays_floor=is_worth_mining(state, prices.mining, 1, rules, floor_price),
            )
        )
    return CampaignForecast(
        config.budget, parts.training, parts.aggregation, parts.mining, tuple(rounds)
    )


def _plan(config: CoordinatorConfig, evaluation_size: int) -> SamplingPlan:
    task = task_pb2.OpenTask(
        sampling=build_sampling(config, config.clients),
        evaluation=task_pb2.EvaluationShard(size=evaluation_size),
        updates=[task_pb2.SignedUpdate() for _ in range(config.clients)],
        utility=NAMES[config.utility],
    )
    return build_plan(task, bytes(32), bytes(32))
