"""Publish a simulated training: open a campaign of one round for it, and its Shapley task.

Miners value the updates and the chain pays the clients, as after a round of real training.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedcoin.application.configuration.config import CoordinatorConfig
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
    MODEL,
    SimulatedClient,
    SimulationManifest,
    read_manifest,
)
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.crypto.key_files import load_key
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.data.messages.client_list import ListedClient
from fedcoin.data.messages.updates import decode_update, sign_update
from fedcoin.learning.model.aggregation import average_files
from fedcoin.learning.model.look_alikes import group_files
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.client.node_client import NodeClient
from fedcoin.v1.task_pb2 import ClientUpdate


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
) -> PublishedTask:
    """Open a campaign and a task for a folder. Returns once both are in final blocks.

    Args:
        folder: What `simulation.simulate` wrote.
        node: A connected client of the node to which transactions and artifacts go.
        key: Pays the budget as the model requester, and is the campaign's server.
        chain: The network that the key signs for.
        config: Budget, prices, sampling, windows and the list of clients; the other settings are
            not used.
        report: Takes one line of text for each event worth logging.

    Returns:
        The ids of both.

    Raises:
        RefusalError: BAD_STATE when the folder is incomplete or damaged; BAD_CONFIG when the file
            of clients is invalid; BAD_KEY_FILE or WRONG_PASSPHRASE when the key of a client of the
            folder cannot be opened; NOT_LISTED when the list of clients does not hold a client of
            the folder with its examples.
        RpcError: The chain refuses a transaction, or the node an upload.
        WorkerError: The worker process that averages the weights died twice.
    """
    manifest = await asyncio.to_thread(read_manifest, folder)
    delivery = Delivery(node, key, chain, report)
    listed = await asyncio.to_thread(read_clients_file, config.clients_file)
    _check_listed(manifest, listed)
    # The task follows at once and holds all updates.
    config = replace(config, receipt_seconds=0)
    campaign = _campaign_from(manifest, chain, listed)
    action = build_open_campaign(config, key.address, campaign)
    opened = await delivery.deliver(action, b"", _save_nothing)
    campaign.campaign_id = opened.hash
    report(f"campaign {opened.hash.hex()} is open")
    for client in manifest.clients:
        signer = await asyncio.to_thread(load_key, folder / client.key)
        envelope = sign_update(_update_of(client, campaign), signer, chain.genesis_hash)
        update = decode_update(envelope, chain.genesis_hash)
        campaign.updates[update.address] = update
    clients = sorted(manifest.clients, key=lambda client: parse_address(client.address))
    average, groups = await _average(folder, clients, config)
    campaign.aggregate = await _upload_artifacts(folder, manifest, average, node)
    task_action = build_open_task(config, campaign, campaign.sorted_updates(), groups)
    task = await delivery.deliver(task_action, b"", _save_nothing)
    report(f"task {task.hash.hex()} is open")
    return PublishedTask(campaign_id=opened.hash, task_id=task.hash)


def _check_listed(manifest: SimulationManifest, listed: tuple[ListedClient, ...]) -> None:
    """Refuse a folder with a client that the list does not admit, before anything is paid."""
    allowed = {client.address: client.max_samples for client in listed}
    for client in manifest.clients if listed else ():
        most = allowed.get(parse_address(client.address), 0)
        if client.num_samples > most:
            raise RefusalError(
                ApplicationCode.NOT_LISTED,
                f"{client.address} claims {client.num_samples} examples; the list of clients "
                f"allows it {most}: correct the list, or leave it out to let anybody take part",
                field="coordinator.clients_file",
                limit=str(most),
            )


async def _average(
    folder: Path, clients: Sequence[SimulatedClient], config: CoordinatorConfig
) -> tuple[bytes, tuple[int, ...]]:
    """Average the clients' weights, and group them where the settings have a similarity limit."""
    paths = [folder / client.weights for client in clients]
    groups: tuple[int, ...] = ()
    workers = WorkerPool()
    try:
        if config.similarity_limit:
            base, limit = folder / BASE, config.similarity_limit
            groups = await workers.run("while grouping", group_files, base, paths, limit)
        counts = count_in_average(config, [client.num_samples for client in clients], groups)
        return await workers.run("while averaging", average_files, paths, counts), groups
    finally:
        await workers.stop()


async def _upload_artifacts(
    folder: Path, manifest: SimulationManifest, average: bytes, node: NodeClient
) -> bytes:
    """Upload all files and the average of the weights; return the average's artifact id."""
    paths = [folder / client.weights for client in manifest.clients]
    for path in (folder / MODEL, folder / BASE, folder / EVALUATION, *paths):
        await node.upload_artifact(path)
    return await node.upload_artifact(average)


def _campaign_from(
    manifest: SimulationManifest, chain: ChainIdentity, listed: tuple[ListedClient, ...]
) -> Campaign:
    base = bytes.fromhex(manifest.base_artifact)
    shard = EvaluationShard(bytes.fromhex(manifest.evaluation_artifact), manifest.evaluation_size)
    return Campaign(
        chain_id=chain.chain_id,
        genesis_hash=chain.genesis_hash,
        rounds=1,
        max_clients=len(manifest.clients),
        model=bytes.fromhex(manifest.model_artifact),
        initial=base,
        base=base,
        shards=(shard,),
        listed=listed,
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


async def _save_nothing(raw: bytes) -> None:
    """Save no pending transaction: a publication that is interrupted is not resumed."""
