"""Coordinators of a home: its lock, its campaign on disk, its artifacts."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.fields import dialable
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.tls import client_credentials, server_credentials
from fedcoin.application.coordinator.campaign import Phase
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_coordinator(
    config: NodeConfig,
    home: Home,
    key: KeyPair,
    node: NodeClient,
    store: ArtifactStore,
    *,
    new: bool = False,
) -> AsyncIterator[Coordinator]:
    """A coordinator that listens; ``run`` it.

    It goes on with the home's campaign; with ``new``, a finished one makes way for another.
    Raises HOME_IN_USE, and what :meth:`Coordinator.start` raises.
    """
    with home.campaign_locked():
        if new:
            await archive_finished_campaign(home)
        coordinator = Coordinator(
            config.coordinator,
            key,
            node,
            store,
            home.coordinator_path,
            credentials=server_credentials(config.tls),
        )
        await coordinator.start()
        try:
            if coordinator.campaign.phase is Phase.FINISHED:
                log.warning(
                    "campaign %s is finished, and nothing is left to do: start again with "
                    "--new-campaign to begin another",
                    coordinator.campaign.campaign_id.hex(),
                )
            yield coordinator
        finally:
            await coordinator.stop()


def open_coordinator_store(config: NodeConfig, home: Home) -> ArtifactStore:
    """The artifacts of a coordinator without a node in its process.

    The node that it talks to gets those that a task needs.
    """
    folder, limits = home.campaign_path / "artifacts", config.limits
    return ArtifactStore(folder, limits.artifacts_total_bytes, limits.artifact_bytes)


async def archive_finished_campaign(home: Home) -> None:
    """Moves a finished campaign out of the way, so that another begins.

    A campaign that is under way stays. For whoever holds its lock. Raises BAD_STATE.
    """
    campaign = await CampaignFile(home.coordinator_path).load()
    if campaign is None or campaign.phase is not Phase.FINISHED:
        return
    kept = home.root / f"coordinator-{campaign.campaign_id.hex()[:16] or 'unopened'}.json"
    os.replace(home.coordinator_path, kept)
    log.info("the last campaign is finished and kept in %s; this is a new one", kept)


async def run_node_campaign(
    config: NodeConfig,
    home: Home,
    api_address: str,
    artifacts: ArtifactStore,
    *,
    new: bool = False,
) -> None:
    """Runs the home's campaign to its end, going on where it was; ``new`` is another after one.

    Raises :class:`Refusal` when it cannot begin: HOME_IN_USE while a coordinator without a node
    works on the same campaign, and what :meth:`Coordinator.start` raises. A campaign that fails
    later is told in the log, and the node works on.
    """
    key = home.key(config.coordinator.key)
    async with (
        NodeClient(dialable(api_address), credentials=client_credentials(config.tls)) as client,
        open_coordinator(config, home, key, client, artifacts, new=new) as coordinator,
    ):
        await _run(coordinator)


async def _run(coordinator: Coordinator) -> None:
    try:
        await coordinator.run()
        log.info("the campaign is finished")
    except RefusalError as refusal:
        # Clients that did not come are no fault of this node.
        log.warning("the campaign ended: %s", refusal)
    except (RpcError, WorkerError) as failure:
        log.error("the campaign ended: %s", failure)
