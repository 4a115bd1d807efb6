"""Simulate a round of federated training without a network, and write the weights to a folder.

Every client trains on its share of one data set, in one of a few processes. (The prototype that
was published with the FedCoin paper calls this "generate weights".) `publication` makes a campaign
and a Shapley task of the folder.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.coordinator.initial_artifacts import (
    InitialArtifacts,
    build_initial_artifacts,
)
from fedcoin.application.offline.simulation_folder import (
    BASE,
    EVALUATION,
    FROZEN,
    KEYS,
    MODEL,
    SimulatedClient,
    SimulationManifest,
    create_folder,
    write_manifest,
)
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import save_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.errors import LearningCode
from fedcoin.learning.measures.target_kind import find_target_kind
from fedcoin.learning.measures.terms import TERMS, format_utility
from fedcoin.learning.training import client_data
from fedcoin.learning.training.client_data import ClientData
from fedcoin.learning.training.partition_spec import LINEAR, Partition
from fedcoin.learning.training.training_plan import TrainingPlan
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.training_pool import TrainingPool
from fedcoin.v1 import task_pb2

HONEST, MISLABELLED, FREE_RIDER = "honest", "mislabelled", "free rider"
ROLES = (HONEST, MISLABELLED, FREE_RIDER)
"""A client's behaviour: it trains honestly, trains on wrong labels, or does not train."""

_DEFAULT_PLAN = TrainingPlan()


@dataclass(frozen=True, slots=True)
class _Workers:
    training: TrainingPool
    evaluation: WorkerPool


async def simulate(
    folder: Path,
    *,
    num_clients: int,
    dataset: str = "digits",
    model: str = "mlp",
    plan: TrainingPlan = _DEFAULT_PLAN,
    seed: int = 0,
    roles: Sequence[str] = (),
    label_noise: float = 0.6,
    partition: Partition = LINEAR,
    evaluation_size: int = 0,
    scale: float = 0.0,
    utility: int = task_pb2.UTILITY_ACCURACY,
    trained: Sequence[str] = (),
    initial_weights: str = "",
    processes: int = 1,
    report: Callable[[str], None] = lambda line: None,
) -> SimulationManifest:
    """Train clients in a few processes, and write a folder.

    Args:
        folder: A path that does not exist, or an empty folder.
        num_clients: How many clients share the training set.
        dataset: A name or path for `datasets.load_dataset`.
        model: A name, or the path of an architecture (see `build_initial_artifacts`).
        plan: How the clients train.
        seed: Seeds initial weights, shares, wrong labels and the order of examples.
        roles: The role of each client in order, of `ROLES`; clients beyond the list are honest.
        label_noise: The fraction of a mislabelled client's labels that are wrong, 0 to 1; drawn
            anew after the partition's noise.
        partition: How the training set is divided among all clients, whatever their roles.
        evaluation_size: How many test examples form the evaluation set; 0 for all.
        scale: What to divide all inputs by, as in `datasets.load_dataset`.
        utility: What each client's model is measured by, a value of the enum `Utility`.
        trained: Patterns of the names of weights to train (`freeze_weights`); none for all.
        initial_weights: The path of a file of the weights that all clients start from; empty for
            the model's own.
        processes: How many clients train at a time, each in a process with its own TensorFlow. The
            weights do not depend on it.
        report: Takes one line of text about the inputs, and one for each client.

    Returns:
        The folder's manifest.

    Raises:
        RefusalError: BAD_SHARE when the roles do not fit the clients or the data set cannot be
            divided; BAD_PARTITION when it does not fit the partition; BAD_STATE when the folder is
            not empty; UNKNOWN_DATASET, BAD_DATASET, UNKNOWN_MODEL or BAD_MODEL when the data set or
            the model cannot be used (`build_initial_artifacts`); NOT_FINITE or NOT_TRAINABLE when a
            client cannot be trained.
        WorkerError: A worker process died.
    """
    client_roles = _complete_roles(roles, num_clients)
    artifacts = await build_initial_artifacts(
        dataset,
        model,
        seed,
        evaluation_size=evaluation_size,
        scale=scale,
        utility=utility,
        trained=trained,
        initial_weights=initial_weights,
    )
    for sentence in artifacts.describe():
        report(f"{dataset}: {sentence}")
    await asyncio.to_thread(_write_artifacts, folder, artifacts)
    all_data = [
        ClientData(
            dataset,
            num_clients=num_clients,
            index=index,
            seed=seed,
            label_noise=label_noise if role == MISLABELLED else 0.0,
            is_free_rider=role == FREE_RIDER,
            partition=partition,
            scale=scale,
            kind=find_target_kind(utility),
        )
        for index, role in enumerate(client_roles)
    ]
    workers = _Workers(TrainingPool(processes), WorkerPool())
    tasks = [
        asyncio.create_task(_train(folder, workers, data, plan, role, utility))
        for data, role in zip(all_data, client_roles, strict=True)
    ]
    clients = []
    try:
        for data, role, task in zip(all_data, client_roles, tasks, strict=True):
            client = await task
            value = format_utility(utility, client.utility, artifacts.evaluation.sizes[0])
            report(
                f"client {data.index + 1} of {num_clients}: {role}, "
                f"{format_count(client.num_samples, 'example')}, "
                f"{TERMS[utility].title} {value} by itself"
            )
            clients.append(client)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(workers.training.stop(), workers.evaluation.stop())
    manifest = SimulationManifest(
        dataset=dataset,
        model=model,
        seed=seed,
        partition=str(partition),
        plan=plan,
        model_artifact=compute_artifact_id(artifacts.model).hex(),
        base_artifact=compute_artifact_id(artifacts.weights).hex(),
        evaluation_artifact=compute_artifact_id(artifacts.evaluation.shards[0]).hex(),
        evaluation_size=artifacts.evaluation.sizes[0],
        clients=tuple(clients),
        measure=TERMS[utility].name,
        frozen_artifact=compute_artifact_id(artifacts.frozen).hex() if artifacts.frozen else "",
    )
    await asyncio.to_thread(write_manifest, folder, manifest)
    return manifest


def _complete_roles(roles: Sequence[str], num_clients: int) -> list[str]:
    completed = [*roles, *[HONEST] * (num_clients - len(roles))]
    if num_clients < 1 or len(completed) != num_clients or not set(completed) <= set(ROLES):
        raise RefusalError(
            LearningCode.BAD_SHARE,
            f"roles {list(roles)} do not fit {format_count(num_clients, 'client')}; there must be "
            f"at least 1 client and at most one role for each, of {', '.join(ROLES)}",
            field="clients",
        )
    return completed


def _write_artifacts(folder: Path, artifacts: InitialArtifacts) -> None:
    create_folder(folder)
    (folder / MODEL).write_bytes(artifacts.model)
    (folder / BASE).write_bytes(artifacts.weights)
    (folder / EVALUATION).write_bytes(artifacts.evaluation.shards[0])
    if artifacts.frozen:
        (folder / FROZEN).write_bytes(artifacts.frozen)


async def _train(
    folder: Path,
    workers: _Workers,
    data: ClientData,
    plan: TrainingPlan,
    role: str,
    utility: int,
) -> SimulatedClient:
    name = f"client-{data.index + 1}"
    key = KeyPair.generate()
    model = folder / MODEL
    frozen = folder / FROZEN if (folder / FROZEN).exists() else None
    weights, num_samples = await workers.training.run(
        f"while training {name}",
        client_data.compute_update,
        data,
        model.read_bytes(),
        (folder / BASE).read_bytes(),
        plan,
        # In a campaign the client's seed comes from its address. Keys are new in each simulation,
        # but the same seed should give the same weights.
        data.seed + data.index,
        frozen,
    )
    path = folder / f"{name}.weights"
    path.write_bytes(weights)
    key_name = f"{KEYS}/{name}.key"
    save_key(folder / key_name, key)
    return SimulatedClient(
        address=format_address(key.address),
        role=role,
        num_samples=num_samples,
        weights=path.name,
        artifact=compute_artifact_id(weights).hex(),
        key=key_name,
        utility=await workers.evaluation.measure_model(
            model, path, folder / EVALUATION, utility, frozen
        ),
    )
