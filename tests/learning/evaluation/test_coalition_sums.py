from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedcoin.learning.evaluation import coalition_sums
from fedcoin.learning.evaluation.coalition_sums import IncrementalSums, MatrixProduct, SubsetTable
from tests.support.small_models import all_coalitions


def check(members: np.ndarray, rows: int, kind: Any = None) -> None:
    """A plan gives each row its sum, whatever the parts."""
    plan = coalition_sums.plan_sums(members, rows)
    assert kind is None or isinstance(plan, kind)
    for seed in range(2):  # a plan serves several blocks
        parts = np.random.default_rng(seed).integers(-9, 10, (members.shape[1], 7))
        parts = parts.astype(np.float32)
        found = np.full((len(members), 7), np.nan)
        tile = np.empty((rows, 7), np.float32)
        seen = 0
        for where, sums in plan.tiles(parts, tile):
            assert where.start == seen
            seen = where.stop
            assert len(sums) == where.stop - where.start <= rows
            places = plan.places[where]
            found[places[places >= 0]] = sums[places >= 0]
            np.testing.assert_array_equal(sums, plan.members[where].astype(np.float32) @ parts)
            sums[:] = np.nan  # whoever takes a tile may spoil it
        assert seen == len(plan.members)
        np.testing.assert_array_equal(found, members.astype(np.float32) @ parts)


def test_all_subsets_are_a_lattice() -> None:
    check(all_coalitions(10), 16, SubsetTable)
    check(all_coalitions(10)[1:], 16, SubsetTable)
    check(all_coalitions(7)[np.random.default_rng(0).permutation(128)[:100]], 16, SubsetTable)
    check(all_coalitions(3), 64, SubsetTable)


def test_prefixes_are_a_chain() -> None:
    generator = np.random.default_rng(0)
    walks = [np.tri(40, dtype=np.bool_)[:, generator.permutation(40)] for _ in range(5)]
    members = np.concatenate(walks)
    check(members, 16, IncrementalSums)
    assert coalition_sums._additions(members) < 1.2 * len(members)
    # Also backwards, which takes away.
    check(members[::-1].copy(), 16, IncrementalSums)


def test_what_has_nothing_in_common_is_a_product() -> None:
    check(np.random.default_rng(0).random((50, 60)) < 0.5, 16, MatrixProduct)


def test_a_row_that_is_asked_for_twice() -> None:
    rows = all_coalitions(4)
    check(np.concatenate([rows, rows[3:9]]), 16)


def test_chains_begin_anew_before_errors_pile_up() -> None:
    swaps = np.zeros((500, 40), np.bool_)
    swaps[:, :30] = True
    swaps[np.arange(500), 30 + np.arange(500) % 10] = True
    steps = coalition_sums._steps(swaps)
    removing = [bool(step.removed) for step in steps]
    runs = "".join("1" if step else "0" for step in removing).split("0")
    assert max(map(len, runs)) == coalition_sums.MOST_REMOVALS
    check(swaps, 16)


@settings(max_examples=60, deadline=None)
@given(
    parts=st.integers(1, 9),
    count=st.integers(0, 60),
    rows=st.integers(1, 20),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_any_rows(parts: int, count: int, rows: int, share: float, seed: int) -> None:
    check(np.random.default_rng(seed).random((count, parts)) < share, rows)


@pytest.mark.parametrize("rows", [1, 2, 3, 17])
def test_tiles_of_any_height(rows: int) -> None:
    check(all_coalitions(6), rows)
