"""The script that runs the paper's experiment, on the smallest scale."""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.support.paths import DOCS, ROOT

BEGIN, END = "<!-- measured by paper_study.py -->", "<!-- end of the paper's measurement -->"
FIGURES = ("paper-values", "paper-accuracy", "paper-iterations")


def run_study(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scripts.studies.paper_study", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "FEDCOIN_MNIST"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
    )


def rows(text: str, first: str) -> list[list[str]]:
    """Return the cells below the heading whose first cell is given."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    body = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        body.append([cell.strip() for cell in line.strip("|").split("|")])
    return body


def test_it_needs_mnist() -> None:
    done = run_study()
    assert done.returncode == 1
    assert "FEDCOIN_MNIST" in done.stderr


def test_the_page_has_tables_and_figures() -> None:
    page = (DOCS / "BENCHMARKS.md").read_text()
    tables = page.split(BEGIN)[1].split(END)[0]
    assert [row[0] for row in rows(tables, "type")] == [f"T{kind}" for kind in range(10)]
    for name in FIGURES:
        assert f"benchmarks/{name}.svg" in page
        ElementTree.parse(DOCS / f"benchmarks/{name}.svg")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_quick_study(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"Before.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n")
    arguments = ["--quick", "--folder", str(tmp_path), "--write", "--document", str(page)]
    done = run_study(*arguments)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert text.startswith("Before.\n")
    assert text.endswith("\nAfter.\n")
    assert "old" not in text
    types = rows(text, "type")
    assert len(types) == 10
    # All of the training price is paid, in proportion to the positive values.
    assert sum(float(row[7]) for row in types) == pytest.approx(700, abs=0.1)
    assert all((float(row[3]) > 0) == (float(row[7]) > 0) for row in types)
    # A T9 client knows one digit.
    assert float(types[9][5]) == pytest.approx(0.1, abs=0.03)
    payments = rows(text, "client")
    assert len(payments) == 7
    assert sum(float(row[5]) for row in payments) == pytest.approx(700, abs=0.1)
    assert [row[2] for row in payments if "free rider" in row[0]] == ["0.00"]
    iterations = [float(row[2].replace(",", "")) for row in rows(text, "D")]
    assert iterations == sorted(iterations)
    for name in FIGURES:
        ElementTree.parse(tmp_path / f"benchmarks/{name}.svg")
    # The networks have ended, and are read again.
    again = run_study("--quick", "--folder", str(tmp_path))
    assert "clients train" not in again.stderr
    assert again.stdout.strip() in text
