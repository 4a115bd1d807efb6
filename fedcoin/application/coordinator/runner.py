"""Run the campaign of a home, within a node's process or without a node.

A home has one campaign at a time. The process that runs it holds its lock.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.fields import dialable
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.network_options import host_groups
from fedcoin.application.configuration.tls import client_credentials, server_credentials
from fedcoin.application.configuration.worker_bounds import choose_bounds
from fedcoin.application.coordinator.campaign import Campaign, CampaignPhase
from fedcoin.application.coordinator.campaign_file import CampaignFile
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.learning.errors import WorkerError
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_coordinator(
    config: NodeConfig,
    home: Home,
    key: KeyPair,
    node: NodeClient,
    chain: ChainIdentity,
    store: ArtifactStore,
    *,
    new: bool = False,
) -> AsyncIterator[Coordinator]:
    """Start a coordinator for the home's campaign, and stop it at the end of the `with` block.

    Args:
        config: The home's settings.
        home: The home; its campaign is locked meanwhile.
        key: Pays the budget and is paid the aggregation price.
        node: A connected client of the node to which transactions and artifacts go.
        chain: The network that the campaign belongs to.
        store: Keeps the artifacts.
        new: Whether to begin a new campaign when the home's is finished, or was closed.

    Yields:
        The coordinator, which listens; the caller runs it.

    Raises:
        RefusalError: HOME_IN_USE when another process runs the home's campaign; BAD_CONFIG when a
            sandbox is required and does not work; a code of `Coordinator.start`, such as BAD_STATE,
            OTHER_SETTINGS or PORT_IN_USE, when the campaign cannot go on or listen.
        RpcError: The node refuses to tell its status.
        WorkerError: The worker process cannot be started.
    """
    with home.campaign_locked():
        archive = None
        if new:
            ended = partial(_was_closed, Delivery(node, key, chain, log.info), node, key.address)
            archive = await _archive_ended_campaign(home, chain, ended)
        bounds, _ = choose_bounds(config.miner, [store.folder], [home.root.absolute()])
        coordinator = Coordinator(
            config.coordinator,
            key,
            node,
            chain,
            store,
            home.coordinator_path,
            credentials=server_credentials(config.tls),
            limits=CallLimits(hosts=host_groups(config)),
            bounds=bounds,
        )
        try:
            await coordinator.start()
        except BaseException:
            if archive is not None and not home.coordinator_path.exists():
                # No campaign was prepared, so that the home's is still the finished one.
                os.replace(archive, home.coordinator_path)
            raise
        if archive is not None:
            log.info("the last campaign is over and kept in %s; a new one begins", archive)
        try:
            if coordinator.campaign.phase is CampaignPhase.FINISHED:
                log.warning(
                    "campaign %s is finished: start with --new-campaign to begin another one",
                    coordinator.campaign.campaign_id.hex(),
                )
            yield coordinator
        finally:
            await coordinator.stop()


def open_coordinator_store(config: NodeConfig, home: Home) -> ArtifactStore:
    """Open the artifacts of a coordinator that has no node in its process, or a private campaign.

    The coordinator uploads the artifacts that a task needs from this store to its node.

    Args:
        config: The home's settings: limits on sizes.
        home: The home of the coordinator.

    Returns:
        The store in the home's folder `campaign`.
    """
    folder, limits = home.campaign_path / "artifacts", config.limits
    return ArtifactStore(folder.absolute(), limits.artifacts_total_bytes, limits.artifact_bytes)


async def run_node_campaign(
    config: NodeConfig,
    home: Home,
    api: tuple[str, str],
    artifacts: ArtifactStore,
    *,
    new: bool = False,
) -> None:
    """Run the home's campaign to its end, within the process of the home's node.

    A campaign that fails after it has started is logged, and the node goes on.

    Args:
        config: The home's settings.
        home: The home of the node.
        api: `host:port` of the node's own API, and a token for it.
        artifacts: The node's own artifacts, in which a campaign that is not private keeps its own.
        new: Whether to begin a new campaign when the home's is finished.

    Raises:
        RefusalError: A code of `open_coordinator`, such as HOME_IN_USE, BAD_STATE, OTHER_SETTINGS
            or PORT_IN_USE, when the campaign cannot start; NO_KEY, NO_PASSPHRASE, BAD_KEY_FILE or
            WRONG_PASSPHRASE when the key cannot be opened.
        RpcError: The node refuses to tell its status.
        WorkerError: The worker process cannot be started.
    """
    key, chain = home.key(config.coordinator.key), home.genesis().identity
    if config.coordinator.private:
        # A node sends what is in its own store to everybody.
        artifacts = open_coordinator_store(config, home)
    address, token = api
    credentials = client_credentials(config.tls)
    async with (
        NodeClient(dialable(address), credentials=credentials, token=token) as client,
        open_coordinator(config, home, key, client, chain, artifacts, new=new) as coordinator,
    ):
        try:
            await coordinator.run()
            log.info("the campaign is finished")
        except RefusalError as refusal:
            # Expected in operation, such as clients that did not come, so no error of this node.
            log.warning("the campaign ended: %s", refusal)
        except (RpcError, WorkerError) as failure:
            log.error("the campaign ended: %s", failure)


async def _archive_ended_campaign(
    home: Home, chain: ChainIdentity, was_closed: Callable[[Campaign], Awaitable[bool]]
) -> Path | None:
    """Rename the file of a campaign that is over, so that another can begin; its lock must be held.

    Returns the file's new name, or None when no campaign is over.
    """
    campaign = await CampaignFile(home.coordinator_path).load()
    if campaign is None:
        return None
    is_known = campaign.campaign_id and campaign.genesis_hash == chain.genesis_hash
    if campaign.phase is not CampaignPhase.FINISHED and not (
        is_known and await was_closed(campaign)
    ):
        return None
    archive = home.root / f"coordinator-{campaign.campaign_id.hex()[:16] or 'unopened'}.json"
    os.replace(home.coordinator_path, archive)
    return archive


async def _was_closed(
    delivery: Delivery, node: NodeClient, server: bytes, campaign: Campaign
) -> bool:
    """Tell whether the chain says that an unfinished campaign is over.

    A campaign whose present round was settled goes on to its end first, unless another key must
    end it: this one cannot.
    """
    view = await delivery.retry_while_away(lambda: node.get_campaign(campaign.campaign_id))
    if not (view.closed or view.closing_ms):
        return False
    return view.last_round < campaign.round or parse_address(view.server) != server
