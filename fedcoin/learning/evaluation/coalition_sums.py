"""Plan the sums of the players' first-layer outputs over many coalitions, with few additions.

Notation, for one request of coalitions and one batch of examples:

* `m` coalitions, `p` players (the clients and, last, the base model);
* `M`, bool (m, p): the membership, true where a player's contribution belongs to a sum;
* `C`, float32 (p, size): the contributions, each player's first-layer outputs, flattened;
* `Y = M C`, float32 (m, size): the requested sums, one row for each coalition.

`Y` is computed in tiles of at most `max_rows` rows, each small enough to stay in a core's cache.
Coalitions overlap, so most rows can be computed from another row or a stored sum:

* `SubsetTable`, when a request holds most subsets of the clients. The sums over all subsets of the
  first `L` players are kept in a table, built by doubling: `T[2^b + i] = T[i] + C[b]`. A tile is
  the table plus one sum over the other players, and those sums grow by one player at a time in
  depth-first order. One addition for each row, as in the method of the four Russians (Arlazarov,
  Dinic, Kronrod, Faradzhev, 1970).
* `IncrementalSums`, when each coalition differs from the one before it by few players, as along a
  permutation: `Y[i] = Y[i-1] + (players who join) - (players who leave)`. A player whose
  contribution is large beside the others' is never subtracted: what it rounded away of theirs would
  be missing, so that a client could spoil the sums of coalitions that it is not in.
* `MatrixProduct`, for unrelated coalitions: the product `M C` by the BLAS.

A plan depends on the membership alone and serves every batch of examples.

The three constants below were chosen by hand. `scripts/benchmarks/bench_shapley.py --case
mlp-exact` (subset tables) and `--case k100` (incremental sums) show the effect of a change.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

MAX_ROW_RATIO = 1.5
"""The largest ratio of the rows of the whole tables to the rows that were requested."""

MAX_ADDITION_SHARE = 0.25
"""Incremental sums may take additions of up to this share of the players for each row; above it a
matrix product is used, whose additions are faster one by one."""

MAX_SUBTRACTING_ROWS = 64
"""After this many rows with subtractions a sum begins anew, because rounding errors add up."""


class SummationPlan(Protocol):
    """A plan that computes the sums of one request, tile after tile."""

    membership: Bools
    """Bool (rows, p): the membership of each row that the plan computes, in its own order. May hold
    rows that the request does not contain."""

    targets: Indices
    """int64 (rows,): the row of the request that each computed row answers; -1 for none."""

    def tiles(self, contributions: Floats, tile: Floats) -> Iterator[tuple[slice, Floats]]:
        """Compute the sums for one batch of examples.

        Args:
            contributions: float32 (p, size), one row for each player.
            tile: float32 (max_rows, size), work space that is overwritten for each tile.

        Yields:
            The rows of the plan that were computed, and the part of `tile` that holds their sums.
            The caller may overwrite that part.
        """
        ...


def plan_sums(membership: Bools, max_rows: int, may_subtract: Bools | None = None) -> SummationPlan:
    """Choose the plan that takes the least work for a request.

    Args:
        membership: Bool (m, p): which players each of the m sums is over.
        max_rows: How many rows a tile may have, at least 1.
        may_subtract: Bool (p,): whose contributions may be subtracted from a sum; None for all.

    Returns:
        A plan whose `targets` name each of the m rows exactly once.
    """
    table = SubsetTable.for_request(membership, max_rows)
    if table is not None:
        return table
    if may_subtract is None:
        may_subtract = np.ones(membership.shape[1], np.bool_)
    orders = [np.arange(len(membership)), np.lexsort(membership.T)]
    additions, order = min(
        ((_count_additions(membership[order], may_subtract), order) for order in orders),
        key=lambda candidate: candidate[0],
    )
    if additions > max(2.0, MAX_ADDITION_SHARE * membership.shape[1]) * len(membership):
        return MatrixProduct(membership, max_rows)
    return IncrementalSums(membership[order], order.astype(np.int64), max_rows, may_subtract)


def _count_additions(membership: Bools, may_subtract: Bools) -> int:
    """Count the additions and subtractions of incremental sums through these rows in order."""
    changes = np.count_nonzero(membership[1:] ^ membership[:-1], axis=1)
    from_zero = np.count_nonzero(membership[1:], axis=1)
    begins = (membership[:-1] & ~membership[1:] & ~may_subtract).any(axis=1)
    return int(np.where(begins, from_zero, np.minimum(changes, from_zero)).sum())


@dataclass(frozen=True, slots=True)
class _Addition:
    """Makes the partial sum at `depth` the one at `depth - 1` plus a player's contribution."""

    depth: int
    player: int


class SubsetTable:
    """A plan for requests that hold most subsets of the players; implements `SummationPlan`.

    Each tile holds the sums over all subsets of the first L players ("low"), combined with one
    subset of the others ("high"). Where a request holds a part of them, as at the ends of a batch,
    only the range from the first to the last requested row is computed.

    Args:
        num_low: L, the number of low players.
        high_subsets: Bool (k, p - L): the subset of the high players of each of k tiles.
        ranges: For each of the k tiles, the rows of the table of low subsets that it holds.
    """

    def __init__(self, num_low: int, high_subsets: Bools, ranges: Sequence[range]) -> None:
        self._num_low = num_low
        self._num_high = high_subsets.shape[1]
        self._ranges = ranges
        low_indices = np.concatenate([np.arange(rows.start, rows.stop) for rows in ranges])
        self.membership = np.hstack(
            [
                (low_indices[:, None] >> np.arange(num_low) & 1).astype(np.bool_),
                high_subsets.repeat([len(rows) for rows in ranges], axis=0),
            ]
        )
        self.targets: Indices = np.full(len(self.membership), -1, np.int64)
        self._additions = _plan_additions(high_subsets, num_low)

    @classmethod
    def for_request(cls, membership: Bools, max_rows: int) -> SubsetTable | None:
        """Build the table that contains every row of a request.

        Args:
            membership: Bool (m, p): true where a player's contribution belongs to a sum.
            max_rows: How many rows a tile may have.

        Returns:
            The plan, or None when its whole tables would have more than `MAX_ROW_RATIO` times m
            rows, or when a row is asked for twice.
        """
        num_players = membership.shape[1]
        num_low = min(num_players, max(max_rows, 1).bit_length() - 1)
        if num_low < 1 or len(membership) * MAX_ROW_RATIO < 1 << num_low:
            return None
        # Packed from the last player to the first, so that sorted neighbours agree in the last
        # players: the depth-first order of the partial sums.
        packed = np.packbits(membership[:, num_low:][:, ::-1], axis=1)
        keys = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, 1))))
        _, first_rows, high_index = np.unique(
            keys.view(f"V{keys.shape[1]}").reshape(-1), return_index=True, return_inverse=True
        )
        num_tiles, high_index = len(first_rows), high_index.reshape(-1)
        if num_tiles << num_low > MAX_ROW_RATIO * len(membership):
            return None
        low_index = membership[:, :num_low] @ (1 << np.arange(num_low))
        begins, ends = np.full(num_tiles, 1 << num_low), np.zeros(num_tiles, np.int64)
        np.minimum.at(begins, high_index, low_index)
        np.maximum.at(ends, high_index, low_index + 1)
        ranges = [range(*bounds) for bounds in zip(begins.tolist(), ends.tolist(), strict=True)]
        table = cls(num_low, membership[first_rows, num_low:], ranges)
        # The row of the plan where the table's row 0 would be.
        zeroth_rows = np.cumsum(ends - begins) - ends
        table.targets[zeroth_rows[high_index] + low_index] = np.arange(len(membership))
        # A row that is asked for twice has only one target.
        return table if np.count_nonzero(table.targets >= 0) == len(membership) else None

    def tiles(self, contributions: Floats, tile: Floats) -> Iterator[tuple[slice, Floats]]:
        """Implement `SummationPlan.tiles`: compute the sums for one batch of examples."""
        size = contributions.shape[1]
        table = np.empty((1 << self._num_low, size), np.float32)
        table[0] = 0
        for bit in range(self._num_low):
            np.add(table[: 1 << bit], contributions[bit], out=table[1 << bit : 2 << bit])
        partial_sums = np.empty((self._num_high + 1, size), np.float32)
        partial_sums[0] = 0
        row = 0
        for table_rows, additions in zip(self._ranges, self._additions, strict=True):
            depth = 0
            for addition in additions:
                depth = addition.depth
                np.add(
                    partial_sums[depth - 1],
                    contributions[addition.player],
                    out=partial_sums[depth],
                )
            sums = tile[: len(table_rows)]
            np.add(table[table_rows.start : table_rows.stop], partial_sums[depth], out=sums)
            yield slice(row, row + len(table_rows)), sums
            row += len(table_rows)


def _plan_additions(high_subsets: Bools, num_low: int) -> list[tuple[_Addition, ...]]:
    """List the additions that lead from each sorted subset's partial sums to the next one's."""
    plans: list[tuple[_Addition, ...]] = []
    previous: list[int] = []
    for row in high_subsets:
        # From the last player, in which neighbours agree longest, to the first.
        players = [int(index) + num_low for index in np.flatnonzero(row)[::-1]]
        shared = 0
        while shared < min(len(players), len(previous)) and players[shared] == previous[shared]:
            shared += 1
        # At least one addition, which tells the depth of the subset's own sum.
        shared = min(shared, max(0, len(players) - 1))
        plans.append(tuple(_Addition(d + 1, players[d]) for d in range(shared, len(players))))
        previous = players
    return plans


@dataclass(frozen=True, slots=True)
class _Update:
    """Computes a row from the one before it, or from zero, by adding and removing players."""

    from_zero: bool
    added: tuple[int, ...]
    removed: tuple[int, ...]


class IncrementalSums:
    """A plan that computes each row from the one before it.

    Implements `SummationPlan`.

    Args:
        membership: Bool (m, p), the rows in the order in which they are computed.
        targets: int64 (m,), the row of the request that each of them answers.
        max_rows: How many rows a tile may have.
        may_subtract: Bool (p,): whose contributions may be subtracted from a sum.
    """

    def __init__(
        self, membership: Bools, targets: Indices, max_rows: int, may_subtract: Bools
    ) -> None:
        self.membership = membership
        self.targets = targets
        self._max_rows = max_rows
        self._updates = _plan_updates(membership, may_subtract)

    def tiles(self, contributions: Floats, tile: Floats) -> Iterator[tuple[slice, Floats]]:
        """Implement `SummationPlan.tiles`: compute the sums for one batch of examples."""
        last_sum = np.zeros(contributions.shape[1], np.float32)
        for begin in range(0, len(self._updates), self._max_rows):
            rows = slice(begin, min(begin + self._max_rows, len(self._updates)))
            previous = last_sum
            for row, update in zip(tile, self._updates[rows], strict=False):
                _apply_update(update, previous, contributions, row)
                previous = row
            np.copyto(last_sum, previous)
            yield rows, tile[: rows.stop - rows.start]


def _plan_updates(membership: Bools, may_subtract: Bools) -> list[_Update]:
    previous = np.vstack([np.zeros_like(membership[:1]), membership[:-1]])
    sizes, changes = membership.sum(axis=1), (membership ^ previous).sum(axis=1)
    subtracts = (previous & ~membership).any(axis=1)
    from_zero = (changes >= sizes) | (previous & ~membership & ~may_subtract).any(axis=1)
    from_zero[:1] = True
    num_subtracting = 0
    for row in np.flatnonzero(subtracts | from_zero):
        num_subtracting = 0 if from_zero[row] else num_subtracting + 1
        from_zero[row] |= num_subtracting > MAX_SUBTRACTING_ROWS
    previous[from_zero] = False
    added = _indices_by_row(membership & ~previous)
    removed = _indices_by_row(previous & ~membership)
    return [_Update(*update) for update in zip(from_zero.tolist(), added, removed, strict=True)]


def _indices_by_row(selected: Bools) -> list[tuple[int, ...]]:
    """List the columns that are selected in each row."""
    ends = np.cumsum(selected.sum(axis=1)).tolist()
    columns = np.nonzero(selected)[1].tolist()
    return [tuple(columns[begin:end]) for begin, end in pairwise([0, *ends])]


def _apply_update(update: _Update, previous: Floats, contributions: Floats, row: Floats) -> None:
    """Write a sum into `row`, which may be work space with any content."""
    added = update.added
    if not update.from_zero:
        source = previous
    elif added:
        source, added = contributions[added[0]], added[1:]
    else:
        row[:] = 0
        return
    if not added and not update.removed:
        np.copyto(row, source)
    for player in added:
        np.add(source, contributions[player], out=row)
        source = row
    for player in update.removed:
        np.subtract(source, contributions[player], out=row)
        source = row


class MatrixProduct:
    """A plan for coalitions that have little in common: one product of matrices for each tile.

    A tile is a part of the sums, small enough for a core's cache.

    Implements `SummationPlan`.

    Args:
        membership: Bool (m, p): which players each sum is over.
        max_rows: How many rows a tile may have.
    """

    def __init__(self, membership: Bools, max_rows: int) -> None:
        self.membership = membership
        self.targets: Indices = np.arange(len(membership), dtype=np.int64)
        self._max_rows = max_rows

    def tiles(self, contributions: Floats, tile: Floats) -> Iterator[tuple[slice, Floats]]:
        """Implement `SummationPlan.tiles`: compute the sums for one batch of examples."""
        factors = self.membership.astype(np.float32)
        for begin in range(0, len(factors), self._max_rows):
            rows = slice(begin, min(begin + self._max_rows, len(factors)))
            sums = tile[: rows.stop - rows.start]
            np.matmul(factors[rows], contributions, out=sums)
            yield rows, sums
