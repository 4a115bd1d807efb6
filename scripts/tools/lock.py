"""Write requirements.lock and requirements-dev.lock: exact versions for Python 3.10 to 3.13.

The markers in the locks choose by Python version and platform.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADER = "# Made by `make lock` from setup.py; do not edit.\n"


def compile_lock(name: str, *extras: str) -> None:
    """One lock for the dependencies and these extras."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += ["--upgrade", "--no-header", "--no-annotate", "--python-version", "3.10"]
    command += [f"--extra={extra}" for extra in extras]
    made = subprocess.run(
        [*command, "setup.py"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    (ROOT / name).write_text(HEADER + made.stdout)
    print(f"{name}: {made.stdout.count('==')} packages")


if __name__ == "__main__":
    compile_lock("requirements.lock")
    compile_lock("requirements-dev.lock", "test", "dev")
