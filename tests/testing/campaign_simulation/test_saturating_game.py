from __future__ import annotations

import pytest

from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame


def test_the_game_is_a_function_of_the_coalition() -> None:
    table = SaturatingGame(6).table()
    assert (table == SaturatingGame(6).table()).all()
    assert SaturatingGame(6).values().sum() * 1_000 == pytest.approx(table[-1] - table[0])
