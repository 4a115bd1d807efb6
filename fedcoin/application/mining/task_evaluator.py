"""Tasks in the worker processes: fetch their artifacts, open their jobs, evaluate coalitions.

Miner and auditor share the workers and their memo, so that a coalition that the miner evaluated is
a look-up when the auditor needs it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from fedcoin.application.mining.campaign_quota import CampaignQuota
from fedcoin.application.mining.coalition_evaluator import CoalitionEvaluator
from fedcoin.application.mining.rounding_spread import measure_spread
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.data.plurals import format_count
from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob
from fedcoin.learning.measures import near_ties
from fedcoin.learning.model.artifact_sizes import (
    max_evaluation_bytes,
    max_frozen_bytes,
    max_weights_bytes,
)
from fedcoin.learning.model.frozen_weights import frozen_artifact
from fedcoin.learning.model.look_alikes import LIMIT_UNIT, group_weights
from fedcoin.learning.model.spec import MAX_SPEC_BYTES, parse_spec
from fedcoin.learning.model.work import MAX_COALITION_WORK, max_coalition_work
from fedcoin.v1 import task_pb2
from fedcoin.v1.artifact_pb2 import ModelSpec
from fedcoin.v1.task_pb2 import ClientUpdate, OpenTask

EnsureArtifacts = Callable[[Mapping[bytes, int], float, bytes], Awaitable[bool]]
"""Fetches missing artifacts within a number of seconds, none larger than the bytes that are given
for its id, for a private campaign's room or, without an id, for everybody's store; True when all
are there."""

MAX_IDLE_JOBS = 2
"""Unused jobs that stay open for later; each may take much memory."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The part of a task that its evaluation needs."""

    task_id: bytes
    """The task's id, 32 bytes."""
    terms: OpenTask
    """The action that opened it."""
    model: bytes
    """The artifact id of the campaign's ModelSpec."""
    similarity_limit_ppm: int = 0
    """The campaign's similarity limit in millionths, for which groups are checked; 0 for none."""
    is_private: bool = False
    """Whether its artifacts are for the campaign's readers alone."""

    @property
    def room(self) -> bytes:
        """The id of the private campaign in whose room its artifacts are; empty for none."""
        return self.terms.campaign_id if self.is_private else b""

    def updates(self) -> list[ClientUpdate]:
        """Decode the clients' signed updates, in order. The ledger has checked them."""
        return [ClientUpdate.FromString(update.body) for update in self.terms.updates]

    def min_coalitions(self) -> int:
        """Count the coalitions that a miner must evaluate at least: all, or those of one walk."""
        num_clients = len(self.terms.updates)
        if self.terms.sampling.schedule == task_pb2.SCHEDULE_EXACT:
            return 1 << num_clients
        return num_clients + 1

    def artifacts(self) -> list[bytes]:
        """List the ids of all artifacts that the chain names, each once.

        The model names one more, if it has frozen weights.
        """
        updates = [update.update for update in self.updates()]
        terms = self.terms
        ids = [self.model, terms.base, terms.aggregate, terms.evaluation.artifact, *updates]
        return list(dict.fromkeys(ids))


class TaskUtility:
    """Computes the utilities of one task's coalitions. Implements `sampler.Utility`.

    Args:
        worker: The worker processes.
        job: The task's job, which is open.
        urgent: Whether callers that are not urgent wait until these calls are done.
    """

    def __init__(self, worker: CoalitionEvaluator, job: UtilityJob, urgent: bool = False) -> None:
        self._worker = worker
        self._urgent = urgent
        self._job = job
        self._job_id = job.job_id

    @property
    def batch_size(self) -> int:
        """How many coalitions fit into the next batch, at least 1."""
        return self._worker.batch_size(self._job_id)

    def tolerance(self, num_examples: int, per_ten_thousand: int) -> int:
        """Compute how far an audit accepts that a utility differs, as `Measure.tolerance` does.

        Args:
            num_examples: The number of examples in the evaluation set.
            per_ten_thousand: The network parameter `utility_tolerance`.

        Returns:
            The largest difference, in units of the utility.
        """
        measure = self._worker.measure(self._job_id)
        return measure.tolerance(num_examples, per_ten_thousand)

    async def __call__(self, coalitions: Coalitions) -> Counts:
        """Compute the utilities of coalitions.

        Args:
            coalitions: Bool (m, n), any number of them.

        Returns:
            int64 (m,).

        Raises:
            RefusalError: The worker refused the request.
            WorkerError: The worker processes failed.
        """
        return await self._worker.evaluate(self._job_id, coalitions, urgent=self._urgent)

    async def accept_ties(
        self, coalitions: Coalitions, num_examples: int, per_ten_thousand: int
    ) -> Counts:
        """Compute an audit's tolerance of coalitions with near ties (`near_ties.accept_ties`).

        Args:
            coalitions: Bool (m, n).
            num_examples: As in `tolerance`.
            per_ten_thousand: As in `tolerance`.

        Returns:
            int64 (m,), in units of the utility.

        Raises:
            RefusalError: UNKNOWN_JOB, BAD_COALITIONS or OVERDUE when the worker refuses it.
            WorkerError: The worker processes failed.
        """
        id, measure = self._job.job_id, self._worker.measure(self._job.job_id)
        ties = np.zeros(len(coalitions), np.int64)
        if not measure.needs_values:
            size = self.batch_size
            for start in range(0, len(coalitions), size):
                rows = slice(start, start + size)
                ties[rows] = await self._worker.count_near_ties(id, coalitions[rows])
        return near_ties.accept_ties(measure, ties, num_examples, per_ten_thousand)

    async def measure_spread(self, coalitions: Coalitions) -> Counts:
        """Measure how far the utilities of coalitions depend on the order of float sums.

        Args:
            coalitions: Bool (m, n), any number of them.

        Returns:
            int64 (m,), as `rounding_spread.measure_spread` computes it.

        Raises:
            RefusalError: The worker refused the request.
            WorkerError: The worker processes failed.
        """
        return await measure_spread(self._worker, self._job, coalitions, urgent=self._urgent)


class TaskJobs:
    """The jobs of tasks in the worker processes.

    Args:
        worker: The worker processes.
        store: The node's artifacts.
        ensure: Fetches missing artifacts from peers.
        max_coalition_work: How many multiply-adds this node accepts for one coalition.
        quota: Bounds what is fetched for one campaign; None where nothing is fetched.
    """

    def __init__(
        self,
        worker: CoalitionEvaluator,
        store: ArtifactStore,
        ensure: EnsureArtifacts,
        max_coalition_work: int = MAX_COALITION_WORK,
        quota: CampaignQuota | None = None,
    ) -> None:
        self._worker = worker
        self._quota = quota
        self._store = store
        self._ensure = ensure
        self._max_coalition_work = max_coalition_work
        self._users: dict[bytes, int] = {}
        self._idle: OrderedDict[bytes, None] = OrderedDict()

    def has_artifacts(self, assignment: Assignment) -> bool:
        """Tell whether nothing has to be fetched for a task.

        Args:
            assignment: What evaluating the task needs.

        Returns:
            True when all artifacts are in the store.
        """
        store = self._store.room(assignment.room)
        if not all(store.has(id) for id in assignment.artifacts()):
            return False
        frozen = frozen_artifact(store.path(assignment.model))
        return not frozen or store.has(frozen)

    async def check(self, assignment: Assignment, timeout_s: float) -> None:
        """Check a task's artifacts.

        Args:
            assignment: What evaluating the task needs.
            timeout_s: How long missing artifacts are fetched, in seconds.

        Raises:
            RefusalError: UNKNOWN_ARTIFACT when one cannot be fetched in time; STORE_FULL when the
                campaign's quota has no room; TOO_SLOW when a coalition takes more work than this
                miner's setting `max_coalition_work`; OVERDUE when the check took longer than a
                request may; a code of `job_checks.check_job_files` when an artifact is not valid.
        """
        await self._fetch(assignment, timeout_s)
        job = self._job_of(assignment)
        aggregate = self._store.room(assignment.room).path(assignment.terms.aggregate)
        max_work = max_coalition_work(
            assignment.terms.commit_window_ms / 1000,
            assignment.min_coalitions(),
            self._max_coalition_work,
        )
        size = assignment.terms.evaluation.size
        await self._worker.check_job(job, aggregate, size, max_work)

    @asynccontextmanager
    async def opened(
        self, assignment: Assignment, timeout_s: float, *, urgent: bool = False
    ) -> AsyncIterator[TaskUtility]:
        """Open a task for evaluation: fetch its artifacts and load its job in the workers.

        The job stays open inside the `with` block, and after it while it is among the latest
        `MAX_IDLE_JOBS`.

        Args:
            assignment: What evaluating the task needs.
            timeout_s: How long missing artifacts are fetched, in seconds.
            urgent: Whether the evaluations come before those of callers that are not urgent.

        Yields:
            The utility of the task's coalitions.

        Raises:
            RefusalError: UNKNOWN_ARTIFACT when an artifact cannot be fetched in time; STORE_FULL
                when the campaign's quota has no room; a code of `WorkerPool.open_job` when one is
                not valid.
        """
        await self._fetch(assignment, timeout_s)
        job = self._job_of(assignment)
        self._idle.pop(job.job_id, None)
        self._users[job.job_id] = self._users.get(job.job_id, 0) + 1
        try:
            await self._worker.open_job(job)
            yield TaskUtility(self._worker, job, urgent)
        finally:
            self._users[job.job_id] -= 1
            if not self._users[job.job_id]:
                del self._users[job.job_id]
                self._idle[job.job_id] = None
            await self._close_idle(MAX_IDLE_JOBS)

    async def forget(self, task_id: bytes) -> None:
        """Close the job of a closed task and forget its counts, unless it is in use.

        Args:
            task_id: The task's id, 32 bytes.
        """
        if task_id not in self._users:
            self._idle.pop(task_id, None)
            await self._worker.forget_job(task_id)

    async def _close_idle(self, max_idle: int) -> None:
        while len(self._idle) > max_idle:
            oldest, _ = self._idle.popitem(last=False)
            await self._worker.close_job(oldest)

    async def _fetch(self, assignment: Assignment, timeout_s: float) -> None:
        # The model comes first: its shapes bound the size of everything else.
        room = assignment.room
        await self._fetch_within({assignment.model: MAX_SPEC_BYTES}, timeout_s, room)
        model = self._store.room(room).path(assignment.model)
        spec = await asyncio.to_thread(lambda: parse_spec(model.read_bytes()))
        limits = _artifact_limits(assignment, spec)
        if self._quota is not None:
            campaign_id = assignment.terms.campaign_id
            is_private = assignment.is_private
            await asyncio.to_thread(self._quota.admit, campaign_id, limits, is_private=is_private)
        await self._fetch_within(limits, timeout_s, room)

    async def _fetch_within(
        self, limits: Mapping[bytes, int], timeout_s: float, room: bytes
    ) -> None:
        store = self._store.room(room)
        missing = {id: size for id, size in limits.items() if not store.has(id)}
        if missing:
            await self._ensure(missing, timeout_s, room)
        lost = [id for id in missing if not store.has(id)]
        if lost:
            raise RefusalError(
                DataCode.UNKNOWN_ARTIFACT,
                f"{len(lost)} of {format_count(len(limits), 'artifact')} could not be "
                f"fetched within {timeout_s:g} s, {lost[0].hex()[:16]} among them",
                field="artifact",
                limit=f"{timeout_s:g} s",
            )
        for id, limit in limits.items():
            size = store.size(id) or 0
            if size > limit:
                raise RefusalError(
                    DataCode.TOO_LARGE,
                    f"artifact {id.hex()[:16]} has {size} bytes; by the shapes in the model's "
                    f"spec it has at most {limit}",
                    field="artifact",
                    limit=str(limit),
                )

    def _job_of(self, assignment: Assignment) -> UtilityJob:
        terms, updates = assignment.terms, assignment.updates()
        store = self._store.room(assignment.room)
        model = store.path(assignment.model)
        frozen = frozen_artifact(model)
        return UtilityJob(
            job_id=assignment.task_id,
            model=model,
            base=store.path(terms.base),
            updates=tuple(store.path(update.update) for update in updates),
            num_samples=group_weights(terms.groups)
            if terms.groups
            else tuple(update.num_samples for update in updates),
            evaluation=store.path(terms.evaluation.artifact),
            # An equal average of groups is one with a fixed denominator, in which the members of a
            # group share its weight.
            averaging=task_pb2.AVERAGING_FIXED_DENOMINATOR if terms.groups else terms.averaging,
            empty=terms.empty_coalition,
            groups=tuple(terms.groups),
            similarity_limit=assignment.similarity_limit_ppm / LIMIT_UNIT,
            utility=terms.utility,
            frozen=store.path(frozen) if frozen else None,
        )


def _artifact_limits(assignment: Assignment, spec: ModelSpec) -> dict[bytes, int]:
    """Return the most bytes of each artifact of a task, by id."""
    weights = max_weights_bytes(spec)
    evaluation = assignment.terms.evaluation
    limits = {spec.frozen: max_frozen_bytes(spec)} if spec.frozen else {}
    limits.update(dict.fromkeys(assignment.artifacts(), weights))
    limits[assignment.model] = MAX_SPEC_BYTES
    limits[evaluation.artifact] = max_evaluation_bytes(
        spec, evaluation.size, assignment.terms.utility
    )
    return limits
