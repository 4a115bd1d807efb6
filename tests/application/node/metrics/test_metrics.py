"""A node's metrics, as Prometheus fetches them."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fedcoin.application.node.metrics import metrics_server
from fedcoin.application.node.metrics.declarations import METRICS
from fedcoin.application.node.metrics.metrics_server import MetricsServer
from fedcoin.application.node.node import Node, open_node
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from tests.support.certificates import issue, make_authority
from tests.support.training_site import node_home
from tests.support.waiting import until

SETTINGS = {"miner.warm": False, "metrics.listen": "127.0.0.1:0"}


def fetch_text(address: str, context: ssl.SSLContext | None = None) -> str:
    scheme = "http" if context is None else "https"
    with urllib.request.urlopen(f"{scheme}://{address}/metrics", timeout=20, context=context) as it:
        return str(it.read().decode())


def parse(text: str) -> dict[tuple[str, str], float]:
    """Return the values by name and value of the only label."""
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def fetch(node: Node) -> str:
    assert node.metrics is not None
    return await asyncio.to_thread(fetch_text, node.metrics.address)


def check_metrics(text: str) -> None:
    """Have the real promtool check names, units and helps."""
    if shutil.which("promtool") is None:
        return
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_every_metric_has_its_value(tmp_path: Path) -> None:
    home = node_home(tmp_path, max_block_interval_ms=200)
    async with open_node(home.config({}, SETTINGS), home, asyncio.Event()) as node:
        await until(lambda: node.chain.height() >= 3)
        text = await fetch(node)
    values = parse(text)
    missing = {metric.name for metric in METRICS} - {name for name, _ in values}
    # No task is open, there is no peer, and no TLS.
    assert missing == {
        "fedcoin_chain_open_tasks",
        "fedcoin_clock_difference_seconds",
        "fedcoin_tls_expiry_time_seconds",
    }
    assert values["fedcoin_chain_height", ""] >= 3
    assert values["fedcoin_chain_blocks_total", ""] >= 3
    assert abs(values["fedcoin_chain_block_time_seconds", ""] - time.time()) < 60
    assert values["fedcoin_consensus_validator", ""] == 1
    assert values["fedcoin_consensus_voting_power_sap", "connected"] == 10**10
    assert values["fedcoin_consensus_last_vote_height", ""] >= 3
    assert values["fedcoin_consensus_vote_overdue", ""] == 0
    assert values["fedcoin_account_bond_sap", ""] == 10**10
    assert values["fedcoin_peers_connected", "in"] == 0
    assert values["fedcoin_database_bytes", ""] > 10_000
    assert values["fedcoin_disk_free_bytes", ""] > 0
    assert values["process_resident_memory_bytes", ""] > 10_000_000
    check_metrics(text)


def fetch_without_the_loop(address: str) -> str:
    """Fetch while the caller's event loop does nothing else, as if the node were busy."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(fetch_text, address).result()


async def test_a_busy_node_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_server, "READ_SECONDS", 0.1)
    home = node_home(tmp_path)
    async with open_node(home.config({}, SETTINGS), home, asyncio.Event()) as node:
        assert node.metrics is not None
        values = parse(fetch_without_the_loop(node.metrics.address))
        assert values["fedcoin_responding", ""] == 0
        assert values["process_cpu_seconds_total", ""] > 0
        assert ("fedcoin_chain_height", "") not in values
        monkeypatch.undo()
        assert parse(await fetch(node))["fedcoin_responding", ""] == 1


async def test_without_the_setting_there_are_no_metrics(tmp_path: Path) -> None:
    home = node_home(tmp_path)
    config = home.config({}, {"miner.warm": False})
    async with open_node(config, home, asyncio.Event()) as node:
        assert node.metrics is None


async def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    home, other = node_home(tmp_path / "one"), node_home(tmp_path / "two")
    async with open_node(home.config({}, SETTINGS), home, asyncio.Event()) as node:
        assert node.metrics is not None
        settings = {**SETTINGS, "metrics.listen": node.metrics.address}
        with pytest.raises(RefusalError, match=r"set metrics\.listen to") as caught:
            async with open_node(other.config({}, settings), other, asyncio.Event()):
                pass
    assert caught.value.code is NetworkCode.PORT_IN_USE


async def test_plain_http_is_refused_where_others_can_reach_it(tmp_path: Path) -> None:
    home = node_home(tmp_path)
    config = home.config({}, {**SETTINGS, "metrics.listen": "0.0.0.0:0"})
    with pytest.raises(RefusalError) as caught:
        async with open_node(config, home, asyncio.Event()):
            pass
    assert caught.value.code is NetworkCode.NOT_SECURE


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")
async def test_with_tls_only_the_authority_s_members_fetch(tmp_path: Path) -> None:
    tls = issue(make_authority(tmp_path / "authority"), "node", "IP:127.0.0.1")
    home = node_home(tmp_path / "home")
    async with open_node(home.config({}, SETTINGS), home, asyncio.Event()) as node:
        assert node.metrics is not None
        server = MetricsServer(node.metrics.node, parse_endpoint("127.0.0.1:0", any_port=True), tls)
        server.start()
        try:
            member = ssl.create_default_context(cafile=str(tls.authority))
            stranger = ssl.create_default_context(cafile=str(tls.authority))
            member.load_cert_chain(tls.certificate, tls.key)
            text = await asyncio.to_thread(fetch_text, server.address, member)
            assert "fedcoin_chain_height" in text
            with pytest.raises(OSError, match=r"certificate|closed|reset|EOF"):
                await asyncio.to_thread(fetch_text, server.address, stranger)
        finally:
            await asyncio.to_thread(server.stop)
