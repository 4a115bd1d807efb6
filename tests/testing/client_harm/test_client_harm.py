"""Campaigns of honest noisy clients and of accomplices, trained and valued by the product."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.learning.training import datasets
from fedcoin.testing.client_harm.client_behaviours import (
    ACCOMPLICES,
    CLIENTS,
    HARMFUL,
    HELPER,
    HONEST,
    list_attempts,
    make_updates,
    split_data,
)
from fedcoin.testing.client_harm.harm_campaigns import MAX_HARM_NANO, measure_harm
from fedcoin.testing.measurements.evaluated_network import Weights


@pytest.mark.parametrize("federation", [*HONEST, *ACCOMPLICES])
def test_each_federation_differs_from_equal_clients_in_one_way(federation: str) -> None:
    data = datasets.load_dataset("digits")
    parts, equal = split_data(data, federation, 3), split_data(data, "equal", 3)
    rng = np.random.default_rng(0)
    base = {
        name: rng.normal(0, 0.1, shape).astype(np.float32)
        for name, shape in {"a": (64, 8), "b": (8,), "c": (8, 10), "d": (10,)}.items()
    }
    number = ACCOMPLICES.get(federation, 1)
    updates = make_updates(federation, parts, base, 3, number)
    as_equal = make_updates("equal", equal, base, 3, number)
    differs = {k for k in range(CLIENTS) if not np.array_equal(updates[k]["a"], as_equal[k]["a"])}
    everybody = set(range(CLIENTS))
    changed = {"equal": set(), "label-skew": everybody, "few-classes": everybody}
    changed |= {name: {HARMFUL, HELPER} for name in ACCOMPLICES}
    assert differs == changed.get(federation, {CLIENTS - 1})
    if federation == "hidden-pair":
        x = np.abs(parts[0][0])
        np.testing.assert_allclose(answer(updates[HARMFUL], x), answer(base, x), atol=1e-4)
    elif federation == "silent-pair":
        answers = answer(updates[HARMFUL], np.abs(parts[0][0])).argmax(axis=1)
        assert len(set(answers)) == 1
        for k in (HARMFUL, HELPER):
            attempts = list_attempts(federation, k, base, updates[k], 3, updates[HARMFUL])
            assert len(attempts) == {HARMFUL: 9, HELPER: 20}[k]
        together = (updates[HARMFUL]["d"] + attempts[0]["d"]) / 2
        np.testing.assert_allclose(together, base["d"], atol=1e-3)
    elif federation in ("pair", "late-pair"):
        together = (updates[HARMFUL]["c"] + updates[HELPER]["c"]) / 2
        np.testing.assert_allclose(together, base["c"], atol=1e-6)


def answer(weights: Weights, x: NDArray[np.float32]) -> NDArray[np.float32]:
    hidden = np.maximum(x @ weights["a"] + weights["b"], 0)
    return np.asarray(hidden @ weights["c"] + weights["d"])


@pytest.mark.slow
def test_noise_leaves_nobody_out_and_accomplices_are_left_out() -> None:
    for federation in ("equal", "noise"):
        honest = measure_harm("digits", federation, 60, 1, in_parts=False, max_update_harm=1.0)
        assert honest.left_out == 0 <= honest.over_by_sum
        assert honest.largest_balance < honest.largest_sum
    late = measure_harm("digits", "late-pair", 20, 2, in_parts=False, max_update_harm=1.0)
    assert late.left_out == 2
    # What it was paid for real gains, the limit, and one round of at most half of the base's worth.
    assert late.helper_paid < late.earned_before + MAX_HARM_NANO / 1e9 + 0.5
    pair = measure_harm("digits", "pair", 20, 2, in_parts=False, max_update_harm=1.0)
    assert pair.left_out == 2
