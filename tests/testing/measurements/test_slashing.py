from __future__ import annotations

import pytest

from fedcoin.testing.measurements.slashing import measure_equivocation


@pytest.mark.parametrize(("validators", "equivocators"), [(4, 1), (7, 2)])
def test_equivocators_lose_their_bonds_and_stop_nothing(validators: int, equivocators: int) -> None:
    outcome = measure_equivocation(2, validators, equivocators)
    assert (outcome.settled, outcome.failed) == (2, 0)
    assert outcome.slashed == equivocators
    assert outcome.honest_slashed == 0
    assert outcome.burned + outcome.report_reward == outcome.bond
    assert outcome.report_reward > 0
