"""The jobs that took longer than a request may, so that no worker is lost on them again.

A worker that exceeds the time of a request is ended and replaced, which costs seconds. So the
first such refusal of a job answers its later requests, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.learning.errors import LearningCode

MAX_SLOW_JOBS = 1024
"""The number of jobs that are remembered. One more forgets the job that was longest unused."""


class SlowJobs:
    """Remembers the jobs that were refused with TOO_SLOW.

    Args:
        close: Called with the id of a job when it turns out to be too slow.
    """

    def __init__(self, close: Callable[[bytes], object]) -> None:
        self._close = close
        self._refusals: LruDict[bytes, RefusalError] = LruDict(MAX_SLOW_JOBS)

    @contextmanager
    def watch(self, job_id: bytes) -> Iterator[None]:
        """Refuse a job that was too slow before; close and remember one that turns out to be.

        Args:
            job_id: The id of the job that the body of the `with` statement asks workers about.

        Yields:
            Nothing; refusals inside the `with` block are observed.

        Raises:
            RefusalError: TOO_SLOW when an earlier request about this job was refused with it; and
                whatever the body raises.
        """
        known = self._refusals.get(job_id)
        if known is not None:
            # A copy: an exception that is raised again and again would collect tracebacks.
            raise copy(known)
        try:
            yield
        except RefusalError as refusal:
            if refusal.code is LearningCode.TOO_SLOW:
                self._refusals.put(job_id, refusal)
                self._close(job_id)
            raise
