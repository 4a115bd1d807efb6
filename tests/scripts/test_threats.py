"""The table of attacks is made from what the tests reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.studies.threats import AttackResult, read_results, render

REPORT = """<testsuites><testsuite>
<testcase classname="tests.contract.test_turns" name="test_two"><properties>
<property name="attack" value="b"/><property name="before" value="all"/>
<property name="now" value="0"/>
<property name="attack" value="a"/><property name="before" value="90 %"/>
<property name="now" value="2 %"/>
</properties></testcase>{more}
</testsuite></testsuites>"""


def test_each_attack_is_a_row_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT.format(more=""))
    results = read_results(tmp_path / "report.xml")
    file = "tests/contract/test_turns.py"
    assert results == [AttackResult("a", "90 %", "2 %", file), AttackResult("b", "all", "0", file)]
    assert render(results).splitlines()[2] == "| a | 90 % | 2 % | `tests/contract/test_turns.py` |"


def test_a_test_of_an_attack_that_reports_nothing_is_an_error(tmp_path: Path) -> None:
    silent = '<testcase classname="tests.contract.test_turns" name="test_silent"/>'
    (tmp_path / "report.xml").write_text(REPORT.format(more=silent))
    with pytest.raises(ValueError, match="test_silent reported no attack"):
        read_results(tmp_path / "report.xml")
