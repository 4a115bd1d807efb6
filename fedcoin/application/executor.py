"""Where a node evaluates coalitions, by its settings."""

from __future__ import annotations

from fedcoin.application.config import MiningConfig
from fedcoin.application.settings import refuse
from fedcoin.learning.errors import WorkerFailed
from fedcoin.learning.executors import Executor, LocalExecutor, make_executor


def executor_of(mining: MiningConfig) -> Executor:
    """What ``mining.executor`` names; one local process for who only looks on.

    Raises Refusal BAD_CONFIG when Ray is not installed or its cluster cannot be reached.
    """
    if not mining.enabled:
        return LocalExecutor()
    try:
        return make_executor(mining.executor, processes=mining.processes, address=mining.address)
    except WorkerFailed as failure:
        raise refuse("mining.executor", mining.executor, str(failure)) from failure
