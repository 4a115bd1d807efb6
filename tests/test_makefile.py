"""The Makefile refuses Pythons that cannot run FedCoin, and picks a container engine that works."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")

BASE = f"--build-arg PYTHON_IMAGE={(ROOT / 'image.lock').read_text().strip()}"
"""What the image is built on."""


def make(*arguments: str, programs: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run make in the project's folder, with the programs of a folder first on PATH."""
    # `make test` exports its own variables to nested runs of make.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name}
    if programs:
        environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def install_program(folder: Path, name: str, body: str) -> None:
    """Write an executable shell script."""
    script = folder / name
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)


def test_python_of_an_unsuitable_version_leaves_no_environment(tmp_path: Path) -> None:
    install_program(tmp_path, "python-too-old", "exit 1")
    environment = tmp_path / "venv"
    result = make(
        f"{environment}/bin/python",
        f"VENV={environment}",
        "PYTHON=python-too-old",
        programs=tmp_path,
    )
    assert result.returncode != 0
    assert "PYTHON=python-too-old is not a Python 3.10 to 3.13" in result.stderr
    assert not environment.exists()


def test_python_that_does_not_exist_leaves_no_environment(tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    result = make(f"{environment}/bin/python", f"VENV={environment}", "PYTHON=no-such-python")
    assert result.returncode != 0
    assert "PYTHON=no-such-python is not a Python 3.10 to 3.13" in result.stderr
    assert not environment.exists()


def test_docker_passes_over_an_engine_whose_daemon_is_down(tmp_path: Path) -> None:
    install_program(tmp_path, "docker", "exit 1")
    install_program(tmp_path, "podman", "echo podman got $* for $BUILDAH_FORMAT")
    result = make("docker", programs=tmp_path)
    assert result.returncode == 0, result.stderr
    # An image in the other format has no health check.
    assert f"podman got build {BASE} --tag fedcoin . for docker" in result.stdout


def test_docker_fails_when_no_engine_answers(tmp_path: Path) -> None:
    for name in ("docker", "podman", "buildah"):
        install_program(tmp_path, name, "exit 1")
    result = make("docker", programs=tmp_path)
    assert result.returncode != 0
    assert "none of docker podman buildah answers" in result.stderr


def test_docker_takes_the_engine_that_is_named(tmp_path: Path) -> None:
    install_program(tmp_path, "docker", "echo docker got $*")
    install_program(tmp_path, "buildah", "echo buildah got $*")
    result = make("docker", "ENGINE=buildah", programs=tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"buildah got bud {BASE} --tag fedcoin ." in result.stdout
