"""Strategies of dishonest miners: the samples that each one computes, claims and reveals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.incentive.proof.stopping import MIN_SAMPLES
from fedcoin.testing.dishonest import forged_evidence
from fedcoin.testing.dishonest.forged_evidence import Floats

FORGED_SHARE = 0.1
"""The share of its leaves that a partial forger forges, and that a hidden subtree covers."""

INVENTED_SAMPLES = 200
"""Samples claimed by a miner that computed none: about as many as an honest miner has."""

FEW_SAMPLES = 8
"""Samples computed by a miner that claims more than it computed."""

FAVOURED_CLIENT = 0
"""The index of the client whose value dishonest miners raise."""


@dataclass(frozen=True, slots=True)
class ComputedSamples:
    """The samples that a dishonest miner did compute, and its data from the chain."""

    # The miner's plan of the task.
    plan: SamplingPlan
    # Right answers of leaves 0 to k - 1, int64 (k, m), m the number of a leaf's coalitions.
    utilities: Ints
    # Right answers of the grand and of the empty coalition.
    grand: int
    empty: int
    # S-bar of the last settled task with this number of clients, in nano-utility; empty when there
    # is none.
    last_settled_nano: tuple[int, ...] = ()

    def tree(self, utilities: Ints) -> EvidenceTree:
        """Build evidence.

        Args:
            utilities: The claimed right answers of leaves 0 to N - 1, int64 (N, m), m
                the number of a leaf's coalitions.

        Returns:
            The evidence over these leaves.
        """
        return build_evidence_tree(self.plan, utilities, self.grand, self.empty)

    def forge(self, leaves: Sequence[int], values: Floats) -> Ints:
        """Invent the utilities of leaves.

        Args:
            leaves: The leaves, by index.
            values: The value to claim for each client, float64 (n,), in right answers.

        Returns:
            Right answers, int64 (len(leaves), m), m the number of a leaf's coalitions.
        """
        return forged_evidence.forge_utilities(self.plan, leaves, values, self.grand, self.empty)


def _compute_all(plan: SamplingPlan, enough: int) -> int:
    return enough


def _compute_none(plan: SamplingPlan, enough: int) -> int:
    return 0


def _compute_few(plan: SamplingPlan, enough: int) -> int:
    return min(FEW_SAMPLES, enough)


def _compute_twice(plan: SamplingPlan, enough: int) -> int:
    return min(plan.sample_limit, 2 * enough)


def _claim_honestly(computed: ComputedSamples) -> EvidenceTree:
    return computed.tree(computed.utilities)


@dataclass(frozen=True, slots=True)
class MiningStrategy:
    """The behaviour of a miner in a task."""

    # The strategy's name, as `devnet --adversary` takes it.
    kind: str
    # Returns the number of samples that the miner computes. Arguments: the plan, and the number at
    # which an honest miner would stop.
    effort: Callable[[SamplingPlan, int], int] = _compute_all
    # Makes the evidence that the miner commits to. Argument: the samples that it computed.
    claim: Callable[[ComputedSamples], EvidenceTree] = _claim_honestly
    # Whether the miner opens its commitment.
    opens: bool = True
    # Whether the miner reveals the challenged leaves.
    reveals: bool = True
    # The messages that the miner copies from a rival: "" for none, "reveal" for the reveal alone,
    # "commitment" for commitment, opening and reveal.
    copies: str = ""


def _invented_samples(plan: SamplingPlan) -> int:
    return plan.fixed_samples or min(INVENTED_SAMPLES, plan.max_samples)


def _claim_last_mean(computed: ComputedSamples) -> EvidenceTree:
    plan, last = computed.plan, computed.last_settled_nano
    is_known = len(last) == plan.clients
    values = forged_evidence.nano_to_answers(plan, last) if is_known else np.zeros(plan.clients)
    return computed.tree(computed.forge(range(_invented_samples(plan)), values))


def _claim_one_client(computed: ComputedSamples) -> EvidenceTree:
    plan = computed.plan
    values = np.zeros(plan.clients)
    values -= plan.evaluation_size / 4 / max(1, plan.clients - 1)
    values[FAVOURED_CLIENT] = computed.grand - computed.empty + plan.evaluation_size / 4
    return computed.tree(computed.forge(range(_invented_samples(plan)), values))


def _claim_many(computed: ComputedSamples) -> EvidenceTree:
    plan, known = computed.plan, computed.utilities
    values = forged_evidence.estimate_values(plan, known, computed.grand, computed.empty)
    rest = range(len(known), plan.sample_limit)
    if not rest:
        return computed.tree(known)
    return computed.tree(np.concatenate([known, computed.forge(rest, values)]))


def forge_fraction(
    computed: ComputedSamples, fraction: float, rng: np.random.Generator
) -> EvidenceTree:
    """Forge a random part of the leaves in favour of one client.

    Args:
        computed: All leaves, computed honestly.
        fraction: The share of the leaves to forge, from 0 to 1; at least one leaf is forged.
        rng: Chooses the leaves.

    Returns:
        The evidence that the miner commits to.
    """
    plan, utilities = computed.plan, computed.utilities.copy()
    count = len(utilities)
    forged = np.sort(rng.choice(count, size=max(1, round(fraction * count)), replace=False))
    values = forged_evidence.estimate_values(plan, utilities, computed.grand, computed.empty)
    values[FAVOURED_CLIENT] += plan.evaluation_size / 4
    utilities[forged] = computed.forge([int(leaf) for leaf in forged], values)
    return computed.tree(utilities)


def _claim_partly_forged(computed: ComputedSamples) -> EvidenceTree:
    # No choice of leaves is better than another: the challenge cannot be predicted.
    return forge_fraction(computed, FORGED_SHARE, np.random.default_rng(0))


def _claim_forged_subtree(computed: ComputedSamples) -> EvidenceTree:
    honest = _claim_honestly(computed)
    return forged_evidence.forge_subtree_sum(computed.plan, honest, FORGED_SHARE, FAVOURED_CLIENT)


def _claim_favourable_count(computed: ComputedSamples) -> EvidenceTree:
    # A vector of fewer samples than a quarter of the others' would not count; the others have at
    # most as many as this miner computed.
    min_count = max(MIN_SAMPLES, -(-len(computed.utilities) // 4))
    count = forged_evidence.choose_favourable_count(
        computed.plan,
        computed.utilities,
        computed.grand,
        computed.empty,
        FAVOURED_CLIENT,
        min_count,
    )
    return computed.tree(computed.utilities[:count])


HONEST_STRATEGY = MiningStrategy("honest")
"""Evaluates, commits and reveals as the protocol asks."""

MINING_STRATEGIES: dict[str, MiningStrategy] = {
    strategy.kind: strategy
    for strategy in (
        MiningStrategy("copier", _compute_none, _claim_last_mean, copies="commitment"),
        MiningStrategy("reveal-copier", _compute_none, _claim_last_mean, copies="reveal"),
        MiningStrategy("mean-publisher", _compute_none, _claim_last_mean),
        MiningStrategy("inflated-count", _compute_few, _claim_many),
        MiningStrategy("invented-vector", _compute_none, _claim_one_client),
        MiningStrategy("partial-forger", _compute_all, _claim_partly_forged),
        MiningStrategy("subtree-hider", _compute_all, _claim_forged_subtree),
        MiningStrategy("withholder", opens=False, reveals=False),
        MiningStrategy("late-withholder", reveals=False),
        MiningStrategy("optional-stopper", _compute_twice, _claim_favourable_count),
    )
}
"""The dishonest strategies by kind; `dishonest_miners.json` describes each."""
