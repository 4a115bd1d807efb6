"""The Keras classes that the code takes, and those that it refuses with advice."""

from __future__ import annotations

from fedcoin.learning.model.keras_classes import ADVICE, CLASSES


def test_no_class_is_taken_and_refused() -> None:
    assert not set().union(*CLASSES.values()) & set(ADVICE)
