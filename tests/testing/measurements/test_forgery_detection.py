from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import verify_evidence
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.dishonest import forged_evidence
from fedcoin.testing.measurements.forgery_detection import (
    CHALLENGED_LEAVES,
    SAMPLES,
    measure_detection,
    measure_tolerance_bias,
    passes_audit,
)
from fedcoin.testing.measurements.sampled_walks import (
    compute_samples,
    make_challenge,
    make_walk_plan,
)


@pytest.mark.parametrize("fraction", [0.02, 0.1])
def test_the_rate_is_the_formula(fraction: float) -> None:
    (rate,) = measure_detection(80, (fraction,))
    expected = rate.without_replacement
    error = sqrt(expected * (1 - expected) / rate.trials)
    assert abs(rate.rate - expected) <= 4 * error + 1e-9


@pytest.mark.slow
def test_a_tenth_is_detected_at_99_percent() -> None:
    """Of 1,000 trials, as the hypergeometric law says: 99.2 %."""
    (rate,) = measure_detection(1_000, (0.1,))
    assert rate.rate >= 0.985
    assert abs(rate.rate - rate.formula) <= 0.01


def test_honest_evidence_always_passes() -> None:
    game = SaturatingGame(5)
    plan = make_walk_plan(game, 3, 100)
    known = compute_samples(plan, game, 100)
    tree = known.tree(known.utilities)
    for number in range(20):
        assert passes_audit(tree, plan, game, make_challenge(plan, number))


def test_a_forged_subtree_passes_only_if_no_leaf_below_it_is_challenged() -> None:
    game = SaturatingGame(5)
    plan = make_walk_plan(game, 0, SAMPLES)
    known = compute_samples(plan, game, SAMPLES)
    honest = known.tree(known.utilities)
    tree = forged_evidence.forge_subtree_sum(plan, honest, 0.1, 0)
    assert sum(tree.total) == sum(honest.total)
    assert tree.total[0] > honest.total[0]
    num_undetected = 0
    for number in range(100):
        challenge = make_challenge(plan, number)
        leaves = draw_challenged_leaves(challenge, plan.public_key, tree.samples, CHALLENGED_LEAVES)
        is_challenged = any(leaf < 32 for leaf in leaves)
        assert passes_audit(tree, plan, game, challenge) == (not is_challenged)
        if not is_challenged:
            num_undetected += 1
            verify_evidence(tree.prove(leaves), plan, challenge, CHALLENGED_LEAVES)
    assert num_undetected < 20


def test_a_bias_within_the_tolerance_is_bounded() -> None:
    bias = measure_tolerance_bias(5, 1_000)
    assert bias.num_undetected == 5
    assert 0 < bias.moved <= bias.bound == 0.002


def test_forged_leaves_add_up() -> None:
    game = SaturatingGame(4)
    plan = make_walk_plan(game, 1, 50)
    values = np.array([100.0, 50.0, -20.0, 0.0])
    rows = forged_evidence.forge_utilities(plan, range(50), values, 500, 100)
    vectors = plan.contributions(range(50), rows, 500, 100)
    assert (vectors.sum(axis=1) == 400).all()
    shifted = values + (400 - values.sum()) / 4
    assert np.allclose(vectors.mean(axis=0), shifted, atol=1)
