"""docs/MODELS.md lists the Keras classes that the code takes and refuses."""

from __future__ import annotations

import sys
from subprocess import run

from fedcoin.learning.model.keras_classes import ADVICE, CLASSES
from tests.support.paths import ROOT


def test_the_tables_are_up_to_date() -> None:
    command = [sys.executable, "scripts/tools/write_model_classes.py", "--check"]
    assert run(command, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False).returncode == 0


def test_no_class_is_taken_and_refused() -> None:
    assert not set().union(*CLASSES.values()) & set(ADVICE)
