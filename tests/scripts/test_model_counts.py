"""The models of the tests are counted from their lists."""

from __future__ import annotations

import pytest

from scripts.tools.model_counts import TORCH, count_keys, count_models
from tests.support.paths import ROOT


def test_more_than_150_models_are_counted() -> None:
    kinds = count_models()
    assert sum(kind.taken for kind in kinds) >= 150
    assert sum(kind.refused for kind in kinds) >= 15
    assert all((ROOT / kind.test).is_file() for kind in kinds)


def test_a_missing_list_of_models_is_no_empty_one() -> None:
    with pytest.raises(ValueError, match="no dictionary to LINEAR"):
        count_keys(ROOT / TORCH, "LINEAR")
