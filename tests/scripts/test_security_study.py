"""The security study's script: its list of measurements, and the tables that it writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.studies import security_study
from tests.support.paths import DOCS, ROOT

THREATS = DOCS / "THREATS.md"
TABLE = re.compile(r"<!-- study: ([a-z]+) -->\n(\|.*?)<!-- end -->", flags=re.DOTALL)
# Their numbers do not depend on `--quick`: the document holds these tables as they are.
FIXED_TABLES = ("replay", "coordinator")


def run_study(*arguments: str) -> str:
    command = [sys.executable, "-m", "scripts.studies.security_study", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout


def list_study(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    security_study.main(["--list", *arguments])
    listed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return listed


@pytest.mark.parametrize("options", [["--quick"], []])
def test_every_job_has_a_name_of_its_own_and_every_part_a_job(
    capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    listed = list_study(capsys, *options)
    names = [job["name"] for job in listed["jobs"]]
    assert len(set(names)) == len(names)
    assert {job["part"] for job in listed["jobs"]} == set(listed["parts"])


def test_every_table_has_a_mark_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    marks = [name for name, _ in TABLE.findall(THREATS.read_text(encoding="utf-8"))]
    # `make threats` writes the table of attacks.
    assert sorted(marks) == sorted([*list_study(capsys)["tables"], "attacks"])


def test_tables_are_written_between_their_marks(tmp_path: Path) -> None:
    before = THREATS.read_text(encoding="utf-8")
    emptied = TABLE.sub(r"<!-- study: \1 -->\n| EMPTIED |\n<!-- end -->", before)
    document, numbers = tmp_path / "THREATS.md", tmp_path / "study.json"
    document.write_text(emptied, encoding="utf-8")
    jobs = ("replay", "coordinator", "equivocated 4")
    options = [*(f"--job={job}" for job in jobs), "--document", str(document), "--write"]
    printed = run_study("--quick", *options, "--json", str(numbers))
    assert sorted(json.loads(numbers.read_text(encoding="utf-8"))) == sorted(jobs)
    written = dict(TABLE.findall(document.read_text(encoding="utf-8")))
    measured = {name: text for name, text in written.items() if "EMPTIED" not in text}
    assert sorted(measured) == ["coordinator", "equivocation", "replay"]
    assert all(text.strip() in printed for text in measured.values())
    in_document = dict(TABLE.findall(before))
    assert [measured[name] for name in FIXED_TABLES] == [in_document[name] for name in FIXED_TABLES]
