"""The place of the worker processes, by the settings."""

from __future__ import annotations

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.fields import refuse
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.workers.executors import Executor, LocalExecutor, count_cores
from fedcoin.learning.workers.pool import WorkerPool


def make_pool(miner: MinerConfig) -> WorkerPool:
    """Make the pool of worker processes, as the settings describe it.

    Args:
        miner: The settings of the miner.

    Returns:
        The pool, not yet started.

    Raises:
        RefusalError: As in `make_executor`.
    """
    return WorkerPool(
        executor=make_executor(miner),
        request_seconds=miner.request_seconds,
        memory_bytes=miner.worker_memory_bytes,
        has_own_checker=miner.enabled,
    )


def make_executor(miner: MinerConfig) -> Executor:
    """Make the executor that the settings name; one local process for a node that does not mine.

    Args:
        miner: The settings of the miner. 0 processes mean one for each core of this machine, or for
            each CPU of the Ray cluster.

    Returns:
        The executor.

    Raises:
        RefusalError: BAD_CONFIG when Ray is not installed or its cluster cannot be reached.
    """
    if not miner.enabled:
        return LocalExecutor(memory_bytes=miner.worker_memory_bytes)
    if miner.executor == "local":
        return LocalExecutor(
            miner.processes or count_cores(), memory_bytes=miner.worker_memory_bytes
        )
    # Imported here: Ray is an extra.
    from fedcoin.learning.workers.ray_executor import RayExecutor

    try:
        return RayExecutor(miner.address, miner.processes)
    except WorkerError as failure:
        raise refuse("miner.executor", miner.executor, str(failure)) from failure
