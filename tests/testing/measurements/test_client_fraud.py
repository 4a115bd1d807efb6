"""Dishonest clients on a network that is really trained."""

from __future__ import annotations

import numpy as np
import pytest

from fedcoin.testing.measurements.client_fraud import (
    AVERAGINGS,
    CLIENTS,
    DISHONEST,
    FRAUDS,
    OVERSTATEMENT,
    FraudOutcome,
    compute_shares,
    measure_client_fraud,
    submit_updates,
    train,
)
from fedcoin.testing.measurements.evaluated_network import Weights


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[str, str], FraudOutcome]:
    """Return the outcomes of three frauds, by fraud and averaging."""
    rows = measure_client_fraud("digits", 1, ("free-rider", "clones", "overstater"))
    return {(row.fraud, row.averaging): row for row in rows}


def test_a_free_rider_is_paid_nothing_with_the_fixed_denominator(
    outcomes: dict[tuple[str, str], FraudOutcome],
) -> None:
    outcome = outcomes["free-rider", "fixed"]
    assert outcome.dishonest_share == (0,)
    assert min(outcome.honest_share) > 0


def test_claimed_examples_do_not_count_under_equal_averaging(
    outcomes: dict[tuple[str, str], FraudOutcome],
) -> None:
    outcome = outcomes["overstater", "equal"]
    assert outcome.dishonest_share == outcome.honest_share
    assert outcome.accuracy_change == outcome.victim_change == (0,)


def test_many_addresses_are_paid_more_than_one(
    outcomes: dict[tuple[str, str], FraudOutcome],
) -> None:
    """Not prevented: who may join is the coordinator's choice."""
    for averaging in AVERAGINGS:
        outcome = outcomes["clones", averaging]
        assert np.mean(outcome.dishonest_share) > np.mean(outcome.honest_share)
    overstated = outcomes["overstater", "fixed"]
    assert np.mean(overstated.dishonest_share) > np.mean(overstated.honest_share)


def test_training_learns_and_is_reproducible() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    base = {
        "a/kernel": rng.normal(size=(8, 16)).astype(np.float32) * 0.3,
        "a/bias": np.zeros(16, np.float32),
        "b/kernel": rng.normal(size=(16, 2)).astype(np.float32) * 0.3,
        "b/bias": np.zeros(2, np.float32),
    }
    first, second = (train(base, (x, y), 3) for _ in range(2))
    assert all((first[name] == second[name]).all() for name in base)
    assert {name: w.dtype for name, w in first.items()} == dict.fromkeys(base, np.float32)

    def accuracy(weights: Weights) -> float:
        hidden = np.maximum(x @ weights["a/kernel"] + weights["a/bias"], 0)
        return float(((hidden @ weights["b/kernel"] + weights["b/bias"]).argmax(1) == y).mean())

    assert accuracy(first) > max(0.8, accuracy(base))


@pytest.mark.parametrize("fraud", ["honest", *FRAUDS])
def test_each_fraud_submits_other_weights(fraud: str) -> None:
    rng = np.random.default_rng(1)
    parts = [
        (rng.normal(size=(20, 4)).astype(np.float32), rng.integers(0, 2, 20))
        for _ in range(CLIENTS)
    ]
    base = {
        "a/kernel": rng.normal(size=(4, 3)).astype(np.float32),
        "a/bias": np.zeros(3, np.float32),
        "b/kernel": rng.normal(size=(3, 2)).astype(np.float32),
        "b/bias": np.zeros(2, np.float32),
    }
    honest = submit_updates("honest", parts, base, 7, None)
    updates = submit_updates(fraud, parts, base, 7, None)
    assert [update.owner for update in updates[:DISHONEST]] == list(range(DISHONEST))
    own = updates[DISHONEST:]
    assert {update.owner for update in own} == {DISHONEST}
    assert len(own) == {"sybil-2": 2, "sybil-5": 5, "clones": 5}.get(fraud, 1)
    claimed = {"clones": 100, "overstater": OVERSTATEMENT * 20}.get(fraud, 20)
    assert sum(update.samples for update in own) == claimed
    kernel = own[0].weights["a/kernel"]
    is_own_training = np.array_equal(kernel, honest[DISHONEST].weights["a/kernel"])
    assert is_own_training == (fraud in ("honest", "clones", "overstater", "replayer"))
    assert (own[0].weights is base) == (fraud == "free-rider")
    later = submit_updates(fraud, parts, base, 8, honest[DISHONEST].weights)[DISHONEST]
    assert (later.weights is honest[DISHONEST].weights) == (fraud == "replayer")


def test_shares_are_payouts() -> None:
    """Two clients with equal values, and a third whose value is zero."""
    members = (np.arange(8)[:, None] >> np.arange(3)) & 1
    assert compute_shares(members[:, :2].sum(axis=1) / 10) == [0.5, 0.5, 0]
