"""Evaluate again every coalition of every challenged leaf that miners revealed on a chain.

Validators did so before they voted; this check is for those who do not want to rely on them. It
needs the tasks' artifacts, and reports those that are missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fedcoin.application.mining.claim_audit import audit_claims
from fedcoin.application.mining.task_evaluator import Assignment, TaskJobs
from fedcoin.contract.queries.artifact_readers import is_private
from fedcoin.contract.state import records
from fedcoin.data.artifacts.manifest import build_manifest
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.incentive.proof.audit import list_claims
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1.block_pb2 import Block
from fedcoin.v1.transaction_pb2 import RevealShapley, SignedTransaction, TransactionBody


@dataclass(frozen=True, slots=True)
class UncheckedTask:
    """A task whose reveals could not be checked, since an artifact is missing."""

    task_id: str
    """The task's id, 64 hex digits."""
    height: int
    """The height of the first reveal that was not checked."""
    artifact: str
    """The id of the missing or damaged artifact, in hex."""


_MAX_BYTES: Final = 1 << 50
"""The artifacts of a home that is checked have no limit of their own."""


@dataclass(frozen=True, slots=True)
class RevealCheck:
    """Counts of reveals whose utilities were evaluated again and agreed with the chain."""

    reveals: int
    """The number of such reveals."""
    leaves: int
    """The number of their challenged leaves."""
    coalitions: int
    """The number of coalitions that were evaluated."""
    missing: tuple[UncheckedTask, ...]
    """The tasks that were not checked."""


@dataclass(frozen=True, slots=True)
class _Reveal:
    height: int
    public_key: bytes
    action: RevealShapley


FetchMissing = Callable[[ArtifactStore, Assignment], Awaitable[None]]
"""Fetches what a store lacks for a task, as far as it can."""


async def check_reveals(
    store: ChainStore,
    genesis: Genesis,
    artifacts: Path,
    on_reveal: Callable[[], None],
    fetch: FetchMissing | None = None,
) -> RevealCheck:
    """Evaluate all reveals of a chain again. The chain must have passed `replay`.

    Args:
        store: The chain's database.
        genesis: The network's genesis.
        artifacts: The home's folder of artifacts.
        on_reveal: Called after each reveal.
        fetch: Fetches the artifacts that are missing; None to fetch none.

    Returns:
        Counts of the evaluated reveals, and the tasks that were not checked.

    Raises:
        RefusalError: AUDIT_FAILED with the first block, leaf and coalition whose utility differs.
        WorkerError: The worker process failed.
    """
    worker = WorkerPool()
    await worker.start()
    try:
        return await _RevealChecker(store, genesis, artifacts, worker, fetch).run(on_reveal)
    finally:
        await worker.stop()


class _RevealChecker:
    def __init__(
        self,
        store: ChainStore,
        genesis: Genesis,
        artifacts: Path,
        worker: WorkerPool,
        fetch: FetchMissing | None,
    ) -> None:
        self._store = store
        self._tolerance = genesis.parameters.utility_tolerance
        self._fetch = fetch
        self._artifacts = ArtifactStore(artifacts, _MAX_BYTES)
        self._jobs = TaskJobs(worker, self._artifacts, _fetch_nothing)
        self._sound: set[tuple[bytes, bytes]] = set()
        self._missing: dict[bytes, UncheckedTask] = {}
        self._reveals = self._leaves = self._coalitions = 0

    async def run(self, on_reveal: Callable[[], None]) -> RevealCheck:
        for reveal in _reveals(self._store):
            await self._check(reveal)
            on_reveal()
        missing = tuple(self._missing.values())
        return RevealCheck(self._reveals, self._leaves, self._coalitions, missing)

    async def _check(self, reveal: _Reveal) -> None:
        action = reveal.action
        if action.task_id in self._missing:
            return
        terms = records.TERMS.get(self._store, action.task_id)
        assert terms is not None, "a reveal for a task without terms"
        campaign = records.CAMPAIGNS.get(self._store, terms.campaign_id)
        assert campaign is not None, "a task without a campaign"
        private = is_private(campaign)
        assignment = Assignment(action.task_id, terms, campaign.terms.model, is_private=private)
        lost = await asyncio.to_thread(self._first_missing, assignment)
        if lost is not None and self._fetch is not None:
            await self._fetch(self._artifacts, assignment)
            lost = await asyncio.to_thread(self._first_missing, assignment)
        if lost is not None:
            self._missing[action.task_id] = UncheckedTask(
                action.task_id.hex(), reveal.height, lost.hex()
            )
            return
        plan = build_plan(terms, action.task_id, reveal.public_key)
        claims = list_claims(action.evidence, plan)
        try:
            async with self._jobs.opened(assignment, 0.0) as utility:
                await audit_claims(claims, utility, terms.evaluation.size, self._tolerance)
        except RefusalError as refusal:
            raise refusal.prefixed(
                f"block {reveal.height}, task {action.task_id.hex()}, miner"
                f" {reveal.public_key.hex()}"
            ) from None
        self._reveals += 1
        self._leaves += len(action.evidence.leaves)
        self._coalitions += len(claims.coalitions)

    def _first_missing(self, assignment: Assignment) -> bytes | None:
        # The first artifact that is missing or damaged. Each artifact is hashed once.
        room, store = assignment.room, self._artifacts.room(assignment.room)
        for id in assignment.artifacts():
            if (room, id) in self._sound:
                continue
            if not store.has(id) or build_manifest(store.path(id)).id != id:
                return id
            self._sound.add((room, id))
        return None


def _reveals(store: ChainStore) -> Iterator[_Reveal]:
    for height in range(store.base_height() + 1, store.height() + 1):
        stored = store.block(height)
        assert stored is not None, "a chain with a gap"
        for raw in Block.FromString(stored.raw).transactions:
            envelope = SignedTransaction.FromString(raw)
            body = TransactionBody.FromString(envelope.body)
            # A RevealShapley without leaves only opens the commitment.
            if body.reveal_shapley.evidence.leaves:
                yield _Reveal(height, envelope.public_key, body.reveal_shapley)


async def _fetch_nothing(limits: Mapping[bytes, int], timeout_s: float, room: bytes) -> bool:
    # Artifacts are checked offline: there is no peer to fetch them from.
    return False
