"""The load benchmark's arithmetic, and its file of transfers."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.benchmarks.bench_soak import summarise
from scripts.benchmarks.node_load.load_process import read_transfers
from scripts.benchmarks.node_load.load_report import compute_ratios, format_table
from scripts.benchmarks.node_load.measurement import median_of


def test_transfers_are_read_behind_their_lengths(tmp_path: Path) -> None:
    path = tmp_path / "transfers"
    path.write_bytes(b"\0\0\0\2ab\0\0\0\0\0\0\1\0" + bytes(256))
    assert read_transfers(path) == [b"ab", b"", bytes(256)]


def test_ratios_leave_out_what_cannot_be_divided() -> None:
    this = {"a": 3.0, "b": 1.0, "c": float("nan"), "d": 1.0}
    assert compute_ratios(this, {"a": 2.0, "b": 0.0, "c": 1.0}) == {"a": 1.5}


def test_the_table_says_which_goals_are_missed() -> None:
    this = {"final_per_second": 900.0, "cpu_ms_per_transaction": 0.3, "status_p99_seconds": 0.01}
    lines = format_table(this, {"final_per_second": 300.0}).splitlines()
    assert lines[0].split() == ["final_per_second", "900.000", "300.000", "3.00"]
    assert lines[1].endswith("goal < 0.2   MISSED")
    assert lines[2].endswith("goal < 0.05")


@pytest.mark.parametrize("count", [1, 3])
def test_the_median_of_several_runs_counts(count: int) -> None:
    runs = [{"a": float(number)} for number in range(count)]
    assert median_of(runs) == {"a": (count - 1) / 2}


def test_a_soak_compares_the_memory_after_a_sixth_of_the_time_with_the_end() -> None:
    memory = [100.0] * 59 + [150.0, *[150.0] * 299, 165.0]
    load = {
        "final": 600,
        "seconds": 60.0,
        "finality": [0.1, 0.2],
        "refusals": {},
        "retries": {"BUSY": 2},
    }
    found = summarise(memory, load, {"events": 5, "gaps": 1, "lost": 2})
    assert found["memory_growth"] == pytest.approx(0.1)
    assert found["memory_mb"] == [100.0, 150.0, 150.0, 150.0, 150.0, 150.0, 165.0]
    assert found["gaps"] == 3
    assert (found["refused"], found["retried"]) == (0, 2)
