from __future__ import annotations

from typing import Any

from tests.support.node_process import Live
from tests.support.ports import reserve_addresses


def test_a_node_that_serves(fedcoin: Any, live: Live) -> None:
    outcome = fedcoin("health", "--home", live.home.root)
    assert (outcome.code, outcome.out) == (0, "serving\n"), outcome.err
    assert fedcoin("health", "--node", live.api, "--timeout", "10").code == 0


def test_nobody_listens(fedcoin: Any) -> None:
    (nobody,) = reserve_addresses(1)
    outcome = fedcoin("health", "--node", nobody, "--timeout", "0.1")
    assert (outcome.code, outcome.out) == (1, "")
    assert nobody in outcome.err
    assert fedcoin("health", "--timeout", "0").code == 2
