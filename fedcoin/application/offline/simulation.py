"""Training without a network: K clients on shares of one data set, their weights in a folder.

What the published prototype calls "generate weights". ``simulate`` writes

::

    manifest.json        what is here
    model                the ModelSpec
    base                 the weights that all started from
    evaluation           the testing set, as tensors x and y
    client-1.weights ... what each client ended with
    keys/client-1.key .. its key, so that it can be paid

and ``publish`` turns the folder into a campaign of one round and its Shapley task: miners value
the updates and the chain pays, though nobody trained in between.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedcoin.application.configuration.config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, EvaluationShard
from fedcoin.application.coordinator.chain_messages import build_open_campaign, build_open_task
from fedcoin.application.coordinator.initial_artifacts import build_initial_artifacts
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.crypto.addresses import format_address, parse_address
from fedcoin.data.crypto.key_files import load_key, save_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.data.plurals import format_count
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.model.aggregation import average_files
from fedcoin.learning.training import client_data
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.task_pb2 import ClientUpdate

VERSION = 1
MANIFEST = "manifest.json"
HONEST, MISLABELLED, FREE_RIDER = "honest", "mislabelled", "free rider"

USUAL_PLAN = TrainingPlan()

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class SimulatedClient:
    """One client: its file names within the folder, and how it did by itself.

    ``right_answers`` are those of its own weights on the evaluation set.
    """

    address: str
    role: str
    num_samples: int
    weights: str
    artifact: str
    key: str
    right_answers: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder holds; artifact ids in hex."""

    dataset: str
    model: str
    seed: int
    plan: TrainingPlan
    model_artifact: str
    base_artifact: str
    evaluation_artifact: str
    evaluation_size: int
    clients: tuple[SimulatedClient, ...]


@dataclass(frozen=True, slots=True)
class PublishedTask:
    """The campaign and the task, 32 bytes each."""

    campaign_id: bytes
    task_id: bytes


async def simulate(
    folder: Path,
    *,
    clients: int,
    dataset: str = "digits",
    model: str = "mlp",
    plan: TrainingPlan = USUAL_PLAN,
    seed: int = 0,
    roles: Sequence[str] = (),
    noise: float = 0.6,
    evaluation_size: int = 0,
    report: Report = lambda line: None,
) -> Manifest:
    """Train ``clients`` clients, one after the other, and write the folder, which must be new.

    ``roles`` may name what each client is (HONEST, MISLABELLED with the fraction ``noise`` of its
    labels wrong, FREE_RIDER); who is not named is honest. Raises Refusal: BAD_SHARE, and those
    of ``datasets``, ``models`` and ``training``.
    """
    kinds = [*roles, *[HONEST] * (clients - len(roles))]
    if clients < 1 or len(kinds) != clients or set(kinds) - {HONEST, MISLABELLED, FREE_RIDER}:
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"roles {list(roles)} do not fit {format_count(clients, 'client')}; each is one of "
            f"{HONEST}, {MISLABELLED}, {FREE_RIDER}",
            field="clients",
        )
    materials = await build_initial_artifacts(dataset, model, seed, evaluation_size=evaluation_size)
    await asyncio.to_thread(_begin, folder, materials.model, materials.weights)
    await asyncio.to_thread((folder / "evaluation").write_bytes, materials.evaluation.shards[0])
    worker = WorkerPool()
    trained = []
    try:
        for index, role in enumerate(kinds):
            data = ClientData(
                dataset,
                num_clients=clients,
                index=index,
                seed=seed,
                label_noise=noise if role == MISLABELLED else 0.0,
                is_free_rider=role == FREE_RIDER,
            )
            client = await _train(folder, worker, data, plan, role)
            report(
                f"client {index + 1} of {clients}: {role}, "
                f"{format_count(client.num_samples, 'example')}, "
                f"{client.right_answers} of {materials.evaluation.sizes[0]} right by itself"
            )
            trained.append(client)
    finally:
        await worker.stop()
    manifest = Manifest(
        dataset=dataset,
        model=model,
        seed=seed,
        plan=plan,
        model_artifact=compute_artifact_id(materials.model).hex(),
        base_artifact=compute_artifact_id(materials.weights).hex(),
        evaluation_artifact=compute_artifact_id(materials.evaluation.shards[0]).hex(),
        evaluation_size=materials.evaluation.sizes[0],
        clients=tuple(trained),
    )
    text = json.dumps({"version": VERSION, **asdict(manifest)}, indent=2)
    await asyncio.to_thread((folder / MANIFEST).write_text, text + "\n", encoding="utf-8")
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """What ``simulate`` wrote. Raises Refusal BAD_STATE when it is not that, or files changed."""
    try:
        content: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if content.pop("version") != VERSION:
            raise ValueError("of another version")
        clients = [SimulatedClient(**client) for client in content.pop("clients")]
        plan = TrainingPlan(**content.pop("plan"))
        manifest = Manifest(**content, plan=plan, clients=tuple(clients))
        _check_files(folder, manifest)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusalError(
            ApplicationCode.BAD_STATE,
            f"{folder / MANIFEST} is not what a simulation wrote: {error}",
            field="folder",
        ) from error
    return manifest


async def publish_folder(
    folder: Path,
    node: NodeClient,
    key: KeyPair,
    config: CoordinatorConfig,
    *,
    report: Report = lambda line: None,
) -> PublishedTask:
    """Open a campaign of one round for a folder, and its task. ``key`` pays and is the server.

    Of ``config`` counts what it says of money, sampling and windows. Raises Refusal BAD_STATE,
    BAD_KEY_FILE; RpcFailure when the chain refuses.
    """
    manifest = await asyncio.to_thread(read_manifest, folder)
    chain_id = (await node.get_status()).chain_id
    delivery = Delivery(node, key, chain_id, report)
    campaign = _campaign_of(manifest, chain_id)
    opened = await delivery.deliver(
        build_open_campaign(config, key.address, campaign), b"", _keep_nothing
    )
    campaign.campaign_id = opened.hash
    report(f"campaign {opened.hash.hex()} is open")
    for client in manifest.clients:
        signer = await asyncio.to_thread(load_key, folder / client.key)
        envelope = sign_update(_update_of(client, campaign), signer, chain_id)
        update = decode_update(envelope, chain_id)
        campaign.updates[update.address] = update
    campaign.aggregate = await _upload(folder, manifest, node)
    updates = [campaign.updates[address] for address in sorted(campaign.updates)]
    task = await delivery.deliver(build_open_task(config, campaign, updates), b"", _keep_nothing)
    report(f"task {task.hash.hex()} is open")
    return PublishedTask(campaign_id=opened.hash, task_id=task.hash)


async def _train(
    folder: Path, worker: WorkerPool, data: ClientData, plan: TrainingPlan, role: str
) -> SimulatedClient:
    name = f"client-{data.index + 1}"
    key = KeyPair.generate()
    model, base = folder / "model", folder / "base"
    weights, samples = await worker.run(
        f"while training {name}",
        client_data.compute_update,
        data,
        model.read_bytes(),
        base.read_bytes(),
        plan,
        # Not the address, as in a campaign: the same seed gives the same weights each time.
        data.seed + data.index,
    )
    path = folder / f"{name}.weights"
    path.write_bytes(weights)
    save_key(folder / "keys" / f"{name}.key", key)
    return SimulatedClient(
        address=format_address(key.address),
        role=role,
        num_samples=samples,
        weights=path.name,
        artifact=compute_artifact_id(weights).hex(),
        key=f"keys/{name}.key",
        right_answers=await worker.count_correct(model, path, folder / "evaluation"),
    )


async def _upload(folder: Path, manifest: Manifest, node: NodeClient) -> bytes:
    """Give the node all files and the average of the weights; the average's id."""
    paths = [folder / client.weights for client in manifest.clients]
    worker = WorkerPool()
    try:
        samples = [client.num_samples for client in manifest.clients]
        average = await worker.run("while averaging", average_files, paths, samples)
    finally:
        await worker.stop()
    for path in (folder / "model", folder / "base", folder / "evaluation", *paths):
        await node.upload_artifact(path)
    return await node.upload_artifact(average)


def _begin(folder: Path, model: bytes, base: bytes) -> None:
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        if any(folder.iterdir()):
            raise RefusalError(
                ApplicationCode.BAD_STATE,
                f"{folder} is there already and not empty; name a new folder",
                field="folder",
            ) from None
    (folder / "keys").mkdir(mode=0o700)
    (folder / "model").write_bytes(model)
    (folder / "base").write_bytes(base)


def _check_files(folder: Path, manifest: Manifest) -> None:
    files = {
        "model": manifest.model_artifact,
        "base": manifest.base_artifact,
        "evaluation": manifest.evaluation_artifact,
        **{client.weights: client.artifact for client in manifest.clients},
    }
    for name, artifact in files.items():
        if compute_artifact_id(folder / name).hex() != artifact:
            raise ValueError(f"{name} is another file than the one that was written")


def _campaign_of(manifest: Manifest, chain_id: str) -> Campaign:
    base = bytes.fromhex(manifest.base_artifact)
    shard = EvaluationShard(bytes.fromhex(manifest.evaluation_artifact), manifest.evaluation_size)
    return Campaign(
        chain_id=chain_id,
        rounds=1,
        max_clients=len(manifest.clients),
        model=bytes.fromhex(manifest.model_artifact),
        initial=base,
        base=base,
        shards=(shard,),
    )


def _update_of(client: SimulatedClient, campaign: Campaign) -> ClientUpdate:
    return ClientUpdate(
        campaign_id=campaign.campaign_id,
        round=1,
        base=campaign.base,
        update=bytes.fromhex(client.artifact),
        num_samples=client.num_samples,
        address=parse_address(client.address),
    )


async def _keep_nothing(raw: bytes) -> None:
    """A folder is published in one go; there is nothing to go on with."""
