from __future__ import annotations

from typing import Any

from tests.support.node_process import Live


def test_fees(fedcoin: Any, live: Live) -> None:
    fees = fedcoin("fees", "--home", live.home.root, "--json").json
    rules = live.home.genesis().parameters
    assert (fees["base_fee"], fees["fee_per_kib"]) == (rules.base_fee, rules.fee_per_kib)
    assert fees["mempool_fee_rate"] == fees["next_block_fee_rate"] == 0
    out = fedcoin("fees", "--node", live.api).out
    assert "the minimum fee is enough" in out
