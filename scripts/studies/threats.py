"""Run every test that carries out an attack, and write what each attack gets into docs/THREATS.md.

    make threats
    python -m scripts.studies.threats --processes 2

A test of an attack is marked with `attack`, and reports through the fixture `report_attack` what
the attacker got before the defence, and what it got in this run. The command ends with status 1 if
a test fails: then the page is left as it is.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from scripts.studies.security.document_tables import replace_tables
from scripts.studies.security.markdown_table import render_table

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "THREATS.md"
"""The page with the table."""

TABLE = "attacks"
"""The name of the table in the page."""

_PROPERTIES = ("attack", "before", "now")


@dataclass(frozen=True, slots=True)
class AttackResult:
    """What one attack got."""

    attack: str
    # What the attacker got in protocol 1.
    before: str
    # What it got in this run.
    now: str
    # The file of the test.
    test: str


def read_results(report: Path) -> list[AttackResult]:
    """Read the attacks from a report of pytest.

    Args:
        report: A file in the JUnit format.

    Returns:
        The attacks in the order of their names, each once, without those of skipped tests.

    Raises:
        ValueError: A test of an attack reported nothing.
    """
    found = set()
    for case in ElementTree.parse(report).iter("testcase"):
        if case.find("skipped") is not None:
            continue  # The machine lacks what the test needs.
        properties = [(p.get("name"), p.get("value") or "") for p in case.iter("property")]
        groups = [value for name, value in properties if name in _PROPERTIES]
        if not groups:
            raise ValueError(f"{case.get('classname')}.{case.get('name')} reported no attack")
        test = f"{(case.get('classname') or '').replace('.', '/')}.py"
        for attack, before, now in zip(groups[::3], groups[1::3], groups[2::3], strict=True):
            found.add(AttackResult(attack, before, now, test))
    return sorted(found, key=lambda result: (result.attack, result.now))


def render(results: Sequence[AttackResult]) -> str:
    """Write the table of attacks.

    Args:
        results: What each attack got.

    Returns:
        The table in Markdown.
    """
    rows = [(found.attack, found.before, found.now, f"`{found.test}`") for found in results]
    return render_table(("attack", "before", "now", "test"), rows)


def run_tests(report: Path, processes: int) -> int:
    """Run the tests of all attacks.

    Args:
        report: The file to which pytest writes its report.
        processes: How many processes run tests.

    Returns:
        The status of pytest: 0 if all tests passed.
    """
    command = [sys.executable, "-m", "pytest", "-m", "attack", "-q", "--timeout", "1800"]
    command += [f"--numprocesses={processes}", "--dist=loadfile"]
    # The later family has no properties.
    command += ["-o", "junit_family=xunit1", f"--junitxml={report}", str(ROOT / "tests")]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main() -> int:
    """Run the tests and write the table; with `--report`, only print a table.

    Returns:
        The status of pytest: 0 if all tests passed.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--processes", type=int, default=1, help="processes that run tests")
    parser.add_argument("--report", type=Path, help="print the table of this report of pytest")
    arguments = parser.parse_args()
    if arguments.report is not None:
        print(render(read_results(arguments.report)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        status = run_tests(report, arguments.processes)
        if status:
            return status
        table = render(read_results(report))
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replace_tables(page, {TABLE: table}), encoding="utf-8")
    print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
