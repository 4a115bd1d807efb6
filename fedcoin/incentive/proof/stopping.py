"""When a miner has enough samples for the task's difficulty D.

A vector is an inlier when its L2 distance from the median of all vectors is at most D. A miner
stops at a standard error of D / 3, the L2 norm over all clients. Its mean squared distance from
the true values is then D^2 / 9, so that a distance above D would need nine times the mean. More
samples only raise the vector's weight in the mean. The ledger cannot check why a miner stopped:
this is advice, not a rule.

The ledger has a rule of its own (docs/adr/0015): an inlier has at least a quarter of the median
number of samples. Miners that stop as described here aim at the same D and have a half to twice
the median; only one whose window ends too early falls short.

Notation: N leaves; v_j their vectors, (n,); a group is `cycle_length` or `pair_length`
consecutive leaves; the variance of S is estimated from the spread between the groups' means.
"""

from __future__ import annotations

import numpy as np

from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import NANO, SamplingPlan
from fedcoin.shapley.array_types import Floats
from fedcoin.shapley.std_errors import student_factor

DIFFICULTY_DIVISOR = 3
"""A miner stops at a standard error of D / 3."""
MIN_SAMPLES = 32
"""With fewer samples their spread is too uncertain to stop on."""
_MIN_CYCLES = 10
"""With fewer complete cycles the spread between them is too uncertain; see
`compute_standard_error_nano`."""


def compute_standard_error_nano(plan: SamplingPlan, vectors: Ints) -> float:
    """Estimate the standard error of a miner's Shapley values from the spread of its leaves.

    Under ANTITHETIC the leaves of one base order are not independent. With 10 complete cycles or
    more, the spread between the cycles' means counts, times Student's factor for their small
    number. For all other leaves the spread between the means of a walk and its reverse counts,
    which is too large rather than too small.

    Args:
        plan: The miner's plan for the task.
        vectors: The vectors of leaves 0 to N - 1, int64 (N, n).

    Returns:
        The L2 norm of the clients' standard errors in nano-utility: 0 under EXACT, infinite for
        fewer than two leaves.
    """
    if plan.fixed_samples is not None:
        return 0.0
    # A walk whose reverse is not there yet is left out.
    count = len(vectors) - len(vectors) % plan.pair_length
    cycles = count // plan.cycle_length
    has_cycles = plan.cycle_length > plan.pair_length and cycles >= _MIN_CYCLES
    whole = cycles * plan.cycle_length if has_cycles else 0
    used = vectors[:count].astype(np.float64)
    variance = 0.0
    if whole:
        widening = student_factor(cycles - 1)
        variance += (
            (whole * widening) ** 2
            * _variance_between_groups(used[:whole], plan.cycle_length)
            / cycles
        )
    if whole < count:
        pairs = (count - whole) // plan.pair_length
        variance += (count - whole) ** 2 * _variance_between_groups(used, plan.pair_length) / pairs
    scale = NANO / (plan.denominator(1) * plan.max_utility)
    return float(np.sqrt(variance)) / count * scale if count else float("inf")


def has_enough_samples(plan: SamplingPlan, vectors: Ints, difficulty_nano: int) -> bool:
    """Tell whether a miner may stop sampling.

    Args:
        plan: The miner's plan for the task.
        vectors: The vectors of leaves 0 to N - 1, int64 (N, n).
        difficulty_nano: The task's difficulty D, in nano-utility.

    Returns:
        True when the task allows no more samples, or when there are 32 or more and their standard
        error is at most D / 3.
    """
    if len(vectors) >= plan.sample_limit:
        return True
    if plan.fixed_samples is not None or len(vectors) < MIN_SAMPLES:
        return False
    return compute_standard_error_nano(plan, vectors) * DIFFICULTY_DIVISOR <= difficulty_nano


def _variance_between_groups(vectors: Floats, group: int) -> float:
    """Add up over the clients the variance between the means of `group` consecutive leaves."""
    means = vectors.reshape(-1, group, vectors.shape[1]).mean(axis=1)
    return float(means.var(axis=0, ddof=1).sum()) if len(means) > 1 else float("inf")
