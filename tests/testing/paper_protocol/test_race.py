"""The known breaks of the printed protocol."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import fedcoin
from fedcoin.testing.campaign_simulation.saturating_game import SaturatingGame
from fedcoin.testing.measurements.strategy_outcomes import paper
from fedcoin.testing.paper_protocol.race import marginals, payouts, race

BLOCKS = 20


def test_who_publishes_the_mean_wins_every_block_without_computing() -> None:
    row = paper("mean-publisher", BLOCKS)
    assert (row.wins, row.blocks, row.evaluations) == (BLOCKS, BLOCKS, 0)


def test_who_claims_a_huge_count_takes_all_of_the_training_price() -> None:
    row = paper("inflated-count", BLOCKS)
    assert row.wins == BLOCKS
    # 70 of 100 FDC a block, of which its favourite deserved less than half.
    assert row.shifted > 35 * BLOCKS


def test_who_copies_wins_its_share_without_computing() -> None:
    row = paper("copier", 60)
    assert row.evaluations == 0
    assert row.wins > 2


def test_one_invented_vector_stops_the_race_and_with_the_default_d_everything_passes() -> None:
    assert paper("invented-vector", 1).blocks == 0
    loose = paper("invented-vector", BLOCKS, difficulty=1.5)
    assert loose.blocks == BLOCKS
    assert loose.wins > 0


def test_walks_share_out_everything() -> None:
    game = SaturatingGame(5)
    table = game.table() / game.size
    steps = marginals(table, np.random.default_rng(1), 100)
    assert np.allclose(steps.sum(axis=1), table[-1])
    block = race(table, 4, 0.05, np.random.default_rng(1))
    assert block is not None
    assert payouts(block.mean, 70.0).sum() == pytest.approx(70.0)
    assert payouts(np.array([-1.0, 0.0]), 70.0).sum() == 0


def test_the_product_imports_none_of_it() -> None:
    for path in Path(fedcoin.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.startswith(("scripts", "tests")) for name in names), path
