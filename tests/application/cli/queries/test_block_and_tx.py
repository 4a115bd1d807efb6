"""What `block` and `tx` refuse; `payments/test_send.py` shows what they print."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.node_process import Live


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (["tx", "ab" * 32], 1, "TRANSACTION_NOT_FOUND"),
        (["block", "999999"], 1, "NOT_FOUND"),
        (["block", "x"], 2, "64 hex digits, or at least the first 8"),
        (["block", "abcdef12"], 1, "BLOCK_NOT_FOUND"),
    ],
)
def test_refusals(fedcoin: Any, live: Live, arguments: list[str], code: int, word: str) -> None:
    outcome = fedcoin(*arguments, "--home", live.home.root)
    assert (outcome.code, word in outcome.err) == (code, True), outcome.err
    assert not outcome.out
