"""Flower's simulation with Ray, paid by a node in this process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="flwr is not installed: make test-integrations has it")
pytest.importorskip("torch", reason="torch is not installed: make test-integrations has it")
pytest.importorskip("ray", reason="ray is not installed: make test-integrations has it")

from fedcoin.application.client.receipt_folder import ReceiptFolder
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import save_key
from fedcoin.data.crypto.keys import KeyPair
from tests.support.paths import ROOT
from tests.support.training_site import SERVER, site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CLIENTS = 4
ROUNDS = 3


async def test_virtual_clients_are_paid_by_their_own_keys(tmp_path: Path) -> None:
    save_key(tmp_path / "server.json", SERVER)
    result, log = tmp_path / "result.json", tmp_path / "log"
    async with site(tmp_path) as here, AsyncExitStack() as stack:
        settings = {
            "node": here.client.target,
            "key": str(tmp_path / "server.json"),
            "genesis": here.chain.genesis_hash.hex(),
            "folder": str(tmp_path / "campaign"),
            "campaign": {
                "model": str(tmp_path / "model.onnx"),
                "dataset": "digits",
                "rounds": ROUNDS,
                "budget": "30fdc",
                "receipt_seconds": 60,
            },
            "homes": str(tmp_path),
            "clients": CLIENTS,
            "result": str(result),
        }
        output = stack.enter_context(log.open("wb"))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # By its path: other packages may have a folder `tests`, too.
            str(ROOT / "tests" / "support" / "processes" / "flower_simulation.py"),
            json.dumps(settings),
            cwd=ROOT,
            env={
                **os.environ,
                # Ray's actors import the app by name.
                "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'examples' / 'flower_paid'}",
                "FLWR_HOME": str(tmp_path / "flwr"),
                "FLWR_TELEMETRY_ENABLED": "0",
                "RAY_USAGE_STATS_ENABLED": "0",
            },
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
        )
        assert await process.wait() == 0, log.read_text()[-4000:]
        rounds = json.loads(result.read_text())
        assert len(rounds) == ROUNDS, log.read_text()[-4000:]
        for number in range(CLIENTS):
            key = KeyPair.from_seed(bytes([1 + number]) * 32)
            address = format_address(key.address)
            paid = sum(metrics[f"paid-sap:{address}"] for metrics in rounds.values())
            assert paid > 0
            assert int((await here.client.get_account(key.address)).balance) == paid
            folder = ReceiptFolder(tmp_path / f"client-{number}", here.chain.genesis_hash)
            check_receipts(folder, key)
        assert rounds["3"]["utility-on-chain"] > 0.9


def check_receipts(folder: ReceiptFolder, key: KeyPair) -> None:
    """Check that a client keeps a receipt of each round, for its own updates."""
    kept = folder.load()
    assert sorted(entry.update.round for entry in kept) == list(range(1, ROUNDS + 1))
    assert {entry.update.address for entry in kept} == {key.address}
