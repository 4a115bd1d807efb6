"""Keras models as users write them are valued as Keras values them, or refused with advice."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.model import keras_runtime
from tests.support.keras_zoo.entries import Entry
from tests.support.keras_zoo.layers import list_layers
from tests.support.keras_zoo.valuation import value_entry
from tests.support.keras_zoo.wholes import list_wholes

ENTRIES = [*list_layers(), *list_wholes()]
QUICK = {
    "Dense", "Conv2D", "LSTM", "Normalization adapted", "RandomFlip", "compiled MLP",
    "input of uint8", "input with a batch size", "Keras 2 Functional", "one unit, sigmoid",
    "one unit, linear", "arithmetic by keras.ops",
}  # fmt: skip
"""The entries that are not slow, besides those that are refused."""


def _parameter(entry: Entry) -> object:
    is_quick = entry.name in QUICK or entry.refused
    return pytest.param(entry, marks=[] if is_quick else [pytest.mark.slow], id=entry.name)


def test_the_list_is_long_and_unambiguous() -> None:
    names = [entry.name for entry in ENTRIES]
    assert len(names) >= 150
    assert len(set(names)) == len(names)
    assert set(names) >= QUICK


@pytest.mark.timeout(600)
@pytest.mark.parametrize("entry", [_parameter(entry) for entry in ENTRIES])
def test_a_model_is_valued_as_by_keras_or_refused_with_advice(entry: Entry, tmp_path: Path) -> None:
    keras = keras_runtime.load_keras()
    if entry.refused:
        with pytest.raises(RefusalError) as caught:
            value_entry(keras, entry, tmp_path)
        assert caught.value.code.name == entry.refused
        assert entry.advice in caught.value.message
        return
    outcome = value_entry(keras, entry, tmp_path)
    assert (abs(outcome.counts - outcome.own) <= outcome.near_ties).all()
    assert len(set(outcome.own.tolist())) > 1
    assert entry.changes in "; ".join(outcome.changes)
    assert bool(outcome.changes) == bool(entry.changes)
