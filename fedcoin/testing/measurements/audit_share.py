"""The cost of an audit of sampled walks, as a share of the cost of mining them.

An auditor recomputes `q` challenged leaves of a reveal, however many leaves the miner computed. Of
each walk it evaluates all coalitions but the grand one, which is evaluated once, as is the empty
one.
"""

from __future__ import annotations

from fedcoin.incentive.proof.sampling_plan import SamplingPlan


def compute_audit_percent(plan: SamplingPlan, samples: int, leaves: int) -> float:
    """Compute how many coalitions an audit evaluates, in percent of what mining evaluated.

    Args:
        plan: A miner's plan of a schedule that samples walks (not EXACT).
        samples: How many walks the miner computed, at least 1.
        leaves: How many leaves are challenged (`challenge_leaves` of the genesis).

    Returns:
        The percentage for an auditor that has evaluated no coalition of the task before.
    """
    audited = min(leaves, samples) * (plan.clients - 1) + 2
    return 100 * audited / plan.evaluations(samples)


def find_min_samples(plan: SamplingPlan, percent: float, leaves: int) -> int:
    """Find the smallest number of walks whose audit costs less than a share of mining them.

    Args:
        plan: A miner's plan of a schedule that samples walks (not EXACT).
        percent: The share that the audit must stay below, in percent of mining's evaluations.
        leaves: How many leaves are challenged.

    Returns:
        A number of walks, at least 1.
    """
    samples = int((leaves * (plan.clients - 1) + 2) * 100 / (percent * plan.clients))
    while compute_audit_percent(plan, samples, leaves) >= percent:
        samples += 1
    return samples
