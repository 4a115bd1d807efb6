"""The families of `keras.applications` are valued as Keras values them; `-s` prints the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.learning.model import keras_runtime
from tests.support.keras_zoo.applications import list_applications
from tests.support.keras_zoo.entries import FEW, Entry
from tests.support.keras_zoo.valuation import value_entry


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("entry", list_applications(), ids=lambda entry: entry.name)
def test_all_coalitions_have_the_counts_of_keras(entry: Entry, tmp_path: Path) -> None:
    outcome = value_entry(keras_runtime.load_keras(), entry, tmp_path)
    difference = abs(outcome.counts - outcome.own)
    side = entry.input_side
    print(
        f"| {entry.name} | {side} x {side} x 3 | {len(outcome.own)} on {FEW} examples "
        f"| {difference.max()} | {outcome.near_ties.max()} |"
    )
    assert (difference <= outcome.near_ties).all()
    assert len(set(outcome.own.tolist())) > 1
    assert not outcome.changes
