from __future__ import annotations

from typing import Any

from tests.support.node_process import Live


def test_status(fedcoin: Any, live: Live) -> None:
    status = fedcoin("status", "--home", live.home.root, "--json").json
    genesis = live.home.genesis()
    assert status["chain_id"] == genesis.chain_id
    assert status["genesis_hash"] == genesis.hash.hex()
    assert status["validator"] is status["mining"] is True
    assert status["supply"] == status["counted_supply"] == genesis.supply
    assert status["connected_power"] == status["total_power"] > 0
    assert status["rss_bytes"] < 150_000_000
    assert status["peer_address"] == f"{status['node_key']}@{live.peers}"
    assert status["worker_sandbox"].partition(":")[0] in ("bubblewrap", "none")
    out = fedcoin("status", "--node", live.api).out
    assert status["peer_address"] in out
    assert "validator, mining" in out
    assert " FDC connected" in out
    assert status["worker_sandbox"] in out
    assert "conserved" in out
