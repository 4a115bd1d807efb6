"""A coordinator by itself, without a node in its process: its lock, its files, its artifacts."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from fedcoin.application.config import NodeConfig
from fedcoin.application.coordinator import Coordinator
from fedcoin.application.federated.state_file import CampaignFile
from fedcoin.application.home import Home
from fedcoin.data.artifact_store import ArtifactStore
from fedcoin.data.keys import KeyPair
from fedcoin.learning.campaign import Phase
from fedcoin.network.api.client import NodeClient


@asynccontextmanager
async def open_coordinator(
    config: NodeConfig,
    home: Home,
    key: KeyPair,
    node: NodeClient,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[Coordinator]:
    """A coordinator that listens; ``run`` it.

    Raises HOME_IN_USE, and what :meth:`Coordinator.start` raises.
    """
    with home.campaign_locked():
        coordinator = Coordinator(
            config.coordinator,
            key,
            node,
            own_store(config, home),
            home.coordinator_path,
            credentials=credentials,
        )
        await coordinator.start()
        try:
            yield coordinator
        finally:
            await coordinator.stop()


def own_store(config: NodeConfig, home: Home) -> ArtifactStore:
    """Where its artifacts are; the node that it talks to gets those that a task needs."""
    folder, limits = home.campaign_path / "artifacts", config.limits
    return ArtifactStore(folder, limits.artifacts_total_bytes, limits.artifact_bytes)


async def retire_campaign(home: Home) -> bool:
    """Moves a finished campaign out of the way, so that another begins; False if there is none.

    A campaign that is under way stays. Raises BAD_STATE, HOME_IN_USE.
    """
    with home.campaign_locked():
        campaign = await CampaignFile(home.coordinator_path).load()
        if campaign is None or campaign.phase is not Phase.FINISHED:
            return False
        name = f"coordinator-{campaign.campaign_id.hex()[:16] or 'unopened'}.json"
        os.replace(home.coordinator_path, home.root / name)
        return True
