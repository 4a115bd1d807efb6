from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.node.watching.certificate_watch import DAY_MS
from fedcoin.data.clock import unix_ms
from tests.application.cli.conftest import CommandLine
from tests.support import served_api
from tests.support.node_process import Live
from tests.support.served_api import serve_api


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


async def test_a_certificate_that_expires_soon_is_a_warning(
    tmp_path: Path, fedcoin: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_api(tmp_path) as served:
        for left_days, warns in ((2.55, True), (31, False)):
            expiry_ms = unix_ms() + round(left_days * DAY_MS)
            monkeypatch.setattr(served_api, "TLS_EXPIRY_MS", expiry_ms)
            shown = await asyncio.to_thread(fedcoin, "status", "--node", served.server.address)
            assert ("certificate expires in 2.5 days: renew it" in shown.err) is warns
            assert "TLS until" in shown.out
