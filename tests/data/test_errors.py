from __future__ import annotations

import pickle
from typing import Any

import pytest

from fedcoin.data.errors import DataCode, RefusalError


def test_codes_are_their_names() -> None:
    assert all(code.value == code.name for code in DataCode)


def test_a_refusal_says_its_sentence() -> None:
    refusal = RefusalError(DataCode.TOO_LARGE, "too much", field="body", limit="3")
    assert str(refusal) == "too much"
    assert repr(refusal) == "RefusalError(TOO_LARGE, 'too much')"


def test_a_refusal_crosses_processes() -> None:
    refusal = RefusalError(DataCode.TOO_LARGE, "too much", field="body", limit="3")
    copy = pickle.loads(pickle.dumps(refusal))
    assert (copy.code, copy.message, copy.field, copy.limit) == (
        DataCode.TOO_LARGE,
        "too much",
        "body",
        "3",
    )


def test_a_prefix_goes_before_the_sentence() -> None:
    refusal = RefusalError(DataCode.TOO_LARGE, "too much", field="body", limit="3")
    prefixed = refusal.prefixed("block 7")
    assert str(prefixed) == "block 7: too much"
    assert (prefixed.code, prefixed.field, prefixed.limit) == (DataCode.TOO_LARGE, "body", "3")


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ("body", {"parent": "transactions[2]"}, "transactions[2].body"),
        ("", {"parent": "transactions[2]"}, "transactions[2]"),
        ("address", {"field": "miner"}, "miner"),
        ("body", {}, "body"),
    ],
)
def test_a_prefixed_refusal_names_the_field(own: str, given: dict[str, Any], expected: str) -> None:
    refusal = RefusalError(DataCode.TOO_LARGE, "too much", field=own)
    assert refusal.prefixed("there", **given).field == expected
