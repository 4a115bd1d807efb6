"""All checks of one home, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.cpu_count import count_cpus
from fedcoin.application.configuration.descriptor_limit import descriptor_limits
from fedcoin.application.configuration.home import Home
from fedcoin.application.diagnosis import home_checks, machine_checks
from fedcoin.application.diagnosis.finding import Finding, Level
from fedcoin.application.diagnosis.node_checks import check_clock, check_node, check_peers
from fedcoin.application.diagnosis.port_checks import check_ports
from fedcoin.application.diagnosis.seed_checks import check_seeds
from fedcoin.data.clock import unix_ms
from fedcoin.data.errors import RefusalError
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import TOKEN_CODES, RpcError

OpenClient = Callable[[], AbstractAsyncContextManager[NodeClient]]
"""Opens a client of the home's node."""


async def diagnose(
    home: Home,
    open_client: OpenClient,
    environment: Mapping[str, str] = os.environ,
    *,
    with_worker: bool = True,
) -> list[Finding]:
    """Make all checks.

    Args:
        home: The home, whose files are read.
        open_client: Opens a client of its node, if that runs.
        environment: The environment's variables.
        with_worker: Whether to start a worker process, which takes some seconds.

    Returns:
        The findings, in the order of the checks.
    """
    config, findings = home_checks.check_config(home, environment)
    findings += home_checks.check_home(home, config)
    findings += home_checks.check_certificates(home, config, unix_ms())
    findings += machine_checks.check_disk(home.root, config)
    findings += machine_checks.check_descriptors(config, *descriptor_limits())
    findings += machine_checks.check_processors(config, count_cpus())
    findings += machine_checks.check_proxies(config.api.proxy, environment)
    findings += machine_checks.check_libraries()
    is_running = home_checks.is_locked(home)
    findings += check_ports(config, is_running=is_running)
    findings += await _check_running(home, config, open_client) if is_running else [NOT_RUNNING]
    findings += await check_seeds(home, config)
    if with_worker:
        # Imported here, since it loads the libraries of learning.
        from fedcoin.application.diagnosis.worker_checks import check_workers

        findings += await check_workers(config.miner, home)
    return findings


NOT_RUNNING = Finding(
    "node",
    Level.UNKNOWN,
    "the node does not run: nothing tells its clock's difference, and whether peers can dial it",
    "start it (fedcoin-node start), and run this check again",
)
"""What is said of a node that does not run."""


async def _check_running(home: Home, config: NodeConfig, open_client: OpenClient) -> list[Finding]:
    try:
        async with open_client() as client:
            status, peers = await client.get_status(), await client.list_peers()
    except (RpcError, RefusalError, OSError) as error:
        if isinstance(error, RpcError) and error.code in TOKEN_CODES:
            text = f"the node runs, but its API does not let this command look: {error}"
            return [Finding("node", Level.UNKNOWN, text, "give --token-file with a token of it")]
        advice = "see its log; a command such as verify holds the home's lock as well"
        text = f"a process works on the home, but its API does not answer: {error}"
        return [Finding("node", Level.WRONG, text, advice)]
    tolerated_ms = home.genesis().parameters.max_clock_drift_ms
    findings = [Finding("node", Level.OK, "the node runs and answers")]
    findings += check_node(status)
    findings.append(check_clock(status, tolerated_ms))
    findings += check_peers(peers, bool(config.peers.seeds))
    return findings
