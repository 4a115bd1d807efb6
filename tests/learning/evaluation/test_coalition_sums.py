"""Every plan of sums is exact and needs few additions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedcoin.learning.evaluation import coalition_sums
from fedcoin.learning.evaluation.coalition_sums import (
    MAX_SUBTRACTING_ROWS,
    IncrementalSums,
    MatrixProduct,
    SubsetTable,
)
from tests.support.small_models import all_coalitions

SIZE = 7


def compute(plan: Any, contributions: NDArray[Any], max_rows: int) -> NDArray[Any]:
    """Return all rows' sums in the request's order, and check each tile."""
    answers = np.full((np.count_nonzero(plan.targets >= 0), SIZE), np.nan)
    tile = np.empty((max_rows, SIZE), np.float32)
    next_row = 0
    for rows, sums in plan.tiles(contributions, tile):
        assert rows.start == next_row
        next_row = rows.stop
        assert len(sums) == rows.stop - rows.start <= max_rows
        expected = plan.membership[rows].astype(np.float32) @ contributions
        np.testing.assert_array_equal(sums, expected)
        targets = plan.targets[rows]
        answers[targets[targets >= 0]] = sums[targets >= 0]
        sums[:] = np.nan  # The caller may overwrite a tile.
    assert next_row == len(plan.membership)
    return answers


def check(membership: NDArray[Any], max_rows: int, kind: Any = None) -> None:
    """Check a plan's kind, and that its sums are exact for several batches."""
    plan = coalition_sums.plan_sums(membership, max_rows)
    assert kind is None or isinstance(plan, kind)
    for seed in range(2):
        contributions = np.random.default_rng(seed).integers(-9, 10, (membership.shape[1], SIZE))
        contributions = contributions.astype(np.float32)
        answers = compute(plan, contributions, max_rows)
        np.testing.assert_array_equal(answers, membership.astype(np.float32) @ contributions)


def random_prefixes(num_players: int, num_walks: int) -> NDArray[Any]:
    generator = np.random.default_rng(0)
    triangle = np.tri(num_players, dtype=np.bool_)
    return np.concatenate(
        [triangle[:, generator.permutation(num_players)] for _ in range(num_walks)]
    )


def test_all_subsets_take_a_table() -> None:
    check(all_coalitions(10), 16, SubsetTable)
    check(all_coalitions(10)[1:], 16, SubsetTable)
    check(all_coalitions(7)[np.random.default_rng(0).permutation(128)[:100]], 16, SubsetTable)
    check(all_coalitions(3), 64, SubsetTable)


@pytest.mark.parametrize(("begin", "end"), [(1, 1023), (5, 165), (3, 61), (100, 256), (0, 1024)])
def test_a_table_that_is_asked_for_in_part_is_computed_in_part(begin: int, end: int) -> None:
    rows = all_coalitions(10)[begin:end]
    check(rows, 16, SubsetTable)
    assert len(coalition_sums.plan_sums(rows, 16).membership) == end - begin


def test_prefixes_take_incremental_sums() -> None:
    membership = random_prefixes(40, 5)
    check(membership, 16, IncrementalSums)
    # In the opposite order, which subtracts.
    check(membership[::-1].copy(), 16, IncrementalSums)


def test_prefixes_take_about_one_addition_each(monkeypatch: pytest.MonkeyPatch) -> None:
    membership = random_prefixes(40, 5)
    plan = coalition_sums.plan_sums(membership, 16)
    num_additions = 0

    def counting(ufunc: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal num_additions
            num_additions += 1
            return ufunc(*arguments, **options)

        return call

    with monkeypatch.context() as patch:
        patch.setattr(np, "add", counting(np.add))
        patch.setattr(np, "subtract", counting(np.subtract))
        tile = np.empty((16, SIZE), np.float32)
        for _ in plan.tiles(np.ones((40, SIZE), np.float32), tile):
            pass
    assert 0 < num_additions < 1.2 * len(membership)


def test_unrelated_rows_take_a_product() -> None:
    check(np.random.default_rng(0).random((50, 60)) < 0.5, 16, MatrixProduct)


def test_a_row_that_is_asked_for_twice() -> None:
    rows = all_coalitions(4)
    check(np.concatenate([rows, rows[3:9]]), 16)


def test_sums_begin_anew_before_rounding_errors_add_up() -> None:
    """Each row swaps one of ten players for another; the first of them leaves a rounding error."""
    membership = np.zeros((500, 40), np.bool_)
    membership[:, :30] = True
    membership[np.arange(500), 30 + np.arange(500) % 9] = True
    membership[0, 30:] = False
    membership[0, 39] = True
    check(membership, 16, IncrementalSums)
    plan = IncrementalSums(membership, np.arange(500), 16, np.ones(membership.shape[1], np.bool_))
    contributions = np.ones((40, SIZE), np.float32)
    contributions[39] = 1e9  # The neighbours of this number in float32 are 64 apart.
    tile = np.empty((16, SIZE), np.float32)
    sums = np.concatenate(
        [tile_sums[:, 0].copy() for _, tile_sums in plan.tiles(contributions, tile)]
    )
    wrong = np.flatnonzero(sums[1:] != 31) + 1
    assert wrong.tolist() == list(range(1, MAX_SUBTRACTING_ROWS + 1))


@settings(max_examples=60, deadline=None)
@given(
    num_players=st.integers(1, 9),
    num_rows=st.integers(0, 60),
    max_rows=st.integers(1, 20),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_any_rows(num_players: int, num_rows: int, max_rows: int, share: float, seed: int) -> None:
    check(np.random.default_rng(seed).random((num_rows, num_players)) < share, max_rows)


@pytest.mark.parametrize("max_rows", [1, 2, 3, 17])
def test_tiles_of_any_height(max_rows: int) -> None:
    check(all_coalitions(6), max_rows)
