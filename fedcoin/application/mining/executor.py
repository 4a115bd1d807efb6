"""Where a node evaluates coalitions, by its settings."""

from __future__ import annotations

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.fields import refuse
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.workers.executors import Executor, LocalExecutor, count_cores


def executor_of(miner: MinerConfig) -> Executor:
    """What ``miner.executor`` names; one local process for who only looks on.

    ``miner.processes`` of 0 is one for each core of this machine, or each CPU of the cluster.
    Raises Refusal BAD_CONFIG when Ray is not installed or its cluster cannot be reached.
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
