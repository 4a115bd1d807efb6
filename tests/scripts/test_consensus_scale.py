"""The table and the plots of the simulation at scale, from results that are kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fedcoin.testing.scale_simulation.scale_run import ScaleResult, ScaleSetting
from scripts.studies import consensus_scale
from scripts.studies.consensus_scale import SETTINGS, TABLE, load_or_simulate, render_table

RESULT = ScaleResult(
    setting=ScaleSetting(16, 16, 8),
    peers=14.375,
    finality_p50=0.358,
    finality_p99=float("nan"),
    rounds=0.0,
    votes=1181.6,
    proposals=1.37,
    hints=16.3,
    statuses=6.77,
    calls=18.7,
    kilobytes=19.4,
    transfers=11,
    blocks=8,
    real_seconds=23.0,
)


def test_each_result_is_a_line_and_no_number_is_an_empty_cell() -> None:
    *_, line = render_table([RESULT]).splitlines()
    assert line.startswith("| 16 | 16 | 14 | 0.36 |  | 0 | 1,182 | 1.4 |")
    assert line.endswith("| 19 | 11 | 8 |")


def test_a_kept_result_is_not_simulated_again_unless_its_setting_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated: list[ScaleSetting] = []

    def simulate(setting: ScaleSetting) -> ScaleResult:
        simulated.append(setting)
        return replace(RESULT, setting=setting, finality_p99=0.5)

    monkeypatch.setattr(consensus_scale, "KEPT", tmp_path)
    monkeypatch.setattr(consensus_scale, "simulate_scale", simulate)
    first = load_or_simulate("16")
    assert load_or_simulate("16") == first
    assert simulated == [SETTINGS["16"]]
    other = replace(SETTINGS["16"], seed=9)
    monkeypatch.setattr(consensus_scale, "SETTINGS", {"16": other})
    assert load_or_simulate("16").setting == other
    assert len(simulated) == 2


def test_the_page_gets_the_table_and_the_plots(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{TABLE.begin}\nold\n{TABLE.end}\nafter\n")
    (tmp_path / "benchmarks").mkdir()
    small = replace(RESULT, setting=ScaleSetting(4, 4, 20), votes=6.0)
    consensus_scale.write({"4": small, "16": RESULT, "16-all": RESULT}, page)
    text = page.read_text()
    assert "old" not in text
    assert text.startswith(f"before\n{TABLE.begin}\n\n| nodes |")
    assert text.endswith(f"{TABLE.end}\nafter\n")
    drawn = {path.stem: path.read_text() for path in (tmp_path / "benchmarks").glob("*.svg")}
    assert set(drawn) == {"scale-messages", "scale-bytes", "scale-finality"}
    assert "8 peers are dialled, 16: 1,182" in drawn["scale-messages"]
