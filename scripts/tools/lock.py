"""Write the three locks: exact versions and hashes of every package for Python 3.10 to 3.13.

* `requirements-dev.lock`: FedCoin's dependencies, and those of its tests, pages and tools.
* `requirements.lock`: FedCoin's dependencies alone, in the same versions.
* `requirements-build.lock`: the packages that build FedCoin and generate its gRPC stubs. They are
  never installed beside FedCoin: the generator is older than the runtime (see pyproject.toml).

Each lock holds for all Pythons and platforms; its markers choose among the versions. The hashes
are those of the files in the package index at the time of locking; `pip install --require-hashes`
refuses every other file.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
HEADER = "# Written by `make lock` from pyproject.toml; do not edit.\n"
"""The first lines of each lock."""

OLDEST_PYTHON = "3.10"
"""The oldest version that the locks' packages must support."""

EXTRAS = ("test", "docs", "dev")
"""The extras whose requirements are locked for development."""


def _compile_lock(name: str, requirements: list[str], constraints: str | None = None) -> None:
    """Resolve requirements to the newest versions that fit together, and write them to a lock.

    Args:
        name: File name of the lock, below the top of the project.
        requirements: Requirements in the notation of PEP 508.
        constraints: File name of a lock whose versions must be taken where it names a package.
    """
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal"]
    command += [
        "--generate-hashes",
        "--upgrade",
        "--no-header",
        "--no-annotate",
        "--python-version",
        OLDEST_PYTHON,
    ]
    if constraints:
        command += ["--constraint", constraints]
    lock = subprocess.run(
        [*command, "-"],
        cwd=ROOT,
        check=True,
        input="\n".join(requirements),
        stdout=subprocess.PIPE,
        text=True,
    )
    (ROOT / name).write_text(HEADER + lock.stdout, encoding="utf-8")
    print(f"{name}: {lock.stdout.count('==')} packages")


def main() -> None:
    """Write the locks of use, development and building from pyproject.toml."""
    metadata: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = metadata["project"]["dependencies"]
    extras = metadata["project"]["optional-dependencies"]
    development = [requirement for extra in EXTRAS for requirement in extras[extra]]
    _compile_lock("requirements-dev.lock", [*runtime, *development])
    _compile_lock("requirements.lock", runtime, constraints="requirements-dev.lock")
    _compile_lock("requirements-build.lock", metadata["build-system"]["requires"])


if __name__ == "__main__":
    main()
