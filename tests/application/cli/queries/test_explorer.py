"""What `explorer` refuses before it asks a node."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "a b"], "is no host's name"),
        (["--host", "http://chain.example.org"], "without scheme and port"),
        (["--node", "127.0.0.1:70000"], "has the port 70000; ports go up to 65535"),
        (["--listen", "127.0.0.1"], "must be host:port"),
    ],
)
def test_wrong_usage(fedcoin: Any, arguments: list[str], words: str) -> None:
    outcome = fedcoin("explorer", *arguments)
    assert (outcome.code, words in outcome.err) == (2, True), outcome.err
