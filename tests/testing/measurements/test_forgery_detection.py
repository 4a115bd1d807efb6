from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from fedcoin.incentive.proof.challenge import draw_challenged_leaves
from fedcoin.incentive.proof.evidence import verify_evidence
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.dishonest import forged_evidence
from fedcoin.testing.measurements import forgery_detection


@pytest.mark.parametrize("fraction", [0.02, 0.1])
def test_the_rate_is_the_formula(fraction: float) -> None:
    (point,) = forgery_detection.curve(80, (fraction,))
    error = sqrt(point.without_return * (1 - point.without_return) / point.trials)
    assert abs(point.rate - point.without_return) <= 4 * error + 1e-9


@pytest.mark.slow
def test_a_tenth_is_caught_at_99_percent() -> None:
    """Of 1,000 trials, as the hypergeometric law says: 99.2 %."""
    (point,) = forgery_detection.curve(1_000, (0.1,))
    assert point.rate >= 0.985
    assert abs(point.rate - point.formula) <= 0.01


def test_honest_evidence_always_passes() -> None:
    game = SaturatingGame(5)
    plan = forgery_detection.plan_for(game, 3, 100)
    known = forgery_detection.honest(plan, game, 100)
    tree = known.tree(known.utilities)
    for number in range(20):
        assert forgery_detection.passes(
            tree, plan, game, forgery_detection.challenge_number(plan, number)
        )


def test_what_is_hidden_passes_only_where_nobody_looks() -> None:
    game = SaturatingGame(5)
    plan = forgery_detection.plan_for(game, 0)
    known = forgery_detection.honest(plan, game)
    truth = known.tree(known.utilities)
    tree = forged_evidence.forge_subtree_sum(plan, truth, 0.1, 0)
    assert sum(tree.total) == sum(truth.total)
    assert tree.total[0] > truth.total[0]
    unseen = 0
    for number in range(100):
        challenge = forgery_detection.challenge_number(plan, number)
        due = draw_challenged_leaves(challenge, plan.public_key, tree.samples, forgery_detection.Q)
        looked = any(leaf < 32 for leaf in due)
        assert forgery_detection.passes(tree, plan, game, challenge) == (not looked)
        if not looked:
            unseen += 1
            verify_evidence(tree.prove(due), plan, challenge, forgery_detection.Q)
    assert unseen < 20


def test_a_leaning_within_the_tolerance_is_bounded() -> None:
    found = forgery_detection.tolerated_bias(5, 1_000)
    assert found.unseen == 5
    assert 0 < found.moved <= found.bound == 0.002


def test_made_up_leaves_add_up() -> None:
    game = SaturatingGame(4)
    plan = forgery_detection.plan_for(game, 1, 50)
    worth = np.array([100.0, 50.0, -20.0, 0.0])
    rows = forged_evidence.forge_utilities(plan, range(50), worth, 500, 100)
    vectors = plan.contributions(range(50), rows, 500, 100)
    assert (vectors.sum(axis=1) == 400).all()
    even = worth + (400 - worth.sum()) / 4
    assert np.allclose(vectors.mean(axis=0), even, atol=1)
