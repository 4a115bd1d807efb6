"""Where a node evaluates coalitions, by its settings."""

from __future__ import annotations

from fedcoin.application.config import MiningConfig
from fedcoin.application.settings import refuse
from fedcoin.learning.errors import WorkerFailed
from fedcoin.learning.executors import Executor, LocalExecutor, cores


def executor_of(mining: MiningConfig) -> Executor:
    """What ``mining.executor`` names; one local process for who only looks on.

    ``mining.processes`` of 0 is one for each core of this machine, or each CPU of the cluster.
    Raises Refusal BAD_CONFIG when Ray is not installed or its cluster cannot be reached.
    """
    if not mining.enabled:
        return LocalExecutor()
    if mining.executor == "local":
        return LocalExecutor(mining.processes or cores())
    # Imported here: Ray is an extra.
    from fedcoin.learning.ray_executor import RayExecutor

    try:
        return RayExecutor(mining.address, mining.processes)
    except WorkerFailed as failure:
        raise refuse("mining.executor", mining.executor, str(failure)) from failure
