"""Axioms of the Shapley value that the settled S-bar keeps, and payouts for any price."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcoin.consensus.posap import Outcome, Reveal, compute_outcome
from fedcoin.incentive.payout import split_training_price
from fedcoin.incentive.proof.evidence import build_evidence_tree
from fedcoin.incentive.proof.sampling_plan import SamplingPlan
from fedcoin.learning.evaluation.dense_evaluator import DenseEvaluator
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.v1 import task_pb2
from tests.conftest import ReportAttack
from tests.support.small_models import (
    all_coalitions,
    evaluation,
    mlp_spec,
    random_weights,
    read_layers,
)

SIZE = 500
EXACT = task_pb2.SCHEDULE_EXACT
PERMUTATION = task_pb2.SCHEDULE_PERMUTATION
SCHEDULES = st.sampled_from([EXACT, PERMUTATION, task_pb2.SCHEDULE_ANTITHETIC])
TABLES = st.integers(1, 5).flatmap(
    lambda n: st.lists(st.integers(0, SIZE), min_size=1 << n, max_size=1 << n)
)
MINERS = 4


def settled(table: NDArray[Any], schedule: int) -> Outcome:
    """Settle a game among honest miners; `table` (2^n,) holds coalitions' worth by bit mask."""
    n = int(np.log2(len(table)))
    grand, empty = int(table[-1]), int(table[0])
    reveals = []
    for number in range(MINERS):
        plan = SamplingPlan(
            schedule=schedule,
            clients=n,
            evaluation_size=SIZE,
            truncation=0,
            max_samples=0 if schedule == EXACT else 60,
            task_id=hashlib.sha256(b"axioms").digest(),
            public_key=hashlib.sha256(bytes([number])).digest(),
        )
        leaves = plan.fixed_samples or 20 + 10 * number
        rows = [table[plan.coalitions(leaf) @ (1 << np.arange(n))] for leaf in range(leaves)]
        tree = build_evidence_tree(plan, np.array(rows), grand, empty)
        vector = plan.shapley_nano(leaves, tree.total)
        reveals.append(Reveal(bytes([number]) * 20, 1 + number, leaves, vector))
    outcome = compute_outcome(
        reveals, 10**10, b"challenge", is_drawn=schedule == EXACT, min_samples_percent=25
    )
    assert outcome is not None
    return outcome


@settings(max_examples=60, deadline=None)
@given(TABLES, SCHEDULES)
def test_efficiency(table: list[int], schedule: int) -> None:
    mean = settled(np.array(table), schedule).mean_shapley_nano
    exact = (table[-1] - table[0]) * 10**9 / SIZE
    assert abs(sum(mean) - exact) <= 1


@settings(max_examples=60, deadline=None)
@given(TABLES, SCHEDULES)
def test_a_null_player_gets_exactly_nothing(table: list[int], schedule: int) -> None:
    """One more client that adds nothing to any coalition gets 0 under every schedule."""
    with_null = np.concatenate([table, table])
    assert settled(with_null, schedule).mean_shapley_nano[-1] == 0


@settings(max_examples=60, deadline=None)
@given(TABLES)
def test_symmetric_players_get_the_same_under_exact(
    table: list[int],
) -> None:
    n = int(np.log2(len(table)))
    masks = np.arange(1 << n)
    # Make the last two clients interchangeable: swap their bits, and use the smaller mask's worth.
    if n < 2:
        return
    a, b = (masks >> (n - 1)) & 1, (masks >> (n - 2)) & 1
    turned = masks & ~(3 << (n - 2)) | b << (n - 1) | a << (n - 2)
    even = np.array(table)[np.minimum(masks, turned)]
    mean = settled(even, EXACT).mean_shapley_nano
    # Rounding by largest remainder may give one of them one unit more.
    assert abs(mean[-1] - mean[-2]) <= 1


@settings(max_examples=60, deadline=None)
@given(TABLES, SCHEDULES, st.sampled_from([0, 1, 2, 7, 10**9 + 7, 2**62]))
def test_every_sap_is_paid_or_returned(table: list[int], schedule: int, price: int) -> None:
    mean = settled(np.array(table), schedule).mean_shapley_nano
    paid, refund = split_training_price(mean, price)
    assert sum(paid) + refund == price
    assert all(amount == 0 for amount, value in zip(paid, mean, strict=True) if value <= 0)
    assert refund == (0 if any(value > 0 for value in mean) else price)


@pytest.mark.parametrize("schedule", [EXACT, PERMUTATION])
def test_clients_that_are_all_worthless_or_all_harmful(schedule: int) -> None:
    nothing = settled(np.full(8, 100), schedule).mean_shapley_nano
    assert nothing == (0, 0, 0)
    assert split_training_price(nothing, 1_000)[1] == 1_000
    harmful = settled(np.array([90, 60, 60, 30, 60, 30, 30, 0]), schedule).mean_shapley_nano
    assert harmful == (-60_000_000,) * 3
    assert split_training_price(harmful, 1_000) == ((0, 0, 0), 1_000)


# The axioms for averaged models, as far as they apply.

RENORMALISED = task_pb2.AVERAGING_RENORMALISED
FIXED = task_pb2.AVERAGING_FIXED_DENOMINATOR
EQUAL = task_pb2.AVERAGING_EQUAL
SAMPLES = (30, 20, 20, 40, 10)
TWINS, IDLE = (1, 2), 4


def averaged(averaging: int, samples: tuple[int, ...] = SAMPLES) -> NDArray[Any]:
    """Evaluate all coalitions of five clients: two sent the same update, one sent the base."""
    spec = mlp_spec(hidden=(8,))
    layers = read_layers(spec)
    assert layers is not None
    base, *updates = (random_weights(spec, seed) for seed in range(5))
    updates[TWINS[1]] = updates[TWINS[0]]
    updates.insert(IDLE, base)
    x, y = evaluation(spec, SIZE, 1)
    here = Path()
    empty = task_pb2.EMPTY_COALITION_BASE_MODEL
    job = UtilityJob(b"", here, here, (here,) * 5, samples, here, averaging, empty)
    return DenseEvaluator(layers, base, updates, x, y, job).evaluate(all_coalitions(5))


@pytest.mark.parametrize("averaging", [RENORMALISED, FIXED, EQUAL])
def test_averaged_models_keep_efficiency_and_symmetry(averaging: int) -> None:
    table = averaged(averaging)
    mean = settled(table, EXACT).mean_shapley_nano
    assert len(set(mean)) >= 3
    assert abs(sum(mean) - (table[-1] - table[0]) * 10**9 / SIZE) <= 1
    # The order of summation may change the answer to an example near a class border.
    assert abs(mean[TWINS[0]] - mean[TWINS[1]]) <= 10**9 / SIZE


def test_a_client_that_sent_the_base_is_a_null_player_with_the_fixed_denominator() -> None:
    for averaging in (FIXED, EQUAL):
        value = settled(averaged(averaging), EXACT).mean_shapley_nano[IDLE]
        assert abs(value) <= 10**9 / SIZE
    # With renormalised averaging the base dilutes the other updates, which changes its value.
    assert abs(settled(averaged(RENORMALISED), EXACT).mean_shapley_nano[IDLE]) > 10**9 / SIZE


@pytest.mark.attack
def test_claimed_examples_change_nothing_under_equal_weights(report_attack: ReportAttack) -> None:
    """A client claims a billion examples, and one of two equal updates only one."""
    claims = (10**9, 20, 1, 40, 10)
    honest = averaged(EQUAL)
    np.testing.assert_array_equal(averaged(EQUAL, claims), honest)
    assert (averaged(FIXED, claims) != averaged(FIXED)).any()
    values = settled(honest, EXACT).mean_shapley_nano
    # Two equal updates have equal values, whatever each of them claims.
    assert abs(values[TWINS[0]] - values[TWINS[1]]) <= 10**9 / SIZE
    report_attack(
        "a client claims ten times its examples (one of five, on the digits)",
        "59 % of the pay instead of 22 %",
        "the same as without the claim",
    )
