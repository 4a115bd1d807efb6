"""The coordinator within a node: a campaign run against the node's own API and artifacts."""

from __future__ import annotations

import logging

from fedcoin.application.config import NodeConfig
from fedcoin.application.coordinator import Coordinator
from fedcoin.application.credentials import client_credentials, server_credentials
from fedcoin.application.home import Home
from fedcoin.application.settings import reachable
from fedcoin.data.artifact_store import ArtifactStore
from fedcoin.data.errors import Refusal
from fedcoin.learning.errors import WorkerFailed
from fedcoin.network.api.client import NodeClient
from fedcoin.network.api.failure import RpcFailure

log = logging.getLogger(__name__)


async def run_campaign(
    config: NodeConfig, home: Home, api_address: str, artifacts: ArtifactStore
) -> None:
    """Runs the home's campaign to its end, going on where it was.

    Raises :class:`Refusal` when it cannot begin: HOME_IN_USE while a coordinator without a node
    works on the same campaign, and what :meth:`Coordinator.start` raises. A campaign that fails
    later is told in the log, and the node works on.
    """
    target, tls = reachable(api_address), config.tls
    with home.campaign_locked():
        async with NodeClient(target, credentials=client_credentials(tls)) as client:
            coordinator = Coordinator(
                config.coordinator,
                home.key(config.coordinator.key),
                client,
                artifacts,
                home.coordinator_path,
                credentials=server_credentials(tls),
            )
            await coordinator.start()
            await _run(coordinator)


async def _run(coordinator: Coordinator) -> None:
    try:
        await coordinator.run()
        log.info("the campaign is finished")
    except Refusal as refusal:
        # Clients that did not come are no fault of this node.
        log.warning("the campaign ended: %s", refusal)
    except (RpcFailure, WorkerFailed) as failure:
        log.error("the campaign ended: %s", failure)
    finally:
        await coordinator.stop()
