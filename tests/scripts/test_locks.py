"""Whatever is installed from the package index has a version and hashes in a lock."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.support.paths import ROOT

LOCKS = ("requirements.lock", "requirements-dev.lock", "requirements-build.lock")


@pytest.mark.parametrize("name", LOCKS)
def test_each_requirement_is_pinned_and_has_hashes(name: str) -> None:
    text = (ROOT / name).read_text().replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(requirements) >= 7
    for requirement in requirements:
        assert re.match(r"[a-z0-9.-]+==\S+ ", requirement), requirement
        assert re.search(r" --hash=sha256:[0-9a-f]{64}( |$)", requirement), requirement


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile"])
def test_every_installation_checks_hashes_or_asks_no_index(name: str) -> None:
    text = re.sub(r"\\\n\s*", "", (ROOT / name).read_text())
    text = text.replace("$(LOCKED_INSTALL)", "pip install --require-hashes --only-binary :all:")
    installs = re.findall(r"(?:pip install|\$\(PIP_INSTALL\))[^&\n]*", text)
    # The measurements, the oldest versions and other frameworks have environments of their own.
    apart = (
        "$(ESTIMATORS)",
        "pyDVL",
        "PIP_INSTALL :=",
        "--quiet --python $(OLDEST)",
        "--quiet --python $(INTEGRATIONS)",
    )
    product = [
        line
        for line in installs
        if ("--requirement" in line or ".whl" in line) and not any(word in line for word in apart)
    ]
    assert len(product) >= 3
    for line in product:
        assert "--require-hashes --only-binary :all:" in line or "--no-index" in line, line
    assert not re.search(r"(install|--editable) \.$", text, re.M), "an isolated build has no hashes"


def test_pip_refuses_a_file_with_another_hash(tmp_path: Path) -> None:
    wheel = tmp_path / "probe-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(
            "probe-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: probe\nVersion: 1.0\n"
        )
        archive.writestr("probe-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("probe-1.0.dist-info/RECORD", "")
    lock = tmp_path / "probe.lock"

    def install(digest: str) -> subprocess.CompletedProcess[str]:
        lock.write_text(f"probe==1.0 --hash=sha256:{digest}\n")
        command = [sys.executable, "-m", "pip", "install", "--require-hashes", "--no-index"]
        command += [
            "--find-links",
            str(tmp_path),
            "--target",
            str(tmp_path / "out"),
            "-r",
            str(lock),
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert "DO NOT MATCH THE HASHES" in install("0" * 64).stderr
    assert install(hashlib.sha256(wheel.read_bytes()).hexdigest()).returncode == 0


def test_each_role_of_the_compose_file_has_a_volume_of_its_own() -> None:
    services, volumes = (ROOT / "compose.yaml").read_text().split("\nvolumes:\n")
    mounts = re.findall(r"^  ([a-z0-9-]+):\n    <<: .*\n    volumes: \[\"(.*?)\"", services, re.M)
    assert len(mounts) == 8
    assert mounts == [(role, f"{role}:/var/lib/fedcoin") for role, _ in mounts]
    roles = [role for role, _ in mounts]
    # What all clients may see lies in one more.
    assert re.findall(r"^  ([a-z0-9-]+):$", volumes, re.M) == [
        "prometheus",
        "grafana",
        "genesis",
        *roles,
    ]
