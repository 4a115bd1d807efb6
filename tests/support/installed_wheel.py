"""The program as a user installs it: from a wheel that is built for the test."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

BUILD_PYTHON = Path(sys.prefix) / "build-env" / "bin" / "python"
"""The environment of the Makefile that builds the package."""

SOURCES = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "fedcoin", "proto")
"""What the wheel is built from."""


def install_wheel(folder: Path) -> Path:
    """Build the package's wheel from a copy of the sources, and unpack it.

    Args:
        folder: Where to build; a new folder.

    Returns:
        The folder to import the package from. The test is skipped without the build environment.
    """
    if not BUILD_PYTHON.exists():
        pytest.skip("needs the build environment of the Makefile")
    copy, wheels, installed = folder / "source", folder / "wheels", folder / "installed"
    copy.mkdir(parents=True)
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    # The stubs are generated, as they are on a user's machine.
    shutil.rmtree(copy / "fedcoin" / "v1")
    build = [str(BUILD_PYTHON), "setup.py", "--quiet", "bdist_wheel", "--dist-dir", str(wheels)]
    done = subprocess.run(build, cwd=copy, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    return installed


def check_complete(installed: Path) -> None:
    """Check that every file of the package that is no program came with the wheel."""
    for path in (ROOT / "fedcoin").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert (installed / path.relative_to(ROOT)).exists(), path
