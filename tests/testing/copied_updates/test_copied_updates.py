"""What copies earn on rounds that are really trained, in small."""

from __future__ import annotations

import numpy as np
import pytest

from fedcoin.learning.model.look_alikes import measure_similarities
from fedcoin.testing.copied_updates.copy_gains import CopyOutcome, make_copies, measure_copies
from fedcoin.testing.copied_updates.look_alike_costs import (
    group_by_single_linkage,
    measure_bridges,
    measure_look_alikes,
)
from fedcoin.testing.copied_updates.trained_rounds import TrainedRound
from tests.conftest import ReportAttack


@pytest.fixture(scope="module")
def outcomes() -> dict[tuple[int, float], CopyOutcome]:
    """Return outcomes by number of copies and noise."""
    rows = measure_copies("digits", "label-skew", 5, (1, 3), (0.0, 0.1, 1.0), 1)
    return {(row.copies, row.noise): row for row in rows}


@pytest.mark.attack
def test_copies_within_the_limit_do_not_raise_what_their_owner_gets(
    outcomes: dict[tuple[int, float], CopyOutcome], report_attack: ReportAttack
) -> None:
    for copies in (1, 3):
        exact, near = outcomes[copies, 0.0], outcomes[copies, 0.1]
        # To the rounding of weights.
        assert exact.together["limit 0.95"] == pytest.approx(1, abs=1e-6)
        assert exact.gains["limit 0.95"] == 0
        assert near.together["limit 0.95"] == pytest.approx(1, abs=0.02)
        assert near.owner["limit 0.95"] == pytest.approx(1 / (1 + copies), abs=0.02)
        assert exact.together["none"] > 1.1
    report_attack(
        "an owner sends 3 near copies of its update, in a campaign with a similarity limit",
        f"{outcomes[3, 0.1].together['none']:.2f} times its pay",
        f"{outcomes[3, 0.1].together['limit 0.95']:.2f} times its pay",
    )


def test_noise_beyond_the_limit_evades_it(
    outcomes: dict[tuple[int, float], CopyOutcome],
) -> None:
    """Not prevented: as far apart as this are also updates of honest clients."""
    outcome = outcomes[3, 1.0]
    assert outcome.similarity < 0.95
    assert outcome.together["limit 0.95"] == outcome.together["none"] > 1.1


def test_honest_clients_with_the_same_data_share_a_value() -> None:
    (outcome,) = measure_look_alikes("digits", "twins", 5, (0.95,), 1)
    assert outcome.highest_similarity > 0.95 > outcome.median_similarity
    # Two pairs of twins, and a client of its own.
    assert outcome.players == 3
    assert outcome.largest_loss > 0.1
    (apart,) = measure_look_alikes("digits", "label-skew", 5, (0.95,), 1)
    assert (apart.players, apart.largest_loss, apart.total_change) == (5, 0, 0)


def test_a_bridge_joins_two_clients_under_single_linkage_only() -> None:
    complete, single = measure_bridges("digits", 5, (1,), 0.95, 1)
    assert (complete.linkage, complete.joined) == ("complete", 0)
    assert (single.linkage, single.joined) == ("single", single.rounds)
    assert single.two < complete.two
    similarities = np.array([[1, 0.9, 0.97], [0.9, 1, 0.96], [0.97, 0.96, 1]])
    assert group_by_single_linkage(similarities, 0.95) == (0, 0, 0)
    assert group_by_single_linkage(similarities, 0.965) == (0, 1, 0)


@pytest.mark.parametrize(("noise", "scale"), [(0.0, 1.0), (0.5, 1.0), (0.0, 2.0)])
def test_copies_have_the_noise_that_was_asked_for(noise: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    base = {"w": rng.normal(size=(80, 50)).astype(np.float32)}
    update = {"w": base["w"] + rng.normal(size=(80, 50)).astype(np.float32)}
    made = make_copies(TrainedRound(base, (base, update)), 1, 2, noise, scale, 3)
    change = update["w"] - base["w"]
    for copy in made:
        extra = copy["w"] - base["w"] - scale * change
        assert np.linalg.norm(extra) == pytest.approx(noise * np.linalg.norm(change), abs=1e-3)
    (pair,) = measure_similarities(base, [update, made[0]])[:1, 1]
    norms = (scale**2 + noise**2) ** 0.5
    expected = 1 - ((scale - 1) ** 2 + noise**2) / (2 * norms)
    assert pair == pytest.approx(expected, abs=0.02)
    assert (made[0]["w"] != made[1]["w"]).any() == (noise > 0)
