"""Paths of the repository's files that tests read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PROTO = ROOT / "proto"
PACKAGE = ROOT / "fedcoin"
SCRIPTS = ROOT / "scripts"
TESTS = ROOT / "tests"
VECTORS = TESTS / "vectors"
"""Golden values, one JSON file for each format; scripts/tools/ writes them."""
MNIST_GAMES = TESTS / "shapley" / "mnist.npz"
"""Images that each coalition of ten clients classifies correctly, of 10,000: one table for each
game.
"""


def read_vectors(name: str) -> Any:
    """Return the contents of `tests/vectors/<name>.json`."""
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))
