"""The measures give the golden vectors that clients in other languages test with."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.tools.vectors.measures import measures

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "measures.json"


def test_the_measures_give_their_golden_vectors() -> None:
    assert measures() == json.loads(VECTORS.read_text())
