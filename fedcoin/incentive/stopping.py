"""When a miner has samples enough.

A vector counts when it lies within D of the others' median (L2 norm). A miner that stops at a
standard error of D / 3 is practically never further out: its squared distance from the truth is
D^2 / 9 on average, and to be beyond D it would have to be nine times that. More samples only buy
weight in the mean. Nobody can check why a miner stopped, so this is advice, not a rule of the
ledger.
"""

from __future__ import annotations

import numpy as np

from fedcoin.incentive.layouts import Ints
from fedcoin.incentive.sampling import NANO, SamplingPlan

SHARE_OF_DIFFICULTY = 3
LEAST_SAMPLES = 32
"""Fewer say too little about their own spread."""
LEAST_CYCLES = 10


def standard_error_nano(plan: SamplingPlan, vectors: Ints) -> float:
    """L2 norm of the standard errors of S, in nano-utility, from leaves' vectors (N, n).

    0 under EXACT; infinite for fewer than two leaves. Under ANTITHETIC, leaves of one base order
    are not independent: with ten or more whole ones the spread between their means is taken
    (widened for their small number, by Student's law to first order), else the spread between
    the means of a walk and its reverse, which is too wide rather than too narrow.
    """
    if plan.fixed_samples is not None:
        return 0.0
    count, group, correction = len(vectors), plan.partners, 1.0
    if plan.cycle > group and count % plan.cycle == 0 and count // plan.cycle >= LEAST_CYCLES:
        group = plan.cycle
        correction += 1.21 / (count // group - 1)
    # A walk whose reverse is still to come is left out.
    whole = vectors[: count - count % group].astype(np.float64)
    groups = whole.reshape(-1, group, plan.clients).mean(axis=1)
    if len(groups) < 2:
        return float("inf")
    variance = groups.var(axis=0, ddof=1) / len(groups)
    scale = NANO / (plan.denominator(1) * plan.evaluation_size)
    return float(np.sqrt(variance.sum())) * scale * correction


def is_enough(plan: SamplingPlan, vectors: Ints, difficulty_nano: int) -> bool:
    """Whether a miner with these leaves' vectors (N, n) may stop under difficulty D."""
    if len(vectors) >= plan.most_samples:
        return True
    if plan.fixed_samples is not None or len(vectors) < LEAST_SAMPLES:
        return False
    return standard_error_nano(plan, vectors) * SHARE_OF_DIFFICULTY <= difficulty_nano
