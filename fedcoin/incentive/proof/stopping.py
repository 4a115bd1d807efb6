"""When a miner has samples enough.

A vector counts when it lies within D of the others' median (L2 norm). A miner that stops at a
standard error of D / 3 is practically never further out: its squared distance from the truth is
D^2 / 9 on average, and to be beyond D it would have to be nine times that. More samples only buy
weight in the mean. Nobody can check why a miner stopped, so this is advice.

The ledger's own rule is another: an inlier has proved a share (a quarter) of the median number of
samples. Miners that stop like this one stay between a half and twice the median, since they aim at
the same D; one that has too little time may fall short of it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import NANO, SamplingPlan

Floats = npt.NDArray[np.float64]

DIFFICULTY_DIVISOR = 3
MIN_SAMPLES = 32
"""Fewer say too little about their own spread."""
MIN_CYCLES = 10


def compute_standard_error_nano(plan: SamplingPlan, vectors: Ints) -> float:
    """L2 norm of the standard errors of S, in nano-utility, from leaves' vectors (N, n).

    0 under EXACT; infinite for fewer than two leaves. Under ANTITHETIC, leaves of one base order
    are not independent: whole ones, if there are ten or more, have the spread between their means
    (widened for their small number, by Student's law to first order); all others the spread between
    the means of a walk and its reverse, which is too wide rather than too narrow.
    """
    if plan.fixed_samples is not None:
        return 0.0
    # A walk whose reverse is still to come is left out.
    count = len(vectors) - len(vectors) % plan.pair_length
    cycles = count // plan.cycle_length
    whole = (
        cycles * plan.cycle_length
        if plan.cycle_length > plan.pair_length and cycles >= MIN_CYCLES
        else 0
    )
    used = vectors[:count].astype(np.float64)
    variance = 0.0
    if whole:
        widening = 1 + 1.21 / (cycles - 1)
        variance += (whole * widening) ** 2 * _variance(used[:whole], plan.cycle_length) / cycles
    if whole < count:
        pairs = (count - whole) // plan.pair_length
        variance += (count - whole) ** 2 * _variance(used, plan.pair_length) / pairs
    scale = NANO / (plan.denominator(1) * plan.evaluation_size)
    return float(np.sqrt(variance)) / count * scale if count else float("inf")


def _variance(vectors: Floats, group: int) -> float:
    """Between the means of so many leaves that follow each other, added up over the clients."""
    means = vectors.reshape(-1, group, vectors.shape[1]).mean(axis=1)
    return float(means.var(axis=0, ddof=1).sum()) if len(means) > 1 else float("inf")


def has_enough_samples(plan: SamplingPlan, vectors: Ints, difficulty_nano: int) -> bool:
    """Whether a miner with these leaves' vectors (N, n) may stop under difficulty D."""
    if len(vectors) >= plan.sample_limit:
        return True
    if plan.fixed_samples is not None or len(vectors) < MIN_SAMPLES:
        return False
    return compute_standard_error_nano(plan, vectors) * DIFFICULTY_DIVISOR <= difficulty_nano
