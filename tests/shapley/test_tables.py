from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from fedcoin import shapley
from fedcoin.data.errors import RefusalError
from fedcoin.shapley.errors import ShapleyCode

ESTIMATE = shapley.Estimate(np.array([0.1, -2.5]), np.array([0.01, np.inf]), 5, "permutation")


def test_a_csv_file_holds_the_same_numbers(tmp_path: Path) -> None:
    path = tmp_path / "values.csv"
    shapley.write_csv(path, ESTIMATE, ["Zoë, clinic", "B"])
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["player", "value", "std_error", "low", "high"]
    assert [row["player"] for row in rows] == ["Zoë, clinic", "B"]
    assert [float(row["value"]) for row in rows] == ESTIMATE.values.tolist()
    assert [float(row["std_error"]) for row in rows] == ESTIMATE.std_errors.tolist()
    assert float(rows[0]["low"]) == 0.1 - 1.96 * 0.01
    assert (rows[1]["low"], rows[1]["high"]) == ("-inf", "inf")


def test_players_without_names_are_numbered(tmp_path: Path) -> None:
    total = shapley.add_rounds([ESTIMATE, ESTIMATE])
    shapley.write_csv(str(tmp_path / "values.csv"), total)
    lines = (tmp_path / "values.csv").read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["0", "0.2"], ["1", "-5.0"]]


def test_wrong_numbers_of_names_are_refused_before_the_file_is_opened(tmp_path: Path) -> None:
    with pytest.raises(RefusalError) as refused:
        shapley.write_csv(tmp_path / "values.csv", ESTIMATE, ["A"])
    assert refused.value.code is ShapleyCode.BAD_NAMES
    assert not list(tmp_path.iterdir())


def test_a_data_frame_holds_the_same_numbers() -> None:
    pytest.importorskip("pandas")
    frame = shapley.to_pandas(ESTIMATE, ["A", "B"])
    assert list(frame.index) == ["A", "B"]
    assert frame["value"].tolist() == ESTIMATE.values.tolist()
    assert frame.loc["A", "high"] == 0.1 + 1.96 * 0.01


def test_without_pandas_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(RefusalError, match=r"write_csv, or pip install 'fedcoin\[pandas\]'") as no:
        shapley.to_pandas(ESTIMATE)
    assert no.value.code is ShapleyCode.NO_PANDAS
