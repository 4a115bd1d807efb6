"""The coordinator within a node: a campaign run against the node's own API and artifacts."""

from __future__ import annotations

import logging

from fedcoin.application.config import NodeConfig
from fedcoin.application.coordination import open_coordinator
from fedcoin.application.coordinator import Coordinator
from fedcoin.application.credentials import client_credentials
from fedcoin.application.home import Home
from fedcoin.application.settings import reachable
from fedcoin.data.artifact_store import ArtifactStore
from fedcoin.data.errors import Refusal
from fedcoin.learning.errors import WorkerFailed
from fedcoin.network.api.client import NodeClient
from fedcoin.network.api.failure import RpcFailure

log = logging.getLogger(__name__)


async def run_campaign(
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
        NodeClient(reachable(api_address), credentials=client_credentials(config.tls)) as client,
        open_coordinator(config, home, key, client, artifacts, new=new) as coordinator,
    ):
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
