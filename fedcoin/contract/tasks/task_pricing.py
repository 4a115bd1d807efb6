"""What a task asks of the network, and the deposit that its server leaves for it.

Work is counted in evaluations: one example of the evaluation set, by the model of one coalition. A
task is priced for the most that it may ask. Under the sampled schedules that depends on the
campaign's difficulty D: a miner stops at a standard error of D / 3, and the samples that this
needs grow with 1 / D^2 (`incentive.proof.stopping`).
"""

from __future__ import annotations

from typing import Final

from fedcoin.data.messages.parameters import Parameters
from fedcoin.incentive.proof.sampling_plan import NANO, SamplingPlan
from fedcoin.v1.task_pb2 import OpenTask

BASE_WORK: Final = 10_000_000
"""What each task costs a miner beside its evaluations, in evaluations: its artifacts, three
transactions and the audits of the others' reveals. Without it, a task of one example would offer
the highest price for its work."""

_MIN_SAMPLES: Final = 32
_MILLION: Final = 1_000_000
_BILLION: Final = 1_000_000_000
_HOUR_MS: Final = 3_600_000


def compute_work(plan: SamplingPlan, difficulty_nano: int) -> int:
    """Compute the largest number of evaluations that a task may ask of a miner.

    The number of samples is 9 V / D^2 with V = 1: the squares of one walk's marginal contributions
    add up to no more, unless some are negative.

    Args:
        plan: A miner's plan; the number is the same for all miners.
        difficulty_nano: The difficulty D of the task, in nano-utility.

    Returns:
        The number of evaluations, plus `BASE_WORK`.
    """
    samples = plan.sample_limit
    if plan.fixed_samples is None:
        needed = 9 * NANO * NANO // (difficulty_nano * difficulty_nano)
        samples = min(samples, max(needed, _MIN_SAMPLES))
    return plan.evaluations(samples) * plan.evaluation_size + BASE_WORK


def compute_offer(mining_price: int, work: int) -> int:
    """Compute what a task offers for its work.

    Args:
        mining_price: The mining price in sap.
        work: The task's work in evaluations.

    Returns:
        Sap for each million of evaluations, rounded down.
    """
    return mining_price * _MILLION // work


def compute_task_deposit(rules: Parameters, terms: OpenTask, work: int) -> int:
    """Compute the deposit of the server that opens a task.

    Args:
        rules: The network's parameters.
        terms: The task's terms.
        work: The task's work in evaluations.

    Returns:
        Sap: `task_deposit` for each started hour of all windows of all attempts, and for each
        started billion of evaluations.
    """
    windows_ms = compute_windows_ms(terms)
    return rules.task_deposit * (-(-windows_ms // _HOUR_MS) + -(-work // _BILLION))


def compute_windows_ms(terms: OpenTask) -> int:
    """Compute how long a task is open at most, when each window ends by its time.

    Args:
        terms: The task's terms.

    Returns:
        The time of all windows of all attempts in ms.
    """
    return terms.max_attempts * (terms.commit_window_ms + 2 * terms.reveal_window_ms)
