"""Sums of the clients' parts over many coalitions, with few additions.

A part is what one client contributes to the first layer's outputs on a block of examples; a
coalition's outputs are the sum of its members' parts. Coalitions overlap, so the sums are taken in
an order in which each is had from one that is there already. Rows of a request come in tiles, each
small enough to stay in a core's cache:

* ``Lattice``: most subsets of the clients are asked for. All sums over the first few clients are
  kept in a table; a tile is that table plus one sum over the others, which grows by one client at
  a time (depth first).
* ``Chain``: each coalition differs from the one before by few members, as along a permutation.
* ``Product``: unrelated coalitions; a matrix product.

A plan depends on the coalitions alone and serves every block.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]

EXTRA_ROWS = 1.5
"""A lattice may have this many times the rows that were asked for."""

PRODUCT_SHARE = 0.25
"""When a row takes additions of more than this share of the parts, a product is quicker."""

MOST_REMOVALS = 64
"""After this many rows with subtractions a chain begins anew, so that errors do not pile up."""


class SummationPlan(Protocol):
    """How to fill the tiles of one request."""

    members: Bools
    """(rows, parts): whose parts each row sums up; a multiple of no particular number."""

    places: Places
    """(rows,): where each row's answer goes in the request; -1 for rows nobody asked for."""

    def tiles(self, parts: Floats, tile: Floats) -> Iterator[tuple[slice, Floats]]:
        """For ``parts`` (parts, size) fill ``tile`` (most rows, size) again and again.

        Yields which rows were filled and the filled part of ``tile``, which may be overwritten.
        """
        ...


def plan_sums(members: Bools, rows: int) -> SummationPlan:
    """The quickest way found for these rows (m, parts), at most ``rows`` of them in a tile."""
    lattice = SubsetTable.of(members, rows)
    if lattice is not None:
        return lattice
    orders = [np.arange(len(members)), np.lexsort(members.T)]
    additions, order = min(
        ((_additions(members[order]), order) for order in orders), key=lambda found: found[0]
    )
    if additions > max(2.0, PRODUCT_SHARE * members.shape[1]) * len(members):
        return MatrixProduct(members, rows)
    return IncrementalSums(members[order], order.astype(np.int64), rows)


def _additions(members: Bools) -> int:
    """How many parts a chain through these rows adds and takes away."""
    changes = np.count_nonzero(members[1:] ^ members[:-1], axis=1)
    fresh = np.count_nonzero(members[1:], axis=1)
    return int(np.minimum(changes, fresh).sum())


@dataclass(frozen=True, slots=True)
class _Growth:
    """The sum at ``depth`` is the one a step above it plus a part."""

    depth: int
    part: int


class SubsetTable:
    """Whole tiles of all subsets of the first clients, for each subset of the others."""

    def __init__(self, low: int, highs: Bools) -> None:
        self._low = low
        self._high_parts = highs.shape[1]
        subsets = np.arange(1 << low)[:, None] >> np.arange(low) & 1
        self.members = np.hstack(
            [np.tile(subsets.astype(np.bool_), (len(highs), 1)), highs.repeat(1 << low, axis=0)]
        )
        self.places = np.full(len(self.members), -1, np.int64)
        self._growths = _growths(highs, low)

    @classmethod
    def of(cls, members: Bools, rows: int) -> SubsetTable | None:
        """The lattice that holds all of ``members``, unless it has many more rows."""
        parts = members.shape[1]
        low = min(parts, max(rows, 1).bit_length() - 1)
        if low < 1 or len(members) * EXTRA_ROWS < 1 << low:
            return None
        # Backwards, so that neighbours agree in their last parts and differ in the first.
        packed = np.packbits(members[:, low:][:, ::-1], axis=1)
        keys = np.ascontiguousarray(np.pad(packed, ((0, 0), (0, 1))))
        _, firsts, owners = np.unique(
            keys.view(f"V{keys.shape[1]}").reshape(-1), return_index=True, return_inverse=True
        )
        if len(firsts) << low > EXTRA_ROWS * len(members):
            return None
        lattice = cls(low, members[firsts, low:])
        numbers = members[:, :low] @ (1 << np.arange(low))
        rows_of = (owners.reshape(-1) << low) + numbers
        lattice.places[rows_of] = np.arange(len(members))
        # One that is asked for twice has one place only.
        return lattice if np.count_nonzero(lattice.places >= 0) == len(members) else None

    def tiles(self, parts: Floats, tile: Floats) -> Iterator[tuple[slice, Floats]]:
        """See ``Plan``."""
        size = parts.shape[1]
        width = 1 << self._low
        table = np.zeros((width, size), np.float32)
        for bit in range(self._low):
            np.add(table[: 1 << bit], parts[bit], out=table[1 << bit : 2 << bit])
        sums = np.zeros((self._high_parts + 1, size), np.float32)
        for number, growths in enumerate(self._growths):
            depth = 0
            for growth in growths:
                depth = growth.depth
                np.add(sums[depth - 1], parts[growth.part], out=sums[depth])
            np.add(table, sums[depth], out=tile[:width])
            yield slice(number * width, (number + 1) * width), tile[:width]


def _growths(highs: Bools, low: int) -> list[tuple[_Growth, ...]]:
    """What to add for each of the sorted ``highs`` (rows, parts), after the one before it."""
    found: list[tuple[_Growth, ...]] = []
    before: list[int] = []
    for row in highs:
        # From the last part, in which neighbours agree longest, to the first.
        parts = [int(part) + low for part in np.flatnonzero(row)[::-1]]
        same = 0
        while same < min(len(parts), len(before)) and parts[same] == before[same]:
            same += 1
        same = min(same, max(0, len(parts) - 1))  # at least one, which tells the depth
        found.append(tuple(_Growth(d + 1, parts[d]) for d in range(same, len(parts))))
        before = parts
    return found


@dataclass(frozen=True, slots=True)
class _Step:
    """A row: the one before it (or nothing) plus some parts, less some others."""

    fresh: bool
    added: tuple[int, ...]
    removed: tuple[int, ...]


class IncrementalSums:
    """Each row from the one before it."""

    def __init__(self, members: Bools, places: Places, rows: int) -> None:
        self.members = members
        self.places = places
        self._rows = rows
        self._steps = _steps(members)

    def tiles(self, parts: Floats, tile: Floats) -> Iterator[tuple[slice, Floats]]:
        """See ``Plan``."""
        carried = np.zeros(parts.shape[1], np.float32)
        for begin in range(0, len(self._steps), self._rows):
            part = slice(begin, min(begin + self._rows, len(self._steps)))
            before = carried
            for row, step in zip(tile, self._steps[part], strict=False):
                _take(step, before, parts, row)
                before = row
            np.copyto(carried, before)
            yield part, tile[: part.stop - part.start]


def _steps(members: Bools) -> list[_Step]:
    before = np.vstack([np.zeros_like(members[:1]), members[:-1]])
    sizes, changes = members.sum(axis=1), (members ^ before).sum(axis=1)
    shrinks = (before & ~members).any(axis=1)
    fresh = changes >= sizes
    fresh[:1] = True
    shrunk = 0
    for row in np.flatnonzero(shrinks | fresh):
        shrunk = 0 if fresh[row] else shrunk + 1
        fresh[row] |= shrunk > MOST_REMOVALS
    before[fresh] = False
    added, removed = _by_row(members & ~before), _by_row(before & ~members)
    return [_Step(*step) for step in zip(fresh.tolist(), added, removed, strict=True)]


def _by_row(chosen: Bools) -> list[tuple[int, ...]]:
    """The places of what is chosen in each row."""
    ends = np.cumsum(chosen.sum(axis=1)).tolist()
    places = np.nonzero(chosen)[1].tolist()
    return [tuple(places[begin:end]) for begin, end in pairwise([0, *ends])]


def _take(step: _Step, before: Floats, parts: Floats, row: Floats) -> None:
    added = step.added
    if not step.fresh:
        source = before
    elif added:
        source, added = parts[added[0]], added[1:]
    else:
        row[:] = 0
        return
    if not added and not step.removed:
        np.copyto(row, source)
    for part in added:
        np.add(source, parts[part], out=row)
        source = row
    for part in step.removed:
        np.subtract(source, parts[part], out=row)
        source = row


class MatrixProduct:
    """Any rows at all."""

    def __init__(self, members: Bools, rows: int) -> None:
        self.members = members
        self.places = np.arange(len(members))
        self._rows = rows

    def tiles(self, parts: Floats, tile: Floats) -> Iterator[tuple[slice, Floats]]:
        """See ``Plan``."""
        factors = self.members.astype(np.float32)
        for begin in range(0, len(factors), self._rows):
            part = slice(begin, min(begin + self._rows, len(factors)))
            filled = tile[: part.stop - part.start]
            np.matmul(factors[part], parts, out=filled)
            yield part, filled
