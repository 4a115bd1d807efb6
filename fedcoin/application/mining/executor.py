"""The place of the worker processes, by the settings."""

from __future__ import annotations

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.fields import refuse
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.workers.executors import Executor, LocalExecutor, count_cores


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
        return LocalExecutor()
    if miner.executor == "local":
        return LocalExecutor(miner.processes or count_cores())
    # Imported here: Ray is an extra.
    from fedcoin.learning.workers.ray_executor import RayExecutor

    try:
        return RayExecutor(miner.address, miner.processes)
    except WorkerError as failure:
        raise refuse("miner.executor", miner.executor, str(failure)) from failure
