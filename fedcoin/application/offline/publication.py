"""Publish updates that exist already: open a campaign of one round for them, with its Shapley task.

Miners value the updates and the chain pays the clients, as after a round of training with a
coordinator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from fedcoin.application.configuration.coordinator_config import CoordinatorConfig
from fedcoin.application.coordinator.campaign import Campaign, EvaluationShard
from fedcoin.application.coordinator.chain_messages import (
    build_open_campaign,
    build_open_task,
    count_in_average,
)
from fedcoin.application.coordinator.clients_file import read_clients_file
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.offline.simulation_folder import (
    BASE,
    EVALUATION,
    FROZEN,
    MODEL,
    read_manifest,
)
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.artifacts.manifest import compute_artifact_id
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.key_files import load_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.client_list import ListedClient
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.learning.model.aggregation import average_files
from fedcoin.learning.model.look_alikes import group_files
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.task_pb2 import ClientUpdate

Waiting = Callable[[], AbstractAsyncContextManager[None]]
"""Makes a context in which something says why no block comes."""


@dataclass(frozen=True, slots=True)
class PublishedClient:
    """A client's update and the key that signs it."""

    weights: Path
    """The file of its weights, as encoded tensors."""
    num_samples: int
    """Training examples, at least 1."""
    key: KeyPair = field(repr=False)
    """The client's key; its address is paid."""
    name: str = ""
    """What the client calls itself; empty for no name."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The artifacts of a task, in files, and its clients."""

    model: Path
    """The serialised ModelSpec."""
    base: Path
    """The weights from which all clients started, as encoded tensors."""
    evaluation: Path
    """The evaluation set, as encoded tensors `x` and `y`."""
    evaluation_size: int
    """Number of evaluation examples."""
    clients: tuple[PublishedClient, ...]
    """The clients, each with another key, in any order."""
    frozen: Path | None = None
    """The weights that no client trains, as encoded tensors; None for a model without."""


@dataclass(frozen=True, slots=True)
class PublishedTask:
    """The ids, 32 bytes each, of the campaign and the task that were opened on the chain."""

    campaign_id: bytes
    """The hash of the transaction that opened the campaign."""
    task_id: bytes
    """The hash of the transaction that opened the task."""


async def publish_folder(
    folder: Path,
    node: NodeClient,
    key: KeyPair,
    chain: ChainIdentity,
    config: CoordinatorConfig,
    *,
    report: Callable[[str], None] = lambda line: None,
    waiting: Waiting = nullcontext,
) -> PublishedTask:
    """Publish what a simulated training wrote. Returns once campaign and task are in final blocks.

    Args:
        folder: What `simulation.simulate` wrote.
        node: A connected client of the node to which transactions and artifacts go.
        key: Pays the budget as the model requester, and is the campaign's server.
        chain: The network that the key signs for.
        config: Budget, prices, sampling, windows and the list of clients; the other settings are
            not used.
        report: Takes one line of text for each event worth logging.
        waiting: Is entered while the blocks of both transactions are waited for.

    Returns:
        The ids of both.

    Raises:
        RefusalError: BAD_STATE when the folder is incomplete or damaged; BAD_KEY_FILE or
            WRONG_PASSPHRASE when the key of a client of the folder cannot be opened; BAD_CONFIG,
            NOT_LISTED, WRONG_NAMES or WRONG_SHAPE when the list of clients or the weights do not
            fit, as `publish` says.
        RpcError: The chain refuses a transaction, or the node an upload.
        WorkerError: The worker process that averages the weights died twice.
    """
    publication = await asyncio.to_thread(_read_folder, folder)
    return await publish(publication, node, key, chain, config, report=report, waiting=waiting)


async def publish(
    publication: Publication,
    node: NodeClient,
    key: KeyPair,
    chain: ChainIdentity,
    config: CoordinatorConfig,
    *,
    report: Callable[[str], None] = lambda line: None,
    waiting: Waiting = nullcontext,
) -> PublishedTask:
    """Open a campaign and a task for a publication. Returns once both are in final blocks.

    All artifacts are uploaded before the budget goes into escrow; those of a private campaign
    afterwards, since a node keeps them apart by the campaign.

    Args:
        publication: The artifacts and the clients.
        node: A connected client of the node to which transactions and artifacts go.
        key: Pays the budget as the model requester, and is the campaign's server.
        chain: The network that the key signs for.
        config: Budget, prices, sampling, windows and the list of clients; the other settings are
            not used.
        report: Takes one line of text for each event worth logging.
        waiting: Is entered while the blocks of both transactions are waited for.

    Returns:
        The ids of both.

    Raises:
        RefusalError: BAD_CONFIG when the file of listed clients is invalid; NOT_LISTED when that
            list does not hold a client with its examples; WRONG_NAMES, WRONG_SHAPE or BAD_TENSOR
            when the weights cannot be averaged.
        RpcError: The chain refuses a transaction, or the node an upload.
        WorkerError: The worker process that averages the weights died twice.
    """
    clients = sorted(publication.clients, key=lambda client: client.key.address)
    listed = await asyncio.to_thread(read_clients_file, config.clients_file)
    _check_listed(clients, listed)
    # The task follows at once and holds all updates.
    config = replace(config, receipt_seconds=0)
    average, groups = await _average(publication.base, clients, config)
    paths = [publication.model, publication.base, publication.evaluation]
    paths += [publication.frozen] if publication.frozen else []
    contents: list[Path | bytes] = [*paths, *(client.weights for client in clients), average]
    campaign = await asyncio.to_thread(_campaign_of, publication, chain, listed)
    campaign.aggregate = await asyncio.to_thread(compute_artifact_id, average)
    if not config.private:
        await _upload(node, contents, None)
    delivery = Delivery(node, key, chain, report)
    async with waiting():
        action = build_open_campaign(config, key.address, campaign)
        campaign.campaign_id = (await delivery.deliver(action, b"", _save_nothing)).hash
        report(f"campaign {campaign.campaign_id.hex()} is open")
        if config.private:
            await _upload(node, contents, await delivery.make_prover(campaign.campaign_id))
        for client in clients:
            body = await asyncio.to_thread(_update_of, client, campaign)
            envelope = sign_update(body, client.key, chain.genesis_hash)
            update = decode_update(envelope, chain.genesis_hash)
            campaign.updates[update.address] = update
        task_action = build_open_task(config, campaign, campaign.sorted_updates(), groups)
        task = await delivery.deliver(task_action, b"", _save_nothing)
        report(f"task {task.hash.hex()} is open")
    return PublishedTask(campaign_id=campaign.campaign_id, task_id=task.hash)


async def _upload(node: NodeClient, contents: Sequence[Path | bytes], prove: Prove | None) -> None:
    for content in contents:
        await node.upload_artifact(content, prove)


def _read_folder(folder: Path) -> Publication:
    """Read the folder of a simulated training, with its clients' keys; files give the names."""
    manifest = read_manifest(folder)
    clients = [
        PublishedClient(
            folder / client.weights,
            client.num_samples,
            load_key(folder / client.key),
            Path(client.weights).stem,
        )
        for client in manifest.clients
    ]
    model, base, evaluation = folder / MODEL, folder / BASE, folder / EVALUATION
    frozen = folder / FROZEN if manifest.frozen_artifact else None
    return Publication(model, base, evaluation, manifest.evaluation_size, tuple(clients), frozen)


def _check_listed(clients: Sequence[PublishedClient], listed: tuple[ListedClient, ...]) -> None:
    """Refuse a client that the list does not admit, before anything is paid."""
    allowed = {client.address: client.max_samples for client in listed}
    for client in clients if listed else ():
        most = allowed.get(client.key.address, 0)
        if client.num_samples > most:
            raise RefusalError(
                ApplicationCode.NOT_LISTED,
                f"{format_address(client.key.address)} claims {client.num_samples} examples; the "
                f"list of clients allows it {most}: correct the list, or leave it out to let "
                "anybody take part",
                field="coordinator.clients_file",
                limit=str(most),
            )


async def _average(
    base: Path, clients: Sequence[PublishedClient], config: CoordinatorConfig
) -> tuple[bytes, tuple[int, ...]]:
    """Average the clients' weights, and group them where the settings have a similarity limit."""
    paths = [client.weights for client in clients]
    groups: tuple[int, ...] = ()
    workers = WorkerPool()
    try:
        if config.similarity_limit:
            limit = config.similarity_limit
            groups = await workers.run("while grouping", group_files, base, paths, limit)
        counts = count_in_average(config, [client.num_samples for client in clients], groups)
        return await workers.run("while averaging", average_files, paths, counts), groups
    finally:
        await workers.stop()


def _campaign_of(
    publication: Publication, chain: ChainIdentity, listed: tuple[ListedClient, ...]
) -> Campaign:
    base = compute_artifact_id(publication.base)
    shard = EvaluationShard(
        compute_artifact_id(publication.evaluation), publication.evaluation_size
    )
    return Campaign(
        chain_id=chain.chain_id,
        genesis_hash=chain.genesis_hash,
        rounds=1,
        max_clients=len(publication.clients),
        model=compute_artifact_id(publication.model),
        initial=base,
        frozen=compute_artifact_id(publication.frozen) if publication.frozen else b"",
        base=base,
        shards=(shard,),
        listed=listed,
    )


def _update_of(client: PublishedClient, campaign: Campaign) -> ClientUpdate:
    return ClientUpdate(
        campaign_id=campaign.campaign_id,
        round=1,
        base=campaign.base,
        update=compute_artifact_id(client.weights),
        num_samples=client.num_samples,
        address=client.key.address,
        name=client.name,
    )


async def _save_nothing(raw: bytes) -> None:
    """Save no pending transaction: a publication that is interrupted is not resumed."""
