"""`train simulate` writes weights, and `task publish` makes a task of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fedcoin.application.errors import ApplicationCode
from fedcoin.application.offline.publication import publish_folder
from fedcoin.application.offline.simulation import (
    FREE_RIDER,
    HONEST,
    MISLABELLED,
    simulate,
)
from fedcoin.application.offline.simulation_folder import read_manifest
from fedcoin.data.artifacts.tensors import decode_tensors
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import load_key
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.training.datasets import load_dataset
from fedcoin.learning.training.partition_spec import parse_partition
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.v1.block_pb2 import TASK_PHASE_SETTLED
from tests.support.onnx_graphs import graph_model, node
from tests.support.training_site import SERVER, settings, site


@pytest.mark.timeout(300)
async def test_simulate_and_publish(tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    lines: list[str] = []
    manifest = await simulate(
        folder,
        num_clients=3,
        plan=TrainingPlan(epochs=3),
        seed=5,
        roles=[HONEST, MISLABELLED, FREE_RIDER],
        report=lines.append,
    )
    assert read_manifest(folder) == manifest
    assert [client.role for client in manifest.clients] == [HONEST, MISLABELLED, FREE_RIDER]
    assert sum(client.num_samples for client in manifest.clients) == 1437
    honest, mislabelled, rider = manifest.clients
    assert honest.utility > mislabelled.utility
    assert rider.artifact == manifest.base_artifact
    first, *of_clients = lines
    assert first == "digits: inputs 0 to 16 (uint8), not scaled; the model divides them by 16"
    assert len(of_clients) == 3
    for client in manifest.clients:
        key = load_key(folder / client.key)
        assert format_address(key.address) == client.address
        assert len(decode_tensors((folder / client.weights).read_bytes())) == 4

    async with site(tmp_path / "site") as here:
        published = await publish_folder(
            folder, here.client, SERVER, here.chain, settings(), report=lines.append
        )

        async def closed() -> None:
            async for _ in here.client.watch_task(published.task_id):
                pass

        await asyncio.wait_for(closed(), 60)
        view = await here.client.get_task(published.task_id)
        assert view.phase == TASK_PHASE_SETTLED
        assert {c.address: c.num_samples for c in view.clients} == {
            c.address: c.num_samples for c in manifest.clients
        }
        payouts = {c.address: c.payout for c in view.clients}
        assert payouts[honest.address] > 0
        assert payouts[rider.address] == 0
        assert (await here.client.get_campaign(published.campaign_id)).closed

    await refuse_changed(folder)


@pytest.mark.timeout(300)
async def test_the_same_numbers_are_worth_the_same_in_every_dtype(tmp_path: Path) -> None:
    digits = load_dataset("digits")
    manifests = []
    for dtype in (np.uint8, np.float64):
        file = tmp_path / f"{np.dtype(dtype)}.npz"
        parts = {name: getattr(digits, name) for name in ("x_train", "y_train", "x_test", "y_test")}
        parts |= {name: array.astype(dtype) for name, array in parts.items() if name[0] == "x"}
        np.savez(file, **parts)
        manifests.append(
            await simulate(
                tmp_path / file.stem,
                num_clients=2,
                dataset=str(file),
                plan=TrainingPlan(epochs=4),
            )
        )
    whole, floats = manifests
    assert whole.evaluation_artifact == floats.evaluation_artifact
    assert whole.model_artifact == floats.model_artifact
    assert [client.artifact for client in whole.clients] == [c.artifact for c in floats.clients]
    assert min(client.utility for client in whole.clients) > 200


async def refuse_changed(folder: Path) -> None:
    with pytest.raises(RefusalError) as caught:
        await simulate(folder, num_clients=2)
    assert caught.value.code is ApplicationCode.BAD_STATE
    good = (folder / "manifest.json").read_text()
    newer = json.dumps({**json.loads(good), "version": 2})
    for bad in ("", "[]", newer, good.replace("seed", "s")):
        (folder / "manifest.json").write_text(bad)
        with pytest.raises(RefusalError) as caught:
            read_manifest(folder)
        assert caught.value.code is ApplicationCode.BAD_STATE
    (folder / "manifest.json").write_text(good)
    (folder / ".hidden").write_bytes(b"")
    read_manifest(folder)
    (folder / "client-9.npz").write_bytes(b"")
    with pytest.raises(RefusalError, match=r"client-9\.npz is not a file of it"):
        read_manifest(folder)
    (folder / "client-9.npz").unlink()
    (folder / "client-1.weights").write_bytes(b"others")
    with pytest.raises(RefusalError) as caught:
        read_manifest(folder)
    assert caught.value.code is ApplicationCode.BAD_STATE


@pytest.mark.parametrize(
    ("clients", "roles"), [(0, []), (1, [HONEST, HONEST]), (2, ["villain"]), (-1, [])]
)
async def test_impossible_clients(tmp_path: Path, clients: int, roles: list[str]) -> None:
    with pytest.raises(RefusalError) as caught:
        await simulate(tmp_path / "new", num_clients=clients, roles=roles)
    assert caught.value.code is LearningCode.BAD_SHARE
    assert not (tmp_path / "new").exists()


def write_network(path: Path) -> dict[str, NDArray[Any]]:
    """Write a small ONNX network for the digits; returns its weights."""
    rng = np.random.default_rng(4)
    weights = {
        name: (rng.normal(size=shape) / 8).astype(np.float32)
        for name, shape in {"w1": (16, 64), "b1": (16,), "w2": (10, 16), "b2": (10,)}.items()
    }
    nodes = [
        node("Flatten", "x", "flat"),
        node("Gemm", "flat w1 b1", "h", transB=1),
        node("Relu", "h", "r"),
        node("Gemm", "r w2 b2", "y", transB=1),
    ]
    path.write_bytes(graph_model(nodes, (8, 8), {}, weights).SerializeToString())
    return weights


async def test_weights_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    partition = parse_partition("labels:4+label-noise:0..0.5")
    write_network(tmp_path / "net.onnx")
    manifests = [
        await simulate(
            tmp_path / str(processes),
            num_clients=3,
            model=str(tmp_path / "net.onnx"),
            scale=16.0,
            plan=TrainingPlan(epochs=1),
            partition=partition,
            processes=processes,
        )
        for processes in (1, 2)
    ]
    one, two = ([(c.artifact, c.num_samples) for c in m.clients] for m in manifests)
    assert one == two
    assert len(set(one)) == 3
    assert read_manifest(tmp_path / "2").partition == str(partition)


async def test_an_onnx_network_is_trained_from_its_own_weights(tmp_path: Path) -> None:
    weights = write_network(tmp_path / "net.onnx")
    folder = tmp_path / "weights"
    manifest = await simulate(
        folder,
        num_clients=2,
        model=str(tmp_path / "net.onnx"),
        scale=16.0,
        plan=TrainingPlan(epochs=6),
    )
    base = decode_tensors((folder / "base").read_bytes())
    assert all(np.array_equal(base[name], weights[name]) for name in weights)
    assert min(client.utility for client in manifest.clients) > 200
    trained = decode_tensors((folder / manifest.clients[0].weights).read_bytes())
    assert {name: array.shape for name, array in trained.items()} == {
        name: array.shape for name, array in weights.items()
    }


async def test_an_unknown_data_set_or_model(tmp_path: Path) -> None:
    for given, code in (
        ({"dataset": "cifar"}, LearningCode.UNKNOWN_DATASET),
        ({"model": "missing.json"}, LearningCode.UNKNOWN_MODEL),
        ({"model": "missing.onnx"}, LearningCode.UNKNOWN_MODEL),
    ):
        with pytest.raises(RefusalError) as caught:
            await simulate(tmp_path / "new", num_clients=2, **given)  # type: ignore[arg-type]
        assert caught.value.code is code
