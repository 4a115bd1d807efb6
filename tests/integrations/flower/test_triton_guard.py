"""A process with TensorFlow in it, as of Flower's simulation, survives PyTorch's optimizers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

for package in ("flwr", "torch", "triton"):
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed", allow_module_level=True)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TRAIN = """
import torch
torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=0.1)
print("trained")
"""


def run(program: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


def test_an_optimizer_can_be_made() -> None:
    code, said = run("import tensorflow\nimport fedcoin.integrations.flower\n" + TRAIN)
    assert code == 0, said
    assert "trained" in said


def test_without_the_guard_the_process_ends() -> None:
    """Fails when the libraries agree again: then the guard can go."""
    code, said = run("import tensorflow\n" + TRAIN)
    assert code != 0
    assert "LLVM ERROR" in said


def test_triton_stays_where_tensorflow_is_not() -> None:
    code, said = run("import fedcoin.integrations.flower\nimport triton\n" + TRAIN)
    assert code == 0, said
