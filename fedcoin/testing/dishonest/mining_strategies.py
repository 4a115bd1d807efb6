"""What each kind of liar computes, claims and shows."""

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

FRACTION = 0.1
"""Of a partial forger's leaves, how many are made up; of a hider's tree, how much is hidden."""

CLAIMED = 200
"""Samples that somebody claims who computed none: about what an honest miner has."""

FEW = 8
"""Leaves that somebody computes who claims a great number."""

FAVOURITE = 0
"""The client for whom they lie."""


@dataclass(frozen=True, slots=True)
class ComputedSamples:
    """What a liar did compute: leaves 0 to k - 1 (k, m), and the ends; and what it has heard."""

    plan: SamplingPlan
    utilities: Ints
    grand: int
    empty: int
    heard: tuple[int, ...] = ()
    """The last S-bar that the chain settled for as many clients, in nano-utility."""

    def tree(self, utilities: Ints) -> EvidenceTree:
        """Evidence over claimed leaves."""
        return build_evidence_tree(self.plan, utilities, self.grand, self.empty)

    def made_up(self, leaves: Sequence[int], worth: Floats) -> Ints:
        """Claimed leaves for an invented vector."""
        return forged_evidence.additive(self.plan, leaves, worth, self.grand, self.empty)


def _all(plan: SamplingPlan, enough: int) -> int:
    return enough


def _none(plan: SamplingPlan, enough: int) -> int:
    return 0


def _few(plan: SamplingPlan, enough: int) -> int:
    return min(FEW, enough)


def _honest(computed: ComputedSamples) -> EvidenceTree:
    return computed.tree(computed.utilities)


@dataclass(frozen=True, slots=True)
class MiningStrategy:
    """One way to lie. ``copies`` is what it takes from a rival: nothing, commitment or reveal."""

    kind: str
    effort: Callable[[SamplingPlan, int], int] = _all
    """How many leaves it computes, where an honest miner would stop at ``enough``."""
    claim: Callable[[ComputedSamples], EvidenceTree] = _honest
    opens: bool = True
    shows: bool = True
    copies: str = ""


def _claimed(plan: SamplingPlan) -> int:
    return plan.fixed_samples or min(CLAIMED, plan.max_samples)


def _mean(computed: ComputedSamples) -> EvidenceTree:
    plan = computed.plan
    worth = (
        forged_evidence.worth_of(plan, computed.heard)
        if len(computed.heard) == plan.clients
        else np.zeros(plan.clients)
    )
    return computed.tree(computed.made_up(range(_claimed(plan)), worth))


def _invented(computed: ComputedSamples) -> EvidenceTree:
    plan = computed.plan
    worth = np.zeros(plan.clients)
    worth -= plan.evaluation_size / 4 / max(1, plan.clients - 1)
    worth[FAVOURITE] = computed.grand - computed.empty + plan.evaluation_size / 4
    return computed.tree(computed.made_up(range(_claimed(plan)), worth))


def _inflated(computed: ComputedSamples) -> EvidenceTree:
    plan, known = computed.plan, computed.utilities
    worth = forged_evidence.estimate(plan, known, computed.grand, computed.empty)
    rest = range(len(known), plan.sample_limit)
    if not rest:
        return computed.tree(known)
    return computed.tree(np.concatenate([known, computed.made_up(rest, worth)]))


def forge_fraction(
    computed: ComputedSamples, fraction: float, rng: np.random.Generator
) -> EvidenceTree:
    """Honest leaves, but for a random ``fraction`` of them, which favour one client."""
    plan, utilities = computed.plan, computed.utilities.copy()
    count = len(utilities)
    forged = np.sort(rng.choice(count, size=max(1, round(fraction * count)), replace=False))
    worth = forged_evidence.estimate(plan, utilities, computed.grand, computed.empty)
    worth[FAVOURITE] += plan.evaluation_size / 4
    utilities[forged] = computed.made_up([int(leaf) for leaf in forged], worth)
    return computed.tree(utilities)


def _partial(computed: ComputedSamples) -> EvidenceTree:
    # Which tenth is nobody's to foresee, since the challenge is not: any will do.
    return forge_fraction(computed, FRACTION, np.random.default_rng(0))


def _hidden(computed: ComputedSamples) -> EvidenceTree:
    return forged_evidence.hide(computed.plan, _honest(computed), FRACTION, FAVOURITE)


def _twice(plan: SamplingPlan, enough: int) -> int:
    return min(plan.sample_limit, 2 * enough)


def _stopped(computed: ComputedSamples) -> EvidenceTree:
    # Below a quarter of what others have it would not count; they have no more than it computed.
    least = max(MIN_SAMPLES, -(-len(computed.utilities) // 4))
    count = forged_evidence.best_count(
        computed.plan,
        computed.utilities,
        computed.grand,
        computed.empty,
        FAVOURITE,
        least,
    )
    return computed.tree(computed.utilities[:count])


HONEST_STRATEGY = MiningStrategy("honest")

MINING_STRATEGIES: dict[str, MiningStrategy] = {
    strategy.kind: strategy
    for strategy in (
        MiningStrategy("copier", _none, _mean, copies="commitment"),
        MiningStrategy("reveal-copier", _none, _mean, copies="reveal"),
        MiningStrategy("mean-publisher", _none, _mean),
        MiningStrategy("inflated-count", _few, _inflated),
        MiningStrategy("invented-vector", _none, _invented),
        MiningStrategy("partial-forger", _all, _partial),
        MiningStrategy("subtree-hider", _all, _hidden),
        MiningStrategy("withholder", opens=False, shows=False),
        MiningStrategy("late-withholder", shows=False),
        MiningStrategy("optional-stopper", _twice, _stopped),
    )
}
"""By kind; the kinds are those of ``kinds``."""
