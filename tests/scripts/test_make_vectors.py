"""The golden vectors are what their maker makes, and their page lists them."""

from __future__ import annotations

import json
import re

import pytest

from scripts.tools.make_vectors import VECTORS as MAKERS
from tests.support.paths import VECTORS, read_vectors


@pytest.mark.parametrize(
    "name",
    [
        "encodings",
        "bad_addresses",
        "certificates",
        "payment_proofs",
        "transactions",
        "reader_proofs",
    ],
)
def test_the_files_are_up_to_date(name: str) -> None:
    assert json.loads(json.dumps(MAKERS[name]())) == read_vectors(name)


def test_the_page_lists_every_file() -> None:
    text = (VECTORS / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)\.json` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(path.stem for path in VECTORS.glob("*.json"))
    assert set(MAKERS) <= set(listed)
