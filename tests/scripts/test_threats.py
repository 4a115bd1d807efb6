"""The table of attacks is made from what the tests reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.studies import threats

REPORT = """<testsuites><testsuite>
<testcase classname="tests.contract.test_turns" name="test_two"><properties>
<property name="attack" value="b"/><property name="before" value="all"/>
<property name="now" value="0"/>
<property name="attack" value="a"/><property name="before" value="90 %"/>
<property name="now" value="2 %"/>
</properties></testcase>{more}
</testsuite></testsuites>"""


def print_table(report: Path) -> str:
    return threats.render(threats.read_results(report))


def test_each_attack_is_a_row_in_the_order_of_names(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(more=""))
    assert print_table(report).splitlines()[2:] == [
        "| a | 90 % | 2 % | `tests/contract/test_turns.py` |",
        "| b | all | 0 | `tests/contract/test_turns.py` |",
    ]


def test_a_test_of_an_attack_that_reports_nothing_is_an_error(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    silent = '<testcase classname="tests.contract.test_turns" name="test_silent"/>'
    report.write_text(REPORT.format(more=silent))
    with pytest.raises(ValueError, match="test_silent reported no attack"):
        print_table(report)
