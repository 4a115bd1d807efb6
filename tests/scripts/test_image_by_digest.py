"""What the real buildah makes of the Dockerfile: base images by digest, and the health check."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("buildah") is None, reason="buildah is not installed"),
]


def buildah(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run buildah with images of its own, below a folder."""
    own = ("--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs")
    return subprocess.run(
        ["buildah", *own, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_image_is_built_on_the_digest_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("base")
    container = buildah(tmp_path, "from", "scratch").stdout.strip()
    if not container:
        pytest.skip("buildah makes no containers here")
    buildah(tmp_path, "copy", container, str(tmp_path / "file"), "/file")
    buildah(tmp_path, "commit", container, "localhost/base:1")
    images = buildah(tmp_path, "images", "--digests", "--format", "{{.Digest}}")
    digest = images.stdout.strip()
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    # The stages of the product's image, without what only runs in a whole Python image.
    stages = re.findall(r"^(?:ARG PYTHON_IMAGE|FROM ).*$", (ROOT / "Dockerfile").read_text(), re.M)
    assert len(stages) == 3
    (tmp_path / "Dockerfile").write_text("\n".join([*stages, "COPY --from=build /file /copy", ""]))
    for pinned, is_built in ((digest, True), (f"sha256:{'0' * 64}", False)):
        base = f"PYTHON_IMAGE=localhost/base:1@{pinned}"
        done = buildah(tmp_path, "build", "--pull=never", "--build-arg", base, str(tmp_path))
        assert (done.returncode == 0) == is_built, done.stderr


def test_the_image_has_the_health_check_in_the_format_that_make_asks_for(tmp_path: Path) -> None:
    (variable,) = re.findall(r"BUILDAH_FORMAT=(\w+)", (ROOT / "Makefile").read_text())
    (check,) = re.findall(r"^HEALTHCHECK .*\\\n.*$", (ROOT / "Dockerfile").read_text(), re.M)
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\n{check}\n")
    done = buildah(tmp_path, "build", "--tag", "checked", str(tmp_path), BUILDAH_FORMAT=variable)
    if "permitted" in done.stderr:
        pytest.skip("buildah makes no containers here")
    assert done.returncode == 0, done.stderr
    shown = json.loads(buildah(tmp_path, "inspect", "--type", "image", "checked").stdout)
    found = shown["Docker"]["config"]["Healthcheck"]["Test"]
    assert found == ["CMD", "fedcoin-node", "health", "--timeout", "10"]
