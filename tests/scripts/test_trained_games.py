"""The benchmark's tables of trained games hold what their coalitions are worth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from scripts.benchmarks import natural_clients, trained_games
from scripts.benchmarks.natural_clients import ClientShares

COPIES = natural_clients.load_digits(num_owners=2, concentration=1.0, copies=2, seed=0)


@pytest.mark.parametrize("retrain", [trained_games.retrain_ridge, trained_games.vote_of_neighbours])
def test_copies_of_one_owner_are_worth_the_same(
    retrain: Callable[[ClientShares], NDArray[np.float64]],
) -> None:
    worth = retrain(COPIES)
    assert len(worth) == 16
    # Clients 0 and 1 hold the same data, and 2 and 3.
    assert worth[0b0001] == worth[0b0010] != worth[0b0100] == worth[0b1000]
    assert worth[0b0101] == worth[0b1010] > max(worth[0b0001], worth[0b0100])
    assert worth[0] == np.mean(COPIES.y_test == 0)


def test_a_federation_improves_and_its_first_base_is_common() -> None:
    small = ClientShares(COPIES.shares[::2], COPIES.x_test, COPIES.y_test)
    tables = trained_games.federate(small, seed=1)
    assert set(tables) == {f"{kind}-{round}" for kind in ("acc", "loss") for round in (1, 3, 10)}
    assert tables["acc-1"][0] < 0.3 < tables["acc-3"][-1] < tables["acc-10"][-1]
    assert tables["loss-1"][-1] < tables["loss-10"][-1] < 0
    again = trained_games.federate(small, seed=1)
    assert all(np.array_equal(tables[name], again[name]) for name in tables)


def test_only_tables_that_are_wanted_are_made(tmp_path: Path) -> None:
    assert trained_games.make_trained_games(tmp_path, "airport*") == {}
    assert list(tmp_path.iterdir()) == []


def test_digits_are_divided_without_rest() -> None:
    parts = natural_clients.load_digits(num_owners=10, concentration=0.3, copies=1, seed=3)
    with np.load(natural_clients.DIGITS) as file:
        assert sum(len(labels) for _, labels in parts.shares) == len(file["y_train"])
