"""The coordinator within a node: a campaign run against the node's own API and artifacts."""

from __future__ import annotations

import logging

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.fields import reachable
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.tls import client_credentials
from fedcoin.application.coordinator.coordinator import Coordinator
from fedcoin.application.coordinator.runner import open_coordinator
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.network.api.client import NodeClient
from fedcoin.network.api.failure import RpcError

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
    except RefusalError as refusal:
        # Clients that did not come are no fault of this node.
        log.warning("the campaign ended: %s", refusal)
    except (RpcError, WorkerError) as failure:
        log.error("the campaign ended: %s", failure)
