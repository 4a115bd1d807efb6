"""The clients in `docs/clients`, built in a copy as a reader builds them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import DOCS, PROTO, VECTORS
from tests.support.programs import COMMAND

BUF = Path(sys.executable).with_name("buf")
MADE = shutil.ignore_patterns("gen", "fedcoinv1", "node_modules", "target", "dist")
"""Folders that building makes."""


@dataclass(frozen=True)
class Language:
    """How a client is built, tested and run."""

    name: str
    tools: Sequence[str]
    build: Sequence[Sequence[str]]
    tests: Sequence[str] = ()
    """The command that runs its own tests, on the golden vectors."""
    tour: Sequence[str] = ()
    """The program that takes one step, such as `status`, at a time."""
    wallet: Sequence[str] = ()
    """The program that shows a balance or pays."""


GENERATE = (str(BUF), "generate", "../../../proto", "--template", "buf.gen.yaml")
DESCRIBE = (*COMMAND, "api", "descriptor", "--out", "fedcoin.binpb")
GENERATE_DESCRIBED = (
    *(str(BUF), "generate", "fedcoin.binpb", "--template", "buf.gen.yaml"),
    "--include-imports",
)
NPM_INSTALL = ("npm", "install", "--no-audit", "--no-fund")
MAVEN_OPTIONS = ("--quiet", "--batch-mode")
LANGUAGES = {
    language.name: language
    for language in (
        Language(
            "go",
            ["go"],
            [GENERATE, ("go", "build", "-o", "bin/", "./examples/...")],
            tests=("go", "test", "."),
            tour=["bin/tour"],
            wallet=["bin/wallet"],
        ),
        Language(
            "typescript",
            ["npm", "node"],
            [NPM_INSTALL, DESCRIBE, GENERATE_DESCRIBED, ("npm", "run", "build")],
            tests=("node", "--test", "dist/"),
            tour=["node", "dist/tour.js"],
        ),
        Language(
            "java",
            ["mvn", "java"],
            [("mvn", *MAVEN_OPTIONS, "-DskipTests", "package")],
            tests=("mvn", *MAVEN_OPTIONS, "surefire:test"),
            tour=["java", "-cp", "target/classes:target/libraries/*", "fedcoin.client.Tour"],
        ),
        Language(
            "rust",
            ["cargo"],
            [DESCRIBE, ("cargo", "build", "--quiet")],
            tests=("cargo", "test", "--quiet"),
            tour=["target/debug/tour"],
        ),
        Language(
            "node",
            ["npm", "node"],
            [NPM_INSTALL, GENERATE],
            wallet=["node", "wallet.js"],
        ),
    )
}


@dataclass(frozen=True)
class BuiltClient:
    """A client that was built, in a folder of its own."""

    language: Language
    folder: Path

    def program(self, command: Sequence[str]) -> list[str]:
        """Name a program by its whole path when building made it."""
        program, *rest = command
        made = self.folder / program
        return [str(made) if made.exists() else program, *rest]

    def run(self, command: Sequence[str], *arguments: object, seconds: float = 90) -> Any:
        """Run one of its programs to the end."""
        return subprocess.run(
            [*self.program(command), *map(str, arguments)],
            check=False,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def tour(self, step: str, *arguments: object, seconds: float = 120) -> list[dict[str, Any]]:
        """Take one step of the tour, which must succeed; returns the lines that it printed."""
        done = self.run(self.language.tour, step, *arguments, seconds=seconds)
        assert done.returncode == 0, f"{self.language.name} {step}: {done.stderr}"
        return [json.loads(line) for line in done.stdout.splitlines()]


def build_client(name: str, root: Path) -> BuiltClient:
    """Copy a client beside proto files and vectors, and build it; skips without its tools."""
    language = LANGUAGES[name]
    for tool in (*language.tools, str(BUF)):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {Path(tool).name}")
    folder = root / "docs" / "clients" / name
    shutil.copytree(DOCS / "clients" / name, folder, ignore=MADE)
    (root / "tests").mkdir()
    (root / "proto").symlink_to(PROTO)
    (root / "tests" / "vectors").symlink_to(VECTORS)
    for step in language.build:
        done = subprocess.run(step, check=False, cwd=folder, capture_output=True, text=True)
        if done.returncode != 0 and is_unreachable(done.stderr):
            pytest.skip(f"{step[0]} cannot fetch packages: {done.stderr[-300:]}")
        assert done.returncode == 0, f"{step}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
    return BuiltClient(language, folder)


def is_unreachable(complaint: str) -> bool:
    """Tell whether a build failed since no package registry answers."""
    signs = (
        "dial tcp",
        "no such host",
        "EAI_AGAIN",
        "ENOTFOUND",
        "Could not resolve host",
        "Temporary failure in name resolution",
        "Unknown host",
        "Could not transfer artifact",
    )
    return any(sign in complaint for sign in signs)
