"""`train simulate` writes weights, and `task publish` makes a task of them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

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
from fedcoin.learning.training.partition_spec import parse_partition
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.v1.block_pb2 import TASK_PHASE_SETTLED
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
    assert honest.right_answers > mislabelled.right_answers
    assert rider.artifact == manifest.base_artifact
    assert len(lines) == 3
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


async def test_weights_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    partition = parse_partition("labels:4+label-noise:0..0.5")
    manifests = [
        await simulate(
            tmp_path / str(processes),
            num_clients=3,
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


async def test_an_unknown_data_set_or_model(tmp_path: Path) -> None:
    for given, code in (
        ({"dataset": "cifar"}, LearningCode.UNKNOWN_DATASET),
        ({"model": "missing.json"}, LearningCode.UNKNOWN_MODEL),
    ):
        with pytest.raises(RefusalError) as caught:
            await simulate(tmp_path / "new", num_clients=2, **given)  # type: ignore[arg-type]
        assert caught.value.code is code
