"""Clients in other languages against a real node, and their own tests on the golden vectors.

Each takes the same tour: status, lists by pages, blocks as they come, artifacts of 10 MB, the
details of an error, a payment, and the proof of a payment. The connection breaks on the way.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedcoin.data.artifacts.manifest import build_manifest
from fedcoin.data.crypto.addresses import format_address
from fedcoin.v1.block_pb2 import PaymentKind
from tests.support.breaking_proxy import BreakingProxy, breaking
from tests.support.e2e.network import BOND, IDLE_MINER, Network, pay
from tests.support.keys import ALICE, BOB, key_of
from tests.support.language_clients import LANGUAGES, BuiltClient, build_client
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.programs import Stage
from tests.support.served_api import serve_api
from tests.support.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PROGRAM_IN_GO = """package main

import (
	"crypto/sha256"
	"fmt"

	"example.com/fedcoin"
)

func main() {
	seed := sha256.Sum256([]byte("alice"))
	key, err := fedcoin.KeyFromSeed(seed[:])
	if err != nil {
		panic(err)
	}
	fmt.Println(key.Address())
}
"""

MEGABYTES_10 = random.Random(1).randbytes(10_000_000)


@pytest.fixture(scope="module", params=[name for name, one in LANGUAGES.items() if one.tour])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> BuiltClient:
    return build_client(str(request.param), tmp_path_factory.mktemp("client"))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Stage(tmp_path_factory.mktemp("languages")) as stage:
        network = Network(stage, [BOND], settings=IDLE_MINER)
        asyncio.run(network.start())
        asyncio.run(make_blocks(network, 5))
        yield network
        network.finish()


async def make_blocks(network: Network, count: int) -> None:
    """Make blocks, each with one transfer."""
    async with network.nodes[0].client() as client:
        for _ in range(count):
            await pay(client, ALICE, BOB.address, 1)


def height(network: Network) -> int:
    return asyncio.run(network.nodes[0].status()).height


def test_its_own_tests_pass_on_the_golden_vectors(client: BuiltClient) -> None:
    done = client.run(client.language.tests, seconds=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_a_program_has_the_go_module_in_its_vendor_folder(
    client: BuiltClient, tmp_path: Path
) -> None:
    """As docs/clients/go/README.md says; the last step needs neither checkout nor network."""
    if client.language.name != "go":
        pytest.skip("only Go's module is imported by a path")
    checkout, folder = tmp_path / "checkout", tmp_path / "program"
    shutil.copytree(client.folder, checkout)
    folder.mkdir()
    (folder / "main.go").write_text(PROGRAM_IN_GO)

    def go(*arguments: str, **variables: str) -> str:
        environment = {**os.environ, **variables}
        command = ["go", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    go("mod", "init", "program")
    replaced = f"example.com/fedcoin={checkout}"
    go("mod", "edit", "-require", "example.com/fedcoin@v0.0.0", "-replace", replaced)
    go("mod", "tidy")
    go("mod", "vendor")
    shutil.rmtree(checkout)
    assert go("run", ".", GOPROXY="off").strip() == format_address(ALICE.address)


def test_status(client: BuiltClient, network: Network) -> None:
    (found,) = client.tour("status", network.nodes[0].api)
    assert found["chain_id"] == network.chain.chain_id
    assert found["height"] == height(network)


def test_a_list_by_pages(client: BuiltClient, network: Network) -> None:
    found = client.tour("blocks", network.nodes[0].api, 2)
    assert [block["height"] for block in found] == list(range(height(network), 0, -1))
    assert all(len(block["hash"]) == 64 for block in found)


def test_watching_goes_on_after_a_break(client: BuiltClient, network: Network) -> None:
    top = height(network)
    with breaking(network.nodes[0].api) as proxy:
        found = asyncio.run(watch_broken(client, network, proxy, top))
    assert [block["height"] for block in found] == list(range(2, top + 3))
    assert proxy.num_connections >= 2


async def watch_broken(
    client: BuiltClient, network: Network, proxy: BreakingProxy, top: int
) -> list[dict[str, Any]]:
    """Watch all blocks from the second to two that are made after the connection broke."""
    log = client.folder / "watched"
    with log.open("wb") as out:
        command = [*client.program(client.language.tour), "watch", proxy.address, "2", str(top + 1)]
        watching = await asyncio.create_subprocess_exec(*command, cwd=client.folder, stdout=out)
    try:
        await until(lambda: len(log.read_bytes().splitlines()) == top - 1, "the past blocks")
        proxy.break_all()
        await make_blocks(network, 2)
        assert await asyncio.wait_for(watching.wait(), 60) == 0
    finally:
        if watching.returncode is None:
            watching.kill()
            await watching.wait()
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_an_artifact_up_and_down_over_breaks(
    client: BuiltClient, network: Network, tmp_path: Path
) -> None:
    # Another one for each language: the node holds those of the others.
    data = client.language.name.encode() + MEGABYTES_10
    (tmp_path / "up").write_bytes(data)
    node = network.nodes[0].api
    with breaking(node, limit_first=8_000_000) as proxy:
        (up,) = client.tour("upload", proxy.address, tmp_path / "up")
        assert up["id"] == build_manifest(data).id.hex()
        assert proxy.num_connections >= 2
        assert proxy.bytes_up < 16_000_000  # from the beginning again, it would be 18 MB
    with breaking(node, limit_first=8_000_000, upwards=False) as proxy:
        (down,) = client.tour("download", proxy.address, up["id"], tmp_path / "down")
        assert down["bytes"] == len(data)
        assert (tmp_path / "down").read_bytes() == data
        assert proxy.num_connections >= 2
        assert proxy.bytes_down < 16_000_000  # from the beginning again, it would be 18 MB


def test_an_artifact_that_is_missing(client: BuiltClient, network: Network, tmp_path: Path) -> None:
    done = client.run(
        client.language.tour, "download", network.nodes[0].api, "00" * 32, tmp_path / "none"
    )
    assert done.returncode == 1
    assert "ARTIFACT_NOT_FOUND" in done.stderr
    assert not (tmp_path / "none").exists()


def test_the_details_of_an_error(client: BuiltClient, network: Network) -> None:
    (found,) = client.tour("error", network.nodes[0].api)
    assert found.pop("status").replace("_", "").upper() == "INVALIDARGUMENT"
    assert found.pop("message") == "task_id is 'zz'; it must be 64 hex digits"
    assert found == {
        "reason": "MALFORMED",
        "domain": "fedcoin.network",
        "field": "task_id",
        "limit": "64",
    }


def test_a_transfer(client: BuiltClient, network: Network, tmp_path: Path) -> None:
    node, genesis = network.nodes[0].api, network.nodes[0].home.genesis_path
    payee = key_of(f"payee of {client.language.name}").address
    (tmp_path / "alice").write_text(ALICE.seed.hex())
    arguments = (genesis, tmp_path / "alice", format_address(payee), 123_456_789)
    (sent,) = client.tour("send", node, *arguments)
    assert sent["height"] == height(network)
    assert asyncio.run(balance(network, payee)) == 123_456_789
    done = client.run(client.language.tour, "send", node, *arguments[:-1], 10**18)
    assert done.returncode == 1
    assert "INSUFFICIENT_BALANCE" in done.stderr


async def balance(network: Network, address: bytes) -> int:
    async with network.nodes[0].client() as client:
        return (await client.get_account(format_address(address))).balance


def test_a_payment_is_proved_from_the_genesis(client: BuiltClient, tmp_path: Path) -> None:
    asyncio.run(prove(client, tmp_path))


async def prove(client: BuiltClient, folder: Path) -> None:
    """Check a task's payments to a client by the genesis, and by another one."""
    async with serve_api(folder / "node", validators=3) as live:
        job = LedgerCampaign(live.chain)
        job.open_campaign()
        job.open_task()
        job.settle({miner: additive(5, 3, 0) for miner in live.chain.miners})
        genesis = folder / "genesis.json"
        genesis.write_bytes(live.chain.genesis.raw)
        payee = format_address(job.clients[0].address)
        arguments = (live.server.address, genesis, job.task_id.hex(), payee)
        found = await asyncio.to_thread(client.tour, "prove", *arguments)
        paid = await live.node.list_payments(job.task_id.hex())
        wanted = [
            {"kind": PaymentKind.Name(each.kind), "amount": each.amount}
            for each in paid
            if each.address == payee
        ]
        assert [{"kind": one["kind"], "amount": one["amount"]} for one in found] == wanted
        genesis.write_bytes(live.chain.genesis.raw + b" ")
        done = await asyncio.to_thread(client.run, client.language.tour, "prove", *arguments)
        assert done.returncode == 1
        assert "certificate" in done.stderr.lower()
