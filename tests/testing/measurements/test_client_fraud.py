"""Clients' tricks on a network that is really trained, in short; the study plays more of them."""

from __future__ import annotations

import numpy as np
import pytest

from fedcoin.testing.measurements import client_fraud
from fedcoin.testing.measurements.client_fraud import (
    CLIENTS,
    LIAR,
    OVERSTATED,
    TRICKS,
    handed_in,
    shares,
)


@pytest.fixture(scope="module")
def played() -> dict[tuple[str, str], client_fraud.FraudOutcome]:
    rows = client_fraud.play("digits", 1, ("free-rider", "clones", "overstater"))
    return {(row.trick, row.averaging): row for row in rows}


def test_a_free_rider_is_paid_nothing_where_the_denominator_is_fixed(
    played: dict[tuple[str, str], client_fraud.FraudOutcome],
) -> None:
    row = played["free-rider", "fixed"]
    assert row.tricked == (0,)
    assert min(row.fair) > 0


def test_who_comes_under_many_addresses_is_paid_more(
    played: dict[tuple[str, str], client_fraud.FraudOutcome],
) -> None:
    """Not prevented: who may join is the coordinator's choice."""
    for averaging in client_fraud.AVERAGINGS:
        row = played["clones", averaging]
        assert np.mean(row.tricked) > np.mean(row.fair)
    assert np.mean(played["overstater", "fixed"].tricked) > np.mean(row.fair)


def test_training_learns_and_is_the_same_again() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 8)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int64)
    base = {
        "a/kernel": rng.normal(size=(8, 16)).astype(np.float32) * 0.3,
        "a/bias": np.zeros(16, np.float32),
        "b/kernel": rng.normal(size=(16, 2)).astype(np.float32) * 0.3,
        "b/bias": np.zeros(2, np.float32),
    }
    first, again = (client_fraud.trained(base, (x, y), 3) for _ in range(2))
    assert all((first[name] == again[name]).all() for name in base)
    assert {name: w.dtype for name, w in first.items()} == dict.fromkeys(base, np.float32)

    def right(weights: client_fraud.Weights) -> float:
        hidden = np.maximum(x @ weights["a/kernel"] + weights["a/bias"], 0)
        return float(((hidden @ weights["b/kernel"] + weights["b/bias"]).argmax(1) == y).mean())

    assert right(first) > max(0.8, right(base))


@pytest.mark.parametrize("trick", ["honest", *TRICKS])
def test_what_each_trick_hands_in(trick: str) -> None:
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
    honest = handed_in("honest", parts, base, 7, None)
    updates = handed_in(trick, parts, base, 7, None)
    assert [update.owner for update in updates[:LIAR]] == list(range(LIAR))
    own = updates[LIAR:]
    assert {update.owner for update in own} == {LIAR}
    addresses = {"sybil-2": 2, "sybil-5": 5, "clones": 5}.get(trick, 1)
    assert len(own) == addresses
    claimed = {"clones": 100, "overstater": OVERSTATED * 20}.get(trick, 20)
    assert sum(update.samples for update in own) == claimed
    same = [np.array_equal(own[0].weights["a/kernel"], u.weights["a/kernel"]) for u in honest]
    assert same[LIAR] == (trick in ("honest", "clones", "overstater", "replayer"))
    assert (own[0].weights is base) == (trick == "free-rider")
    replayed = handed_in(trick, parts, base, 8, honest[LIAR].weights)[LIAR]
    assert (replayed.weights is honest[LIAR].weights) == (trick == "replayer")


def test_shares_are_payouts() -> None:
    """Two clients of which each is worth the same, and a third that is worth nothing."""
    members = (np.arange(8)[:, None] >> np.arange(3)) & 1
    assert shares(members[:, :2].sum(axis=1) / 10) == [0.5, 0.5, 0]
