"""`task proof`, `verify --proof` and `verify --recompute` on the command line."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.configuration.home import Home
from fedcoin.data.crypto.addresses import format_address
from tests.support.keys import key_of
from tests.support.ledger_campaign import LedgerCampaign, additive
from tests.support.served_api import serve_api
from tests.support.settled_home import copy_home, settled_home


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, LedgerCampaign]]:
    """An API over a chain with a settled task, in its own thread."""
    ready, stop = threading.Event(), threading.Event()
    found: list[Any] = []

    async def run() -> None:
        async with serve_api(folder, validators=3) as live:
            job = LedgerCampaign(live.chain)
            job.open_campaign()
            job.open_task()
            job.settle(dict.fromkeys(live.chain.miners, additive(5, 3, 0)))
            found.extend((live.server.address, job))
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        assert ready.wait(30)
        yield found[0], found[1]
    finally:
        stop.set()
        thread.join()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, LedgerCampaign]]:
    with served(tmp_path_factory.mktemp("api")) as found:
        yield found


def test_a_proof_and_its_check(fedcoin: Any, site: Any, tmp_path: Path) -> None:
    api, job = site
    client = format_address(job.clients[0].address)
    genesis, proof = tmp_path / "genesis.json", tmp_path / "proof.json"
    genesis.write_bytes(job.chain.genesis.raw)
    made = fedcoin("task", "proof", job.task_id.hex(), client, "--node", api)
    assert made.code == 0, made.err
    proof.write_text(made.out)
    checks = ["verify", "--proof", proof, "--genesis", genesis]
    # The verifying machine has neither chain nor home.
    outcome = fedcoin(*checks)
    assert outcome.code == 0, outcome.err
    assert client in outcome.out
    assert "2.1875 FDC (training)" in outcome.out
    assert "The proof is valid." in outcome.out
    found = fedcoin(*checks, "--json").json
    assert [(p["amount"], p["kind"], p["address"]) for p in found["payments"]] == [
        (218_750_000, "training", client)
    ]
    forged = json.loads(made.out)
    forged["payments"][0]["amount"] += 1
    proof.write_text(json.dumps(forged))
    outcome = fedcoin(*checks)
    assert (outcome.code, "BAD_PROOF" in outcome.err) == (1, True)
    assert "payments[0].amount" in outcome.err
    assert not outcome.out


def test_no_payment_no_proof(fedcoin: Any, site: Any, tmp_path: Path) -> None:
    api, job = site
    nobody = format_address(key_of("nobody").address)
    outcome = fedcoin("task", "proof", job.task_id.hex(), nobody, "--node", api)
    assert (outcome.code, "PAYMENT_NOT_FOUND" in outcome.err) == (1, True)
    assert not outcome.out
    outcome = fedcoin("task", "proof", job.task_id.hex(), "fc1nonsense", "--node", api)
    assert (outcome.code, "BAD_ADDRESS" in outcome.err) == (2, True)


def test_wrong_usage(fedcoin: Any, tmp_path: Path) -> None:
    file = tmp_path / "proof.json"
    file.write_text("{}")
    outcome = fedcoin("verify", "--proof", file, "--home", tmp_path)
    assert (outcome.code, "NO_HOME" in outcome.err) == (1, True)
    outcome = fedcoin("verify", "--proof", file, "--recompute")
    assert (outcome.code, "BAD_ARGUMENT" in outcome.err) == (2, True)
    outcome = fedcoin("verify", "--genesis", file)
    assert (outcome.code, "BAD_ARGUMENT" in outcome.err) == (2, True)
    assert fedcoin("verify", "--proof", tmp_path / "none").code == 2
    outcome = fedcoin("verify", "--proof", file, "--genesis", file)
    assert (outcome.code, "BAD_GENESIS" in outcome.err) == (1, True)


def test_recompute(fedcoin: Any, tmp_path: Path) -> None:
    home = asyncio.run(settled_home(tmp_path))
    outcome = fedcoin("verify", "--home", home.root, "--recompute", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["recomputed"]["reveals"] == outcome.json["reveals"] == 6
    assert "6 of 6 reveals" in outcome.err
    other: Home = copy_home(home, tmp_path / "copy")
    for file in other.artifacts_path.rglob("*"):
        if file.is_file():
            file.unlink()
    outcome = fedcoin("verify", "--home", other.root, "--recompute")
    assert outcome.code == 0, outcome.err
    assert "2 tasks could not be checked" in outcome.out
    assert outcome.out.count(" lacks ") == 2
    assert "Everything else is valid." in outcome.out
