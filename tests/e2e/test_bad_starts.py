"""A node that cannot start says why in one sentence and exits with 1; other nodes go on."""

from __future__ import annotations

import asyncio
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.network.client.node_client import NodeClient
from fedcoin.testing.networks.log_alarms import find_alarms
from tests.support.e2e.learners import prepared, prepared_within
from tests.support.e2e.network import BOND, BRISK, FDC, IDLE_MINER, Network, Node, pay
from tests.support.keys import ALICE, BOB, key_of
from tests.support.programs import Program, Stage, attempted
from tests.support.waiting import until


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Stage(tmp_path_factory.mktemp("starts")) as stage:
        network = Network(stage, [BOND], BRISK, settings=IDLE_MINER)

        async def begin() -> None:
            await network.start()
            async with network.nodes[0].client() as client:
                for _ in range(3):
                    await pay(client, ALICE, BOB.address, FDC)

        asyncio.run(begin())
        yield network
        network.finish()


@pytest.fixture
def first(network: Network) -> Iterator[Node]:
    """The running node; it must be unchanged after the test."""
    node = network.nodes[0]
    before = asyncio.run(node.status())
    yield node
    after = asyncio.run(node.status())
    assert (after.height, after.app_hash) == (before.height, before.app_hash)
    assert node.program.running


def refused(program: Program, *words: str) -> None:
    """Check that a program soon exits with 1, after one error sentence that holds these words."""
    program.start()
    assert program.wait() == 1
    said = program.said().strip().splitlines()
    errors = [line for line in said if line.startswith("Error: ")]
    assert len(errors) == 1, said
    assert errors[0] == said[-1]
    for word in words:
        assert word in errors[0]
    assert not list(find_alarms(program.said())), program.said()


def refused_here(home: Home, *words: str, command: str = "start") -> None:
    """Check that a command, run in this process, ends as `refused` demands."""
    code, out, err = attempted(command, "--home", home.root)
    said = err.strip().splitlines()
    assert (code, out) == (1, "")
    assert [line for line in said if line.startswith("Error: ")] == said[-1:]
    for word in words:
        assert word in said[-1]
    assert not list(find_alarms(err)), err


def test_a_home_in_use_is_refused(first: Node) -> None:
    refused_here(first.home, "[HOME_IN_USE]", str(first.home.root))
    refused_here(first.home, "[HOME_IN_USE]", str(first.home.root), command="verify")


@pytest.mark.parametrize("listener", [pytest.param("peers", marks=pytest.mark.slow), "api"])
def test_a_port_in_use_is_refused(
    network: Network, first: Node, tmp_path: Path, listener: str
) -> None:
    home = Home(tmp_path / "home")
    home.add_key("node", KeyPair.generate())
    taken = first.peers if listener == "peers" else first.api
    free = {"peers.listen": "127.0.0.1:0", "api.listen": "127.0.0.1:0"}
    home.write(network.raw_genesis, {**free, f"{listener}.listen": taken})
    program = network.stage.program(f"{listener}-taken", "start", "--home", home.root)
    refused(program, "[PORT_IN_USE]", taken)
    # The failed start left no lock behind: the home works on other ports.
    program.start(f"--{listener}-listen", "127.0.0.1:0")
    asyncio.run(program.says("serving: peers on"))
    program.stop()


async def test_a_coordinators_port_in_use_is_refused(network: Network, first: Node) -> None:
    """A coordinator alone fails, and so does a node with a coordinator inside."""
    coordinator = await prepared(network, "crowded")
    arguments = ("--home", coordinator.home.root, "--node", first.api, "--listen", first.api)
    alone = network.stage.program("crowded-alone", "train", "server", *arguments)
    refused(alone, "[PORT_IN_USE]", first.api)
    node = network.add("crowded-node", key_of("crowded"))
    network.nodes.remove(node)
    crowded = await prepared_within(network, node, listen=first.api)
    refused(node.program, "[PORT_IN_USE]", first.api)
    assert crowded.state()["campaign_id"] == coordinator.state()["campaign_id"] == ""


@pytest.fixture(scope="module")
def observer(network: Network) -> Node:
    """An observer that has the chain and is stopped."""

    async def catch_up() -> Node:
        node = network.add("observer", key_of("observer"))
        network.nodes.remove(node)
        await node.start()
        await node.caught_up((await network.nodes[0].status()).height)
        node.program.stop()
        return node

    return asyncio.run(catch_up())


@pytest.fixture
def node(network: Network, observer: Node) -> Node:
    """A copy of the observer, which a test may damage."""
    name = f"copy-{len(list(network.stage.root.glob('copy-*')))}"
    home = Home(network.stage.root / name)
    shutil.copytree(observer.home.root, home.root)
    program = network.stage.program(name, "start", "--home", home.root)
    return replace(observer, home=home, program=program)


def database(node: Node) -> sqlite3.Connection:
    return sqlite3.connect(node.home.chain_path, isolation_level=None)


async def test_a_node_with_a_missing_database_fetches_the_chain(first: Node, node: Node) -> None:
    before = (await first.status()).height
    for path in node.home.root.glob("chain.sqlite*"):
        path.unlink()
    await node.start()
    await node.caught_up(before)
    node.program.stop()


def test_a_truncated_database_is_refused(first: Node, node: Node) -> None:
    with database(node) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    size = node.home.chain_path.stat().st_size
    with node.home.chain_path.open("r+b") as file:
        file.truncate(size // 2)
    refused_here(node.home, "[BAD_STORE]", str(node.home.chain_path))
    with node.home.chain_path.open("r+b") as file:
        file.truncate(100)
    refused_here(node.home, "[BAD_STORE]", str(node.home.chain_path))


def test_a_file_that_is_no_database_is_refused(first: Node, node: Node) -> None:
    for path in node.home.root.glob("chain.sqlite*"):
        path.unlink()
    node.home.chain_path.write_bytes(b"this is not a database at all\n" * 1000)
    refused_here(node.home, "[BAD_STORE]", str(node.home.chain_path))


def test_a_newer_database_is_refused_unchanged(first: Node, node: Node) -> None:
    with database(node) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        assert version >= 1
        connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    refused_here(node.home, "[NEWER_STORE]", str(node.home.chain_path))
    # The refused database is unchanged, so a program that knows its version can open it.
    with database(node) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (version + 1,)
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    asyncio.run(node.start())
    node.program.stop()


def test_a_database_of_another_genesis_is_refused(
    network: Network, first: Node, node: Node
) -> None:
    other = Network(Stage(network.stage.root / "other"), [BOND], chain_id="fedcoin-other")
    node.home.genesis_path.write_bytes(other.raw_genesis)
    refused_here(node.home, "[WRONG_CHAIN]", "fedcoin-e2e", "fedcoin-other")


def test_a_missing_home_and_a_missing_key_are_refused(
    network: Network, first: Node, tmp_path: Path
) -> None:
    refused_here(Home(tmp_path / "nowhere"), "[NO_HOME]", "fedcoin-node init")
    home = Home(tmp_path / "keyless")
    home.write(network.raw_genesis, {})
    refused_here(home, "[NO_KEY]", "fedcoin-node keys new")


async def test_a_dead_seed_is_a_warning(network: Network, first: Node) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{nobody.getsockname()[1]}"
        node = network.add("hopeful", key_of("hopeful"), "--seed", dead, "--seed", first.peers)
        network.nodes.remove(node)
        await node.start()
        await node.caught_up((await first.status()).height)
        await until(lambda: dead in node.program.said(), "the dead seed is named")
        (line, *_) = [line for line in node.program.said().splitlines() if dead in line]
        assert "WARNING" in line
        node.program.stop()


async def test_a_seed_of_another_network(network: Network, first: Node) -> None:
    """Both nodes log a warning and go on."""
    with Stage(network.stage.root / "elsewhere") as stage:
        other = Network(stage, [BOND], BRISK, chain_id="fedcoin-other", settings=IDLE_MINER)
        program = other.nodes[0].program
        program.start("--seed", first.peers)
        async with NodeClient(other.nodes[0].api) as client:
            await client.wait_until_serving(45)
            await program.says("fedcoin-e2e")
            assert (await client.get_status()).peers == 0
        lines = [line for line in program.said().splitlines() if first.peers in line]
        assert lines
        assert "WARNING" in lines[0]
        program.stop()
