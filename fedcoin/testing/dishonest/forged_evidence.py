"""Making up what was not computed. All of it passes every check but that of recomputing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedcoin.incentive.proof.evidence import EvidenceTree
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import NANO, SamplingPlan
from fedcoin.incentive.proof.sum_tree import (
    SumTree,
    TreeLevel,
    leaf_spans,
    level_widths,
)

Floats = NDArray[np.float64]


def additive(
    plan: SamplingPlan, leaves: Sequence[int], worth: Floats, grand: int, empty: int
) -> Ints:
    """Utilities (N, m) of leaves as if each client were worth ``worth`` (n,) right answers.

    What does not add up to grand - empty is shared out evenly, so that every walk ends where it
    must; utilities are whole and within the evaluation set.
    """
    even: Floats = worth + (grand - empty - worth.sum()) / plan.clients
    coalitions = np.stack([plan.coalitions(leaf) for leaf in leaves])
    claimed = np.rint(empty + coalitions @ even).astype(np.int64)
    clipped: Ints = np.clip(claimed, 0, plan.evaluation_size)
    return plan.fill_implied(leaves, clipped, grand, empty)


def worth_of(plan: SamplingPlan, shapley_nano: Sequence[int]) -> Floats:
    """A vector in nano-utility as right answers."""
    return np.array(shapley_nano, dtype=np.float64) * plan.evaluation_size / NANO


def estimate(plan: SamplingPlan, utilities: Ints, grand: int, empty: int) -> Floats:
    """What a few honest leaves 0 to N - 1 say each client is worth, in right answers."""
    count = len(utilities)
    even: Floats = np.full(plan.clients, (grand - empty) / plan.clients)
    if not count:
        return even
    if plan.fixed_samples is not None:
        # Blocks of EXACT are no samples; what single clients add is the best that is in them.
        return _singles(plan, utilities, empty, even)
    vectors = plan.contributions(range(count), utilities, grand, empty)
    mean: Floats = vectors.sum(axis=0) / plan.denominator(count)
    return mean


def _singles(plan: SamplingPlan, utilities: Ints, empty: int, even: Floats) -> Floats:
    worth: Floats = even.copy()
    for leaf, row in enumerate(utilities):
        members = plan.coalitions(leaf)
        for place in np.flatnonzero(members.sum(axis=1) == 1):
            worth[int(np.argmax(members[place]))] = row[place] - empty
    return worth


def hide(plan: SamplingPlan, tree: EvidenceTree, share: float, client: int) -> EvidenceTree:
    """The tree with a wrong sum for one subtree of about ``share`` of the leaves.

    That node claims as much for ``client`` as the checks let it, taken evenly from the others; the
    leaves below it stay what they are. So long as none of them is challenged, only the node itself
    is ever shown. With a subtree of one leaf or less there is nothing to hide behind.
    """
    samples = tree.samples
    depth = max(0, min(len(level_widths(samples)) - 2, int(np.log2(max(1.0, share * samples)))))
    levels = list(tree.tree.levels)
    first, count = leaf_spans(depth, np.array([0]), samples)
    low, high = plan.sum_bounds(first, count, tree.grand, tree.empty)
    total = int(plan.efficiency_sums(first, count, tree.grand, tree.empty)[0])
    levels[depth] = TreeLevel(
        levels[depth].hashes,
        np.concatenate([_skewed(low[0], high[0], total, client)[None], levels[depth].sums[1:]]),
    )
    for upper in range(depth + 1, len(levels)):
        levels[upper] = levels[upper - 1].parents(upper - 1, samples)
    return EvidenceTree(tree.utilities, SumTree(tuple(levels)), tree.grand, tree.empty)


def _skewed(low: Ints, high: Ints, total: int, client: int) -> Ints:
    """A vector in range that adds up to ``total``, with as much for ``client`` as there can be."""
    vector = np.zeros(len(low), dtype=np.int64)
    others = [k for k in range(len(low)) if k != client]
    if not others:
        vector[client] = total
        return vector
    most = min(int(high[client]), total - sum(int(low[k]) for k in others))
    vector[client] = most
    left = total - most
    for place, k in enumerate(others):
        part = left // (len(others) - place)
        vector[k] = max(int(low[k]), min(int(high[k]), part))
        left -= int(vector[k])
    return vector


def best_count(
    plan: SamplingPlan, utilities: Ints, grand: int, empty: int, client: int, least: int
) -> int:
    """The number of leaves, from ``least`` on, with which ``client`` is worth the most."""
    count = len(utilities)
    if plan.fixed_samples is not None or count <= least:
        return count
    vectors = plan.contributions(range(count), utilities, grand, empty)[:, client]
    means = np.cumsum(vectors) / np.arange(1, count + 1)
    return least + int(np.argmax(means[least - 1 :]))
