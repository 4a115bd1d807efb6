"""An operator's day: a wheel, certificates, metrics, a lost disk, a backup, an upgrade, a removal.

Everything is done by the program's commands, the operator's socket and the metrics endpoint.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.network.client.admin_client import AdminClient
from tests.support.e2e.network import BOND, FDC, IDLE_MINER, Network, Node, check_word
from tests.support.installed_wheel import check_complete, install_wheel
from tests.support.ports import reserve_addresses
from tests.support.programs import Stage, attempted, fedcoin
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

RULES = {
    "max_block_interval_ms": 300,
    "propose_timeout_ms": 500,
    "vote_timeout_ms": 250,
    "max_clock_drift_ms": 2_000,
}
"""The chain grows without transactions, and a validator without a record waits for seconds."""


def command(*arguments: object) -> str:
    """Run a command that must succeed; returns its output."""
    return fedcoin(*arguments, seconds=90)


def asked(name: str, node: Node, *arguments: object) -> Any:
    """Run a reading command of a node's home; returns its JSON."""
    return json.loads(command(name, *arguments, "--home", node.home.root, "--json"))


async def grown(node: Node, blocks: int = 3) -> int:
    """Wait until a node has so many more blocks; returns its height."""

    def height() -> int:
        code, out, _ = attempted("status", "--home", node.home.root, "--json")
        return int(json.loads(out)["height"]) if code == 0 else 0

    async def first_height() -> int | None:
        return height() or None

    begin = await until(first_height, f"{node.name} answers")
    await until(lambda: height() >= begin + blocks, f"{node.name} has {blocks} more blocks")
    return height()


def own_context(node: Node) -> ssl.SSLContext:
    """Make the TLS context of a tool that shows a node's own certificate."""
    folder = node.home.root / "tls"
    context = ssl.create_default_context(cafile=str(folder / "authority.pem"))
    context.load_cert_chain(str(folder / "certificate.pem"), str(folder / "private.key"))
    return context


def scrape(node: Node, address: str) -> str:
    """Fetch a node's metrics."""
    url, context = f"https://{address}/metrics", own_context(node)
    with urllib.request.urlopen(url, timeout=20, context=context) as reply:
        return str(reply.read().decode())


def served_until(node: Node) -> float:
    """Return when the certificate expires with which a node answers now, in Unix seconds."""
    context = own_context(node)
    context.set_alpn_protocols(["h2"])
    host, _, port = node.api.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        found = connection.getpeercert()
    assert found is not None
    return ssl.cert_time_to_seconds(str(found["notAfter"]))


async def restore_from_backup(node: Node, copy: Path, others: Node) -> None:
    """Lose a node's disk while it runs, and restore it from its backup."""
    backup = copy.with_name("kept")
    # Kept since the node was made: keys, settings, genesis. Never the record of votes.
    shutil.copytree(node.home.root / "keys", backup / "keys")
    for record in (backup / "keys").glob("*.votes"):
        record.unlink()
    for name in ("config.toml", "genesis.json"):
        shutil.copy(node.home.root / name, backup / name)
    shutil.copytree(node.home.root / "tls", backup / "tls")
    node.program.kill()
    shutil.rmtree(node.home.root)
    await grown(others)  # three of four go on
    shutil.copytree(backup, node.home.root)
    shutil.copy(copy, node.home.chain_path)
    assert "Everything is valid" in command("verify", "--home", node.home.root)
    node.program.start()


async def votes(node: Node, witness: Node) -> None:
    """Wait until a validator's votes are in a block's certificate: others may stop only then."""
    address = format_address(node.key.address)

    async def seen() -> bool:
        height = await grown(witness, 1) - 1
        return address in asked("block", witness, height)["block"]["signers"]

    await until(seen, f"{node.name} votes", seconds=120)


def check_chains(network: Network, recorded: Sequence[Node]) -> None:
    """Stop all nodes, verify their chains, and look for contradictions in recorded votes."""
    for node in network.nodes:
        node.program.stop()
    for node in network.nodes:
        found = asked("verify", node)
        assert found["supply"] == network.supply
        genesis = node.home.genesis()
        with ChainStore.open(node.home.chain_path, genesis) as store:
            if node in recorded:
                check_word(store, node, genesis.hash, found["height"])


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the package from a wheel, which all programs of the test run."""
    folder = install_wheel(tmp_path / "wheel")
    check_complete(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    show = [sys.executable, "-c", "import fedcoin; print(fedcoin.__file__)"]
    found = subprocess.check_output(show, text=True, cwd=tmp_path)
    assert found.startswith(str(folder)), found
    return folder


@pytest.mark.usefixtures("installed")
async def test_an_operators_day(tmp_path: Path) -> None:
    (metrics,) = reserve_addresses(1)
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND] * 4, RULES, settings=IDLE_MINER)
        first, *_, last = network.nodes
        first.program.also("--set", f"metrics.listen={metrics}")
        authority = tmp_path / "consortium"
        command("tls", "init-authority", authority, "--no-encrypt")
        for node in network.nodes:
            command("tls", "issue", "--authority", authority, "--home", node.home.root)
            node.program.start()
        height = await grown(first)
        for node in network.nodes:
            assert command("health", "--home", node.home.root, "--timeout", "30") == "serving\n"
            await votes(node, first)
        (line,) = re.findall(r"^fedcoin_chain_height (.*)$", scrape(first, metrics), re.M)
        assert float(line) >= height

        before = served_until(first)
        renew = ("tls", "renew", "--authority", authority, "--days", 500)
        command(*renew, "--home", first.home.root)
        assert served_until(first) > before

        copy = tmp_path / "copy.sqlite"
        async with AdminClient(f"unix:{last.home.root / 'admin.sock'}") as admin:
            assert (await admin.backup(copy)).height > 0
        await restore_from_backup(last, copy, first)
        await votes(last, first)

        # An upgrade, one node after the other.
        for node in network.nodes:
            node.program.stop()
            await grown(last if node is first else first)
            node.program.start()
            await votes(node, last if node is first else first)

        command("unbond", f"{BOND // FDC}fdc", "--home", last.home.root)
        left = {each["address"] for each in asked("validators", first)}
        assert (len(left), format_address(last.key.address) in left) == (3, False)
        await grown(first)
        status = asked("status", first)
        assert int(status["supply"]) == int(status["counted_supply"]) == network.supply
        # The restored node's record begins where it was restored.
        check_chains(network, network.nodes[:3])


async def test_a_validator_changes_its_key(tmp_path: Path) -> None:
    """As docs/OPERATIONS.md says; one of four may be silent meanwhile, and no more."""
    with Stage(tmp_path) as stage:
        network = Network(stage, [BOND] * 4, RULES, settings=IDLE_MINER)
        first, *others = network.nodes
        for node in network.nodes:
            node.program.start()
        for node in network.nodes:
            await votes(node, others[0])
        home = ("--home", first.home.root)
        command("keys", "new", "next", "--no-encrypt", *home)
        changed = replace(first, key=first.home.key("next"))
        old, new = (format_address(node.key.address) for node in (first, changed))
        command("send", new, "1100fdc", *home)
        first.program.stop()
        first.program.also("--set", "miner.key=next")
        first.program.start()
        await grown(first)
        command("bond", "1000fdc", "--key", "next", *home)
        await votes(changed, others[0])
        command("unbond", "1000fdc", *home)
        left = {each["address"] for each in asked("validators", others[0])}
        assert (len(left), old in left, new in left) == (4, False, True)
        await votes(changed, others[0])
        # The first node's record has the votes of both keys.
        check_chains(network, others)
