"""The example of adapters: a PyTorch transformer's LoRA, valued through the command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytest.importorskip("torch")
pytest.importorskip("sklearn")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_wrong_labels_and_no_training_are_worth_least(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples/torch_adapters.py"), str(tmp_path / "run")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
    assert finished.returncode == 0, finished.stderr
    values = [float(text) for text in re.findall(r"client-\d +\d+ +([+-][\d.]+)", finished.stdout)]
    assert len(values) == 4
    assert max(values[2:]) < min(values[:2])
    sizes = [path.stat().st_size for path in (tmp_path / "run/clients").iterdir()]
    assert 2 * max(sizes) < (tmp_path / "run/base.pt").stat().st_size
