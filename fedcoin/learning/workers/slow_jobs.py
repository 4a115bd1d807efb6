"""The jobs that took too long, so that no worker is lost on them again.

A worker that exceeds the time of a request is ended and replaced, which costs seconds. So the
first such refusal of a job answers its later requests, too, for some minutes: the machine may have
been busy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy

from fedcoin.data.errors import RefusalError
from fedcoin.data.lru import LruDict
from fedcoin.learning.errors import LearningCode

MAX_SLOW_JOBS = 1024
"""The number of jobs that are remembered. One more forgets the job that was longest unused."""

OVERDUE_SECONDS = 600.0
"""How long a job is refused after a worker was ended because of it, in seconds."""

_SLOW_CODES = (LearningCode.TOO_SLOW, LearningCode.OVERDUE)


class SlowJobs:
    """Remembers the jobs that were refused with TOO_SLOW or OVERDUE.

    Args:
        close: Called with the id of a job when it turns out to be too slow.
        clock: Tells the time in seconds, from any zero; it must never go back.
    """

    def __init__(
        self, close: Callable[[bytes], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._close = close
        self._clock = clock
        self._refusals: LruDict[bytes, tuple[float, RefusalError]] = LruDict(MAX_SLOW_JOBS)

    @contextmanager
    def watch(self, job_id: bytes) -> Iterator[None]:
        """Refuse a job that was too slow before; close and remember one that turns out to be.

        Args:
            job_id: The id of the job that the body of the `with` statement asks workers about.

        Yields:
            Nothing; refusals inside the `with` block are observed.

        Raises:
            RefusalError: TOO_SLOW when an earlier request about this job was refused with it,
                OVERDUE when one was in the last `OVERDUE_SECONDS`; and whatever the body raises.
        """
        self._check(job_id)
        try:
            yield
        except RefusalError as refusal:
            if refusal.code in _SLOW_CODES:
                self._refusals.put(job_id, (self._clock(), refusal))
                self._close(job_id)
            raise

    def _check(self, job_id: bytes) -> None:
        known = self._refusals.get(job_id)
        if known is None:
            return
        since, refusal = known
        if refusal.code is LearningCode.TOO_SLOW or self._clock() < since + OVERDUE_SECONDS:
            # A copy: an exception that is raised again and again would collect tracebacks.
            raise copy(refusal)
