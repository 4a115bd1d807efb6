"""Measure how often forged leaves are detected, and what goes undetected.

Each trial derives a challenge and asks whether the ledger and the voters would accept the evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.incentive.proof.audit import compare_counts, compute_tolerance, list_claims
from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import EvidenceTree, build_evidence_tree, verify_evidence
from fedcoin.incentive.proof.layouts import Ints
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.dishonest import forged_evidence
from fedcoin.testing.dishonest.mining_strategies import forge_fraction
from fedcoin.testing.measurements.sampled_walks import (
    compute_samples,
    make_challenge,
    make_walk_plan,
)

CHALLENGED_LEAVES = 44
"""q, the default of the parameter `challenge_leaves`."""

SAMPLES = 500
"""N, how many leaves each miner claims."""

FRACTIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""The tried fractions of forged leaves."""

CHALLENGES_PER_TREE = 40
"""How many challenges each forged tree is tried against."""

TOLERANCE_PER_TEN_THOUSAND = 2
"""The default of the parameter `utility_tolerance`."""


@dataclass(frozen=True)
class DetectionRate:
    """The detection rate of miners that forged a fraction f of their leaves."""

    # The fraction f, from 0 to 1.
    fraction: float
    # The number of miners that were simulated, and of those that were detected.
    trials: int
    num_detected: int
    # The expected rate 1 - (1 - f)^q, for q challenged leaves drawn with replacement.
    formula: float
    # The expected rate for leaves drawn without replacement, as the protocol draws them.
    without_replacement: float

    @property
    def rate(self) -> float:
        """The share of the trials in which the forgery was detected."""
        return self.num_detected / self.trials


@dataclass(frozen=True)
class UndetectedBias:
    """The bias that undetected forgers gave a client's value, as shares of the evaluation set."""

    # What was forged.
    how: str
    # The numbers of all trials, and of those in which no check found the forgery.
    trials: int
    num_undetected: int
    # The mean increase of the client's value in the undetected trials; 0 without such trials.
    moved: float
    # The largest possible increase.
    bound: float


def passes_audit(
    tree: EvidenceTree, plan: SamplingPlan, game: SaturatingGame, challenge: bytes
) -> bool:
    """Tell whether a reveal would be accepted by the ledger and by voters.

    Args:
        tree: The evidence that the miner committed to.
        plan: The miner's plan.
        game: Recomputes coalitions.
        challenge: The task's challenge, 32 bytes.

    Returns:
        True if no check fails.
    """
    leaves = draw_challenged_leaves(challenge, plan.public_key, tree.samples, CHALLENGED_LEAVES)
    evidence = tree.prove(leaves)
    try:
        verify_evidence(evidence, plan, challenge, CHALLENGED_LEAVES)
        claims = list_claims(evidence, plan)
        tolerance = compute_tolerance(game.size, TOLERANCE_PER_TEN_THOUSAND)
        compare_counts(claims, game(claims.coalitions), tolerance)
    except RefusalError:
        return False
    return True


def measure_detection(trials: int, fractions: Sequence[float] = FRACTIONS) -> list[DetectionRate]:
    """Measure how often partly forged leaves are detected.

    Args:
        trials: How many challenges to try for each fraction.
        fractions: The shares of leaves that are forged.

    Returns:
        One rate for each fraction.
    """
    game = SaturatingGame(5)
    rates = []
    for fraction in fractions:
        num_detected = 0
        for number in range(-(-trials // CHALLENGES_PER_TREE)):
            plan = make_walk_plan(game, number, SAMPLES)
            rng = np.random.default_rng(number)
            tree = forge_fraction(compute_samples(plan, game, SAMPLES), fraction, rng)
            first = number * CHALLENGES_PER_TREE
            for trial in range(first, min(first + CHALLENGES_PER_TREE, trials)):
                num_detected += not passes_audit(tree, plan, game, make_challenge(plan, trial))
        forged = max(1, round(fraction * SAMPLES))
        missed = comb(SAMPLES - forged, CHALLENGED_LEAVES) / comb(SAMPLES, CHALLENGED_LEAVES)
        formula = 1 - (1 - fraction) ** CHALLENGED_LEAVES
        rates.append(DetectionRate(fraction, trials, num_detected, formula, 1 - missed))
    return rates


def measure_subtree_bias(trials: int, fraction: float) -> UndetectedBias:
    """Measure what a forged subtree sum gives the favoured client while it goes undetected.

    Args:
        trials: How many challenges to try.
        fraction: The share of the leaves below the subtree.

    Returns:
        How often the forgery went undetected, and by how much it then raised the value.
    """
    game = SaturatingGame(5)
    plan = make_walk_plan(game, 0, SAMPLES)
    known = compute_samples(plan, game, SAMPLES)
    honest = known.tree(known.utilities)
    forged = forged_evidence.forge_subtree_sum(plan, honest, fraction, 0)
    leaves = 1 << int(np.log2(fraction * SAMPLES))
    num_undetected = _count_undetected(forged, plan, game, trials)
    return UndetectedBias(
        how=f"forged sum of a subtree of {leaves} of {SAMPLES} leaves",
        trials=trials,
        num_undetected=num_undetected,
        moved=_moved(forged, honest, plan, game) if num_undetected else 0.0,
        bound=leaves * plan.max_leaf_weight_nano(SAMPLES) / 1e9,
    )


def measure_tolerance_bias(trials: int, size: int) -> UndetectedBias:
    """Measure what utilities that are wrong by the tolerance give the favoured client.

    Args:
        trials: How many challenges to try.
        size: The number of examples in the evaluation set.

    Returns:
        How often the forgery went undetected, and by how much it then raised the value.
    """
    game = SaturatingGame(5, size=size)
    plan = make_walk_plan(game, 0, SAMPLES)
    known = compute_samples(plan, game, SAMPLES)
    tolerance = compute_tolerance(size, TOLERANCE_PER_TEN_THOUSAND)
    has_client = np.stack([plan.coalitions(leaf)[:, 0] for leaf in range(SAMPLES)])
    shifts = np.where(has_client, tolerance, -tolerance)
    shifted: Ints = np.clip(known.utilities + shifts, 0, size)
    honest = known.tree(known.utilities)
    biased = build_evidence_tree(plan, shifted, known.grand, known.empty)
    num_undetected = _count_undetected(biased, plan, game, trials)
    return UndetectedBias(
        how=f"every count wrong by the tolerance, {tolerance} of {size}",
        trials=trials,
        num_undetected=num_undetected,
        moved=_moved(biased, honest, plan, game) if num_undetected else 0.0,
        bound=2 * tolerance / size,
    )


def _count_undetected(
    tree: EvidenceTree, plan: SamplingPlan, game: SaturatingGame, trials: int
) -> int:
    return sum(
        passes_audit(tree, plan, game, make_challenge(plan, trial)) for trial in range(trials)
    )


def _moved(
    tree: EvidenceTree, honest: EvidenceTree, plan: SamplingPlan, game: SaturatingGame
) -> float:
    """Return by how much the first client's value differs, as a share of the evaluation set."""
    difference = abs(tree.total[0] - honest.total[0])
    return float(difference / plan.denominator(SAMPLES) / game.size)
