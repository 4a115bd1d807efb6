"""Run a node, and the campaign that it coordinates, until it should stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.config_sources import naming_file
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.settings_watch import SettingsWatch
from fedcoin.application.node.components import NodeComponents
from fedcoin.application.node.node import HONEST_COMPONENTS, Node, open_node
from fedcoin.network.background_tasks import run_until_first


async def run_node(
    config: NodeConfig,
    home: Home,
    stop: asyncio.Event,
    *,
    new_campaign: bool = False,
    read_config: Callable[[], NodeConfig] | None = None,
    components: NodeComponents = HONEST_COMPONENTS,
    on_failure: Callable[[], None] = lambda: None,
) -> None:
    """Run a node, and its campaign if it coordinates, until it should stop.

    Args:
        config: All settings of the node.
        home: The folder with the node's keys and files, which is locked meanwhile.
        stop: Set when the node should stop.
        new_campaign: Start another campaign if the last one is finished.
        read_config: Reads the settings again when `config.toml` changes; None to keep those given.
        components: The replaceable parts; the default ones are honest.
        on_failure: Called when the node begins to end because it cannot work any more.

    Raises:
        RefusalError: A code of `open_node` or `run_node_campaign` when one of them cannot start.
        NodeFailedError: The node could not store, sync, vote or mine any more, and has stopped.
    """

    async def until_stopped() -> None:
        await stop.wait()

    async def coordinate(node: Node) -> None:
        # Imported here so that a node without a campaign stays small.
        from fedcoin.application.coordinator.runner import run_node_campaign

        api = (node.api.address, node.api.own_token)
        await run_node_campaign(config, home, api, node.artifacts, new=new_campaign)
        await stop.wait()

    with naming_file(home.config_path):
        async with open_node(config, home, stop, components) as node:
            node.failures.on_failure(on_failure)
            if read_config is not None:
                watch = SettingsWatch(home.config_path, read_config, node.apply_settings)
                node.owner.keep_running(watch.run, name="settings")
            if config.coordinator.enabled:
                await run_until_first(until_stopped(), coordinate(node))
            else:
                await until_stopped()
    if node.failures.failure is not None:
        raise node.failures.failure
