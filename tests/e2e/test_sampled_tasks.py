"""Tasks with too many clients for exact values, through a network of two miners.

The clients' folder is what `train simulate` writes; quick tests write it without TensorFlow.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fedcoin.application.offline.simulation_folder import (
    SimulatedClient,
    SimulationManifest,
    read_manifest,
    write_manifest,
)
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import save_key
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.v1.task_pb2 import Schedule
from tests.support.e2e.campaigns import check_paid, client_keys
from tests.support.e2e.materials import Round, id_of
from tests.support.e2e.network import BOND, BRISK, Network
from tests.support.keys import ALICE
from tests.support.programs import Stage, fedcoin

CLIENTS = 14
FREE_RIDER = 5


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with Stage(tmp_path_factory.mktemp("sampled")) as stage:
        network = Network(stage, [BOND] * 2, BRISK)
        network.nodes[0].home.add_key("alice", ALICE)
        asyncio.run(network.start())
        yield network
        network.finish()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a simulation's folder; one client is a free rider."""
    folder = tmp_path_factory.mktemp("weights") / "weights"
    (folder / "keys").mkdir(parents=True)
    work = Round(CLIENTS)
    work.updates[FREE_RIDER] = work.base
    files = {"model": work.model, "base": work.base, "evaluation": work.evaluation}
    clients = []
    for index, key in enumerate(client_keys(CLIENTS)):
        name = f"client-{index + 1}"
        files[f"{name}.weights"] = work.updates[index]
        save_key(folder / "keys" / f"{name}.key", key)
        clients.append(
            SimulatedClient(
                address=format_address(key.address),
                role="free rider" if index == FREE_RIDER else "honest",
                num_samples=work.num_samples[index],
                weights=f"{name}.weights",
                artifact=id_of(work.updates[index]).hex(),
                key=f"keys/{name}.key",
                utility=0,
            )
        )
    for name, raw in files.items():
        (folder / name).write_bytes(raw)
    manifest = SimulationManifest(
        dataset="digits",
        model="by hand",
        seed=0,
        plan=TrainingPlan(),
        model_artifact=id_of(work.model).hex(),
        base_artifact=id_of(work.base).hex(),
        evaluation_artifact=id_of(work.evaluation).hex(),
        evaluation_size=work.examples,
        clients=tuple(clients),
    )
    write_manifest(folder, manifest)
    assert read_manifest(folder) == manifest
    return folder


def publish(network: Network, folder: Path, **settings: object) -> dict[str, Any]:
    """Publish a task by command; returns the settled task."""
    sets = [f"--set=coordinator.{name}={value}" for name, value in settings.items()]
    home = network.nodes[0].home.root
    out = fedcoin(
        "task", "publish", folder, "--home", home, "--key", "alice", "--budget", "10fdc",
        "--wait", "--json", *sets, seconds=100,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(out)
    return found


async def check(network: Network, task: dict[str, Any], schedule: str) -> None:
    """Check samples, evidence, agreement and payment."""
    await network.wait_for_one_state()
    async with network.clients() as clients:
        for client in clients:
            view = await client.get_task(task["task_id"])
            assert Schedule.Name(view.schedule) == f"SCHEDULE_{schedule}"
            check_paid(view)
            assert len(view.miners) == 2
            assert all(miner.revealed and miner.inlier for miner in view.miners)
            # Each miner evaluated its own samples, drawn by its key.
            assert all(miner.evaluations >= len(view.clients) for miner in view.miners)
            reveals = [await client.get_evidence(task["task_id"], m.address) for m in view.miners]
            assert len({reveal.transaction for reveal in reveals}) == 2


def by_role(folder: Path, task: dict[str, Any]) -> dict[str, list[int]]:
    """Return the payouts of each role's clients."""
    payouts = {client["address"]: int(client["payout"]) for client in task["clients"]}
    found: dict[str, list[int]] = {}
    for client in read_manifest(folder).clients:
        found.setdefault(client.role, []).append(payouts[client.address])
    return found


@pytest.mark.parametrize("schedule", ["permutation", "antithetic"])
async def test_a_sampled_task_is_settled(network: Network, folder: Path, schedule: str) -> None:
    task = await asyncio.to_thread(
        publish, network, folder, schedule=schedule, commit_seconds=15, max_samples=400
    )
    await check(network, task, schedule.upper())
    paid = by_role(folder, task)
    assert paid["free rider"] == [0]
    assert sum(amount > 0 for amount in paid["honest"]) > CLIENTS // 2
    # Mining took less time than the target, so the next task needs a smaller standard error.
    async with network.clients() as (client, *_):
        campaign = await client.get_campaign(task["campaign_id"])
    before = int(task["difficulty_nano"])
    assert before // 2 <= campaign.difficulty_nano < before


async def test_auto_chooses_antithetic_samples(network: Network, folder: Path) -> None:
    """With more than twelve clients, "auto" means antithetic; walks may be truncated."""
    task = await asyncio.to_thread(
        publish, network, folder, commit_seconds=15, max_samples=200, truncation=2,
        reward="pro_rata",
    )  # fmt: skip
    await check(network, task, "ANTITHETIC")
    async with network.nodes[0].client() as client:
        view = await client.get_task(task["task_id"])
    assert all(miner.reward > 0 for miner in view.miners)


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("schedule", ["permutation", "antithetic"])
async def test_simulated_clients(network: Network, tmp_path: Path, schedule: str) -> None:
    """Fourteen clients train, and are evaluated and paid."""
    folder = tmp_path / "weights"
    await asyncio.to_thread(
        fedcoin, "train", "simulate", folder, "--clients", CLIENTS, "--free-riders", 1,
        "--mislabelled", 1, "--epochs", 2, seconds=300,
    )  # fmt: skip
    task = await asyncio.to_thread(
        publish, network, folder, schedule=schedule, commit_seconds=20, max_samples=400
    )
    await check(network, task, schedule.upper())
    paid = by_role(folder, task)
    assert paid["free rider"] == [0]
    assert max(paid["honest"]) > max(paid["mislabelled"])
