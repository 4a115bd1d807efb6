"""The base image is pinned by the hash of what the registry sends, whatever the registry claims."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scripts.tools import lock_image
from scripts.tools.lock_image import BASE_IMAGE, INDEX_TYPES, LOCK, main, pin_image
from tests.support.paths import ROOT

INDEX = b'{"schemaVersion": 2, "manifests": []}'
DOCKERFILE = (
    "# an image\nARG PYTHON_IMAGE=docker.io/library/python:3.11-slim\nFROM ${PYTHON_IMAGE}\n"
)


class Registry(BaseHTTPRequestHandler):
    """A registry that wants an anonymous token, as public registries do."""

    media_type = INDEX_TYPES[0]

    def do_GET(self) -> None:
        host = self.headers["Host"]
        if self.path.startswith("/token?service=here&scope="):
            self._answer(200, b'{"token": "abc"}', "application/json")
        elif self.headers.get("Authorization") != "Bearer abc":
            challenge = f'Bearer realm="http://{host}/token",service="here",scope="pull"'
            self._answer(401, b"", "text/plain", ("WWW-Authenticate", challenge))
        elif self.path == "/v2/library/python/manifests/3.11-slim":
            self._answer(200, INDEX, self.media_type)
        else:
            self._answer(404, b"", "text/plain")

    def _answer(self, code: int, body: bytes, media_type: str, *headers: tuple[str, str]) -> None:
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class ImageOfOnePlatform(Registry):
    """A registry whose tag names an image of one platform."""

    media_type = "application/vnd.oci.image.manifest.v1+json"


def serve(handler: type[Registry]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def registry() -> Iterator[str]:
    yield from serve(Registry)


@pytest.fixture
def one_platform() -> Iterator[str]:
    yield from serve(ImageOfOnePlatform)


def test_the_digest_follows_the_tag(registry: str) -> None:
    digest = hashlib.sha256(INDEX).hexdigest()
    pinned = pin_image(DOCKERFILE, registry)
    assert pinned == f"docker.io/library/python:3.11-slim@sha256:{digest}"


def test_the_lock_lies_beside_the_dockerfile_which_stays_as_it_is(
    registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dockerfile, lock = tmp_path / "Dockerfile", tmp_path / LOCK
    text = DOCKERFILE.replace("docker.io", registry.removeprefix("http://"))
    dockerfile.write_text(text)
    lock.write_text("an older one\n")
    monkeypatch.setattr("sys.argv", ["lock_image", str(dockerfile)])
    with pytest.raises(SystemExit, match="is not pinned"):
        main()  # this registry does not speak TLS
    assert lock.read_text() == "an older one\n"
    monkeypatch.setattr(lock_image, "pin_image", lambda text: pin_image(text, registry))
    main()
    assert lock.read_text() == pin_image(text, registry) + "\n"
    assert dockerfile.read_text() == text


@pytest.mark.parametrize("has_lock", [False, True])
def test_make_docker_builds_on_the_image_of_the_lock(tmp_path: Path, has_lock: bool) -> None:
    """An engine that prints its arguments; `info` answers as an engine that runs."""
    engine = tmp_path / "engine"
    engine.write_text('#!/bin/sh\necho "$@"\n')
    engine.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path / "Makefile")
    pinned = f"docker.io/library/python:3.11-slim@sha256:{'0' * 64}"
    if has_lock:
        (tmp_path / LOCK).write_text(f"{pinned}\n")
    command = ["make", "--silent", "docker", f"ENGINE={engine}", "PYTHON=python3"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    last = done.stdout.splitlines()[-1]
    given = f"--build-arg PYTHON_IMAGE={pinned} " if has_lock else ""
    assert last == f"build {given}--tag fedcoin ."
    assert ("no image.lock" in done.stderr) != has_lock


def test_an_unknown_image_and_one_of_a_single_platform_are_refused(
    registry: str, one_platform: str
) -> None:
    with pytest.raises(OSError, match="404"):
        pin_image(DOCKERFILE.replace("3.11-slim", "3.11-other"), registry)
    with pytest.raises(ValueError, match="not an index of platforms"):
        pin_image(DOCKERFILE, one_platform)


def test_the_lock_of_this_project_names_the_image_of_its_dockerfile() -> None:
    base = BASE_IMAGE.search((ROOT / "Dockerfile").read_text())
    assert base is not None
    image, digest = (ROOT / LOCK).read_text().rstrip("\n").split("@sha256:")
    assert image == base.group().removeprefix("ARG PYTHON_IMAGE=")
    assert re.fullmatch("[0-9a-f]{64}", digest)


def test_a_dockerfile_without_a_base_image_is_refused() -> None:
    with pytest.raises(ValueError, match="no line ARG PYTHON_IMAGE"):
        pin_image("FROM scratch\n")
