"""Random graphs of Keras layers are valued as Keras values them."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.learning.model import keras_runtime
from tests.support.keras_zoo.entries import Entry
from tests.support.keras_zoo.random_graphs import COUNT, list_random_graphs
from tests.support.keras_zoo.valuation import value_entry


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("entry", list_random_graphs(COUNT), ids=lambda entry: entry.name)
def test_a_random_graph_is_valued_as_by_keras(entry: Entry, tmp_path: Path) -> None:
    outcome = value_entry(keras_runtime.load_keras(), entry, tmp_path)
    assert (abs(outcome.counts - outcome.own) <= outcome.near_ties).all()
    assert not outcome.changes
