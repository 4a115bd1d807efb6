"""The memory limit and the sandbox of this machine's worker processes, by the settings."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.fields import refuse
from fedcoin.learning.workers.process import WorkerBounds
from fedcoin.learning.workers.sandbox import NoSandboxError, choose_sandbox

log = logging.getLogger(__name__)


def choose_bounds(
    miner: MinerConfig, readable: Iterable[Path], hidden: Iterable[Path]
) -> tuple[WorkerBounds, str]:
    """Choose the memory limit and the sandbox of worker processes; warn when there is no sandbox.

    Args:
        miner: The settings of the miner.
        readable: The folders with the files of jobs; they must exist.
        hidden: Folders that workers must not read, beside what is `readable` in them.

    Returns:
        The bounds, and a phrase for `status`: `bubblewrap`, or `none: ` and the reason.

    Raises:
        RefusalError: BAD_CONFIG when a sandbox is required and does not work.
    """
    try:
        sandbox, phrase = choose_sandbox(miner.sandbox, readable, hidden)
    except NoSandboxError as error:
        raise refuse("miner.sandbox", miner.sandbox, str(error)) from error
    if sandbox is None and miner.sandbox != "off":
        log.warning(
            "worker processes run without a sandbox (%s): one that somebody's model takes over "
            "could read this user's files, keys included. That will do for a trial; see "
            "docs/OPERATIONS.md, The sandbox of workers",
            phrase,
        )
    return WorkerBounds(miner.worker_memory_bytes, sandbox), phrase
