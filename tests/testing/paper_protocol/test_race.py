from __future__ import annotations

import numpy as np
import pytest

from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.paper_protocol.race import compute_payouts, draw_marginals, run_race


def test_marginal_contributions_and_payouts_add_up() -> None:
    game = SaturatingGame(5)
    table = game.table() / game.size
    marginals = draw_marginals(table, np.random.default_rng(1), 100)
    assert np.allclose(marginals.sum(axis=1), table[-1])
    result = run_race(table, 4, 0.05, np.random.default_rng(1))
    assert result is not None
    assert compute_payouts(result.mean, 70.0).sum() == pytest.approx(70.0)


def test_nothing_is_paid_for_values_that_are_not_positive() -> None:
    assert compute_payouts(np.array([-1.0, 0.0]), 70.0).sum() == 0
