"""`fedcoin-node drain`, at a served socket and at a real node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fedcoin.application.configuration.home import Home
from tests.application.cli.conftest import CommandLine
from tests.support.node_process import started, wait_ready
from tests.support.ports import reserve_addresses
from tests.support.served_api import serve_api
from tests.support.waiting import until

TWO = "2 commitments or transactions to finish"


async def test_it_begins_and_waits(tmp_path: Path, fedcoin: CommandLine) -> None:
    async with serve_api(tmp_path) as served:
        begun = await asyncio.to_thread(fedcoin, "drain", "--home", tmp_path)
        assert (begun.code, begun.err) == (0, f"The node drains; {TWO}\n")
        served.operator.draining = False
        waiting = asyncio.create_task(
            asyncio.to_thread(fedcoin, "drain", "--home", tmp_path, "--wait")
        )
        await until(lambda: served.operator.draining)
        await served.server.stop(0)
        waited = await waiting
    lines = [TWO, "The node has stopped"]
    assert (waited.code, waited.err.splitlines()) == (0, lines)


def test_without_a_node_it_is_an_error(tmp_path: Path, fedcoin: CommandLine) -> None:
    # A folder that is no home may be a slip of the pen, so that nothing is said to be drained.
    assert fedcoin("drain", "--home", tmp_path, "--wait").code == 1
    assert fedcoin("init", "--home", tmp_path / "a").code == 0
    refused = fedcoin("drain", "--home", tmp_path / "a")
    said = f"{tmp_path / 'a'}: no node runs on this home: there is nothing to drain [UNAVAILABLE]"
    assert (refused.code, said in refused.err) == (1, True), refused.err
    waited = fedcoin("drain", "--home", tmp_path / "a", "--wait")
    assert (waited.code, "No node runs" in waited.err) == (0, True), waited.err


@pytest.mark.slow
def test_a_node_that_mines_drains_and_ends_cleanly(tmp_path: Path, fedcoin: CommandLine) -> None:
    home = Home(tmp_path / "home")
    peers, api = reserve_addresses(2)
    listeners = ("--peers-listen", peers, "--api-listen", api)
    assert fedcoin("init", "--home", home.root, *listeners).code == 0
    log = tmp_path / "node.log"
    with started(home, log, "--mine") as process:
        wait_ready(api)
        waited = fedcoin("drain", "--home", home.root, "--wait")
        assert waited.code == 0, waited.err
        assert process.wait(20) == 0
    assert "drained: nothing is left that this miner committed to" in log.read_text()
