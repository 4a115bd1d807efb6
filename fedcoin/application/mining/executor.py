"""The place of the worker processes, by the settings."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Mapping

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.cpu_count import count_cpus
from fedcoin.application.configuration.fields import refuse
from fedcoin.data.plurals import format_count
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.workers.executors import Executor, LocalExecutor
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.process import WorkerBounds

log = logging.getLogger(__name__)


def make_pool(miner: MinerConfig, bounds: WorkerBounds) -> WorkerPool:
    """Make the pool of worker processes, as the settings describe it.

    Args:
        miner: The settings of the miner.
        bounds: The bounds of workers of this machine.

    Returns:
        The pool, not yet started.

    Raises:
        RefusalError: BAD_CONFIG when Ray is not installed or its cluster cannot be reached.
    """
    return WorkerPool(
        executor=make_executor(miner, bounds),
        request_seconds=miner.request_seconds,
        bounds=bounds,
        has_own_checker=miner.enabled,
    )


def make_executor(miner: MinerConfig, bounds: WorkerBounds) -> Executor:
    """Make the executor that the settings name; one local process for a node that does not mine.

    Args:
        miner: The settings of the miner. 0 processes mean one for each core that this process may
            use (`CpuCount.usable`), or for each CPU of the Ray cluster.
        bounds: The bounds of workers of this machine.

    Returns:
        An executor of child processes with these bounds, or of a Ray cluster.

    Raises:
        RefusalError: BAD_CONFIG when Ray is not installed or its cluster cannot be reached.
    """
    if not miner.enabled:
        return LocalExecutor(bounds=bounds)
    if miner.executor == "local":
        cpus = count_cpus()
        processes = miner.processes or cpus.usable
        why = "set by miner.processes" if miner.processes else cpus.describe()
        workers = format_count(processes, "worker process", "worker processes")
        log.info("coalitions are evaluated in %s: %s", workers, why)
        return LocalExecutor(processes, bounds=bounds)
    # Imported here: Ray is an extra, and reads these variables when it is imported.
    os.environ.update(ray_variables(miner.address, os.environ))
    from fedcoin.learning.workers.ray_executor import RayExecutor

    try:
        return RayExecutor(miner.address, miner.processes, miner.worker_memory_bytes, miner.sandbox)
    except WorkerError as failure:
        raise refuse("miner.executor", miner.executor, str(failure)) from failure


def ray_variables(address: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Choose the variables by which Ray authenticates this process to a cluster.

    Ray 2.60 protects a cluster that it starts for a process by a token, which it writes into
    ~/.ray/auth_token, and from then on asks all clusters of the user for it. To a cluster at an
    address it sends a token only where RAY_AUTH_MODE says so.

    Args:
        address: The setting `miner.address`; empty for a cluster that this process starts.
        environment: The environment's variables.

    Returns:
        Variables to set: none where RAY_AUTH_MODE is set; for an own cluster a fresh token, which
        no file holds; for an address token mode, where a variable names a token.
    """
    has_token = any(environment.get(name) for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"))
    if environment.get("RAY_AUTH_MODE"):
        return {}
    if has_token:
        return {"RAY_AUTH_MODE": "token"}
    if address or environment.get("RAY_ADDRESS"):
        return {}
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


async def start_early(pool: WorkerPool) -> None:
    """Start a pool's workers before the first task needs them; a failure is only a warning.

    Args:
        pool: The pool, whose next call tries again.
    """
    try:
        await pool.start()
    except WorkerError as failure:
        log.warning("the workers do not start, the next task will try again: %s", failure)
