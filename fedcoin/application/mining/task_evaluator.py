"""A task's artifacts, fetched and opened in the worker: shared by the miner and the auditor.

Both ask the same worker about the same coalitions, so that what the miner evaluated is, for the
auditor, a look into the worker's memo.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask

EnsureArtifacts = Callable[[Sequence[bytes], float], Awaitable[bool]]
"""Fetches what is missing of some artifact ids within some seconds; True when all are here."""

IDLE_JOBS = 2
"""Open jobs that are kept for later though nobody uses them; each may take much memory."""


class Worker(Protocol):
    """What is needed of :class:`~fedcoin.learning.workers.pool.UtilityWorker`."""

    async def open_job(self, job: UtilityJob) -> None:
        """Load a job; twice is the same as once."""
        ...

    async def evaluate(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        """Right answers (m,) of coalitions (m, n)."""
        ...

    async def check_job(self, job: UtilityJob, aggregate: Path, evaluation_size: int) -> None:
        """Raise a Refusal when a task's artifacts are unsound."""
        ...

    async def close_job(self, job_id: bytes) -> None:
        """Forget a job."""
        ...


@dataclass(frozen=True, slots=True)
class Assignment:
    """A task as far as its artifacts and coalitions go."""

    task_id: bytes
    terms: OpenTask
    model: bytes
    """Artifact id of the campaign's ModelSpec."""

    def updates(self) -> list[ClientUpdate]:
        """What the clients signed, in their order; the ledger has checked it."""
        return [ClientUpdate.FromString(update.body) for update in self.terms.updates]

    def artifacts(self) -> list[bytes]:
        """The ids of all artifacts, each once."""
        updates = [update.update for update in self.updates()]
        terms = self.terms
        ids = [self.model, terms.base, terms.aggregate, terms.evaluation.artifact, *updates]
        return list(dict.fromkeys(ids))


class TaskJobs:
    """Jobs of the worker by task."""

    def __init__(self, worker: Worker, store: ArtifactStore, ensure: EnsureArtifacts) -> None:
        self._worker = worker
        self._store = store
        self._ensure = ensure
        self._users: dict[bytes, int] = {}
        self._idle: OrderedDict[bytes, None] = OrderedDict()

    async def check(self, assignment: Assignment, timeout_s: float) -> None:
        """Raises Refusal when a task's artifacts are missing (UNKNOWN_ARTIFACT) or unsound."""
        await self._fetch(assignment, timeout_s)
        job = self._job_of(assignment)
        aggregate = self._store.path(assignment.terms.aggregate)
        await self._worker.check_job(job, aggregate, assignment.terms.evaluation.size)

    @asynccontextmanager
    async def opened(
        self, assignment: Assignment, timeout_s: float
    ) -> AsyncIterator[Callable[[Coalitions], Awaitable[Counts]]]:
        """The utility of a task's coalitions, bool (m, n) to int64 (m,), while one is inside.

        Raises Refusal UNKNOWN_ARTIFACT when what it takes cannot be fetched in time.
        """
        await self._fetch(assignment, timeout_s)
        job = self._job_of(assignment)
        self._idle.pop(job.job_id, None)
        self._users[job.job_id] = self._users.get(job.job_id, 0) + 1

        async def utility(coalitions: Coalitions) -> Counts:
            return await self._worker.evaluate(job.job_id, coalitions)

        try:
            await self._worker.open_job(job)
            yield utility
        finally:
            self._users[job.job_id] -= 1
            if not self._users[job.job_id]:
                del self._users[job.job_id]
                self._idle[job.job_id] = None
            await self._close_idle(IDLE_JOBS)

    async def forget(self, task_id: bytes) -> None:
        """Give a closed task's job up, unless somebody is still at it."""
        if task_id in self._idle:
            del self._idle[task_id]
            await self._worker.close_job(task_id)

    async def _close_idle(self, most: int) -> None:
        while len(self._idle) > most:
            oldest, _ = self._idle.popitem(last=False)
            await self._worker.close_job(oldest)

    async def _fetch(self, assignment: Assignment, timeout_s: float) -> None:
        ids = assignment.artifacts()
        if all(self._store.has(id) for id in ids):
            return
        await self._ensure(ids, timeout_s)
        missing = [id for id in ids if not self._store.has(id)]
        if missing:
            raise RefusalError(
                DataCode.UNKNOWN_ARTIFACT,
                f"{len(missing)} of the task's {format_count(len(ids), 'artifact')} could not be "
                f"fetched within {timeout_s:g} s, {missing[0].hex()[:16]} among them",
                field="artifact",
                limit=f"{timeout_s:g} s",
            )

    def _job_of(self, assignment: Assignment) -> UtilityJob:
        terms, updates = assignment.terms, assignment.updates()
        return UtilityJob(
            job_id=assignment.task_id,
            model=self._store.path(assignment.model),
            base=self._store.path(terms.base),
            updates=tuple(self._store.path(update.update) for update in updates),
            num_samples=tuple(update.num_samples for update in updates),
            evaluation=self._store.path(terms.evaluation.artifact),
            averaging=terms.averaging,
            empty=terms.empty_coalition,
        )
