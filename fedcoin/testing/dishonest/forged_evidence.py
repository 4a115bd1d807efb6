"""Invent utilities and sums that pass every check of evidence except recomputing them.

Notation: n clients; N leaves with m coalitions each; `grand` and `empty` are the right answers of
the grand and of the empty coalition.
"""

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


def forge_utilities(
    plan: SamplingPlan, leaves: Sequence[int], values: Floats, grand: int, empty: int
) -> Ints:
    """Invent utilities that equal the sum of a coalition's members' values.

    The difference between the values' sum and `grand - empty` is spread evenly over the clients,
    so that every walk ends at the grand coalition's utility. The utilities are rounded, and clipped
    to the size of the evaluation set.

    Args:
        plan: The miner's plan.
        leaves: The leaves to invent, by index.
        values: The value that each client is to get, float64 (n,), in right answers.
        grand: Right answers of the grand coalition.
        empty: Right answers of the empty coalition.

    Returns:
        Right answers of each leaf's m coalitions (`plan.leaf_length`), int64 (N, m).
    """
    shifted: Floats = values + (grand - empty - values.sum()) / plan.clients
    coalitions = np.stack([plan.coalitions(leaf) for leaf in leaves])
    utilities = np.rint(empty + coalitions @ shifted).astype(np.int64)
    clipped: Ints = np.clip(utilities, 0, plan.evaluation_size)
    return plan.fill_implied(leaves, clipped, grand, empty)


def nano_to_answers(plan: SamplingPlan, shapley_nano: Sequence[int]) -> Floats:
    """Convert Shapley values from nano-utility to right answers.

    Args:
        plan: A plan, whose evaluation set has a known size.
        shapley_nano: Values in nano-utility, n of them.

    Returns:
        The values in right answers, float64 (n,).
    """
    return np.array(shapley_nano, dtype=np.float64) * plan.evaluation_size / NANO


def estimate_values(plan: SamplingPlan, utilities: Ints, grand: int, empty: int) -> Floats:
    """Estimate the Shapley value of each client from a few computed leaves.

    Args:
        plan: The miner's plan.
        utilities: Right answers of leaves 0 to N - 1, int64 (N, m), m the number of a leaf's
            coalitions (`plan.leaf_length`); N may be 0.
        grand: Right answers of the grand coalition.
        empty: Right answers of the empty coalition.

    Returns:
        Values in right answers, float64 (n,): the mean contributions of sampled walks; under EXACT
        those of single clients where computed, and an even share elsewhere.
    """
    count = len(utilities)
    even: Floats = np.full(plan.clients, (grand - empty) / plan.clients)
    if not count:
        return even
    if plan.fixed_samples is not None:
        # A leaf of EXACT is not a sample of the values, but some hold coalitions of one client.
        return _values_of_single_clients(plan, utilities, empty, even)
    vectors = plan.contributions(range(count), utilities, grand, empty)
    mean: Floats = vectors.sum(axis=0) / plan.denominator(count)
    return mean


def _values_of_single_clients(
    plan: SamplingPlan, utilities: Ints, empty: int, default: Floats
) -> Floats:
    values: Floats = default.copy()
    for leaf, row in enumerate(utilities):
        members = plan.coalitions(leaf)
        for index in np.flatnonzero(members.sum(axis=1) == 1):
            values[int(np.argmax(members[index]))] = row[index] - empty
    return values


def forge_subtree_sum(
    plan: SamplingPlan, tree: EvidenceTree, share: float, client: int
) -> EvidenceTree:
    """Replace the sum of the tree's first subtree by one that favours a client.

    The forged sum gives the client as much as the checks allow, taken evenly from the others. All
    leaves stay honest. The forgery is visible only if a leaf below the subtree is challenged: else
    the subtree's node is shown, but none of its children.

    Args:
        plan: The miner's plan.
        tree: Honest evidence.
        share: About how many of the leaves the subtree covers, from 0 to 1.
        client: The favoured client's index.

    Returns:
        The forged tree; with a subtree of one leaf the forgery is always visible.
    """
    samples = tree.samples
    depth = max(0, min(len(level_widths(samples)) - 2, int(np.log2(max(1.0, share * samples)))))
    levels = list(tree.tree.levels)
    first, count = leaf_spans(depth, np.array([0]), samples)
    low, high = plan.sum_bounds(first, count, tree.grand, tree.empty)
    total = int(plan.efficiency_sums(first, count, tree.grand, tree.empty)[0])
    forged = _skewed_sum(low[0], high[0], total, client)
    levels[depth] = TreeLevel(
        levels[depth].hashes, np.concatenate([forged[None], levels[depth].sums[1:]])
    )
    for upper in range(depth + 1, len(levels)):
        levels[upper] = levels[upper - 1].parents(upper - 1, samples)
    return EvidenceTree(tree.utilities, SumTree(tuple(levels)), tree.grand, tree.empty)


def _skewed_sum(low: Ints, high: Ints, total: int, client: int) -> Ints:
    """Return a vector (n,) within bounds with a total, and as much as possible for a client."""
    vector = np.zeros(len(low), dtype=np.int64)
    others = [k for k in range(len(low)) if k != client]
    if not others:
        vector[client] = total
        return vector
    vector[client] = min(int(high[client]), total - sum(int(low[k]) for k in others))
    left = total - int(vector[client])
    for index, k in enumerate(others):
        part = left // (len(others) - index)
        vector[k] = max(int(low[k]), min(int(high[k]), part))
        left -= int(vector[k])
    return vector


def choose_favourable_count(
    plan: SamplingPlan, utilities: Ints, grand: int, empty: int, client: int, min_count: int
) -> int:
    """Choose the number of leaves whose mean favours a client most.

    Args:
        plan: The miner's plan.
        utilities: Right answers of leaves 0 to N - 1, int64 (N, m), m the number of a leaf's
            coalitions.
        grand: Right answers of the grand coalition.
        empty: Right answers of the empty coalition.
        client: The favoured client's index.
        min_count: The smallest number that may be chosen.

    Returns:
        A number from `min_count` to N; N under EXACT, or if N is below `min_count`.
    """
    count = len(utilities)
    if plan.fixed_samples is not None or count <= min_count:
        return count
    vectors = plan.contributions(range(count), utilities, grand, empty)[:, client]
    means = np.cumsum(vectors) / np.arange(1, count + 1)
    return min_count + int(np.argmax(means[min_count - 1 :]))
