"""The end of a node that can no longer store, sync, vote or mine.

Such a node must not go on as if it were healthy: a validator that has stopped voting counts as
faulty, and its operator has to know. Its health says NOT_SERVING, its last log line says why, and
the process ends with an exit code of its own.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


_Closed = sqlite3.ProgrammingError
_BROKEN_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


class NodeFailedError(Exception):
    """A task failed without which the node cannot do its work.

    Attributes:
        task: The task's name in the log.
    """

    def __init__(self, task: str, reason: BaseException) -> None:
        """Describe the failure.

        Args:
            task: The task's name in the log.
            reason: The task's exception.
        """
        super().__init__(f"the task '{task}' failed: {type(reason).__name__}: {reason}")
        self.task = task


@contextmanager
def disk_failures_of(task: str) -> Iterator[None]:
    """Turn what a full or broken disk makes a block raise into the failure of a node.

    For a node that starts: the disk of a running one is watched by `FailureWatch`.

    Args:
        task: What the block does, as the error names it.

    Yields:
        Nothing.

    Raises:
        NodeFailedError: The database could not be read or written, or a file for want of room, of
            a writable file system or of a sound disk. Other errors pass unchanged.
    """
    try:
        yield
    except (sqlite3.OperationalError, OSError) as reason:
        if isinstance(reason, OSError) and reason.errno not in _BROKEN_DISK:
            raise
        raise NodeFailedError(task, reason) from reason


class FailureWatch:
    """Decides which failures of a node's tasks end the node, and ends it.

    Args:
        stopping: Set when the node should stop.
        set_not_serving: Makes the health services say NOT_SERVING.
    """

    def __init__(
        self, stopping: asyncio.Event, set_not_serving: Callable[[], Awaitable[None]]
    ) -> None:
        self._stopping = stopping
        self._set_not_serving = set_not_serving
        self._farewell: asyncio.Future[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self.failure: NodeFailedError | None = None
        """The first failure that ended the node; None while there is none."""

    def on_failure(self, listener: Callable[[], None]) -> None:
        """Register a listener.

        Args:
            listener: Called once, when the node begins to end because a task failed.
        """
        self._listeners.append(listener)

    def note(self, task: str, error: BaseException, is_vital: bool) -> None:
        """End the node if a failed task is vital or its database failed; else do nothing.

        Implements `background_tasks.FailureListener`. A failure of the database ends the node,
        whichever task met it, because the next vote would fail too. To end the node means: log
        the reason, call the listeners, make the health services say NOT_SERVING, set `stopping`.

        Args:
            task: The task's name.
            error: Its exception.
            is_vital: True when the node cannot work without the task.
        """
        # A ProgrammingError is not the disk's: the database was closed before a late call ended.
        is_disk = isinstance(error, sqlite3.Error) and not isinstance(error, _Closed)
        if not is_vital and (not is_disk or self._stopping.is_set()):
            return
        if self._farewell is not None:
            return
        self.failure = NodeFailedError(task, error)
        log.critical(
            "this node ends: %s; it cannot store, sync, vote or mine any more: correct the cause "
            "(a full or broken disk, say) and start it again",
            self.failure,
        )
        self._farewell = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        for listener in self._listeners:
            listener()
        try:
            await self._set_not_serving()
        finally:
            self._stopping.set()
