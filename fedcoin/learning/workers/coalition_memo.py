"""The counts of coalitions that have been evaluated: the only memory of them in a process.

A `WorkerPool` owns one. Whatever asks the pool for a coalition, a miner, an auditor or an
estimator, gets the count that was computed first. Counts outlive the job in the workers, whose
weights take far more memory.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from itertools import islice
from types import MappingProxyType

import numpy as np

from fedcoin.learning.evaluation.job import Coalitions

MAX_COUNTS = 1 << 18
"""How many counts are kept for all jobs together: four tasks of 16 clients under EXACT. Each takes
about 120 bytes."""

_NO_COUNTS: Mapping[bytes, int] = MappingProxyType({})


class CoalitionMemo:
    """Counts by job and coalition, of bounded number.

    When there is one too many, counts of the job that was used longest ago are forgotten, the
    oldest first.

    Args:
        max_counts: The largest number of counts, at least 1.
    """

    def __init__(self, max_counts: int = MAX_COUNTS) -> None:
        self._max_counts = max_counts
        self._num_counts = 0
        # The job that was used longest ago comes first. None of the mappings is empty.
        self._jobs: OrderedDict[bytes, dict[bytes, int]] = OrderedDict()

    def __len__(self) -> int:
        return self._num_counts

    def counts(self, job_id: bytes) -> Mapping[bytes, int]:
        """Look up what is known of a job, and mark the job as used.

        Args:
            job_id: The job's id.

        Returns:
            Counts by `pack_coalitions` key. Valid until the next change of the memo.
        """
        if job_id not in self._jobs:
            return _NO_COUNTS
        self._jobs.move_to_end(job_id)
        return self._jobs[job_id]

    def add(self, job_id: bytes, counts: Mapping[bytes, int]) -> None:
        """Keep counts, and mark the job as used.

        Args:
            job_id: The job's id.
            counts: Counts by key, at least one.
        """
        known = self._jobs.setdefault(job_id, {})
        self._jobs.move_to_end(job_id)
        self._num_counts -= len(known)
        known.update(counts)
        self._num_counts += len(known)
        while self._num_counts > self._max_counts:
            oldest_id, oldest = next(iter(self._jobs.items()))
            excess = list(islice(oldest, self._num_counts - self._max_counts))
            for key in excess:
                del oldest[key]
            self._num_counts -= len(excess)
            if not oldest:
                del self._jobs[oldest_id]

    def forget(self, job_id: bytes) -> None:
        """Drop the counts of a job, if there are any.

        Args:
            job_id: The job's id.
        """
        self._num_counts -= len(self._jobs.pop(job_id, {}))


def pack_coalitions(coalitions: Coalitions) -> list[bytes]:
    """Compute the keys of coalitions in a memo.

    Args:
        coalitions: Bool (m, n), n the number of the job's clients.

    Returns:
        m keys of n bits each, the first client's the highest of the first byte, padded to whole
        bytes.
    """
    return [row.tobytes() for row in np.packbits(coalitions, axis=1)]


def take_batch(
    waiting: deque[bytes], counts: dict[bytes, int], known: Mapping[bytes, int], size: int
) -> list[bytes]:
    """Take the next coalitions to evaluate from a queue, passing over those that are known.

    Args:
        waiting: Keys of coalitions, in order. Those that are taken or known are removed, up to the
            first unknown one that does not fit into the batch.
        counts: Receives the known counts of the keys that are removed.
        known: What the memo holds (`CoalitionMemo.counts`).
        size: The largest number of unknown coalitions to take; with 0, only known ones are removed.

    Returns:
        The keys of at most `size` coalitions whose count is not known, in order.
    """
    batch: list[bytes] = []
    while waiting:
        count = known.get(waiting[0])
        if count is not None:
            counts[waiting.popleft()] = count
        elif len(batch) < size:
            batch.append(waiting.popleft())
        else:
            break
    return batch
