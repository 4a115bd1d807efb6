"""Evaluating again what miners revealed: every coalition of every challenged leaf on the chain.

Voters did it before they voted; this is for whoever would rather not take their word for it. It
takes the tasks' artifacts, and says which of them are not at hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.mining.task_evaluator import Assignment, TaskJobs
from fedcoin.contract.state import records
from fedcoin.data.artifacts.manifest import MAX_ARTIFACT_BYTES, manifest_of
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.genesis import Genesis
from fedcoin.data.storage.chain_store import ChainStore
from fedcoin.incentive.proof.audit import compare_counts, compute_tolerance, list_audited_coalitions
from fedcoin.incentive.proof.sampling_plan import build_plan
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1.block_pb2 import Block
from fedcoin.v1.transaction_pb2 import RevealShapley, SignedTransaction, TransactionBody


@dataclass(frozen=True, slots=True)
class Missing:
    """A task that could not be looked into."""

    task_id: str
    height: int
    """Of the first reveal that was not recomputed."""
    artifact: str
    """What is missing or damaged, in hex."""


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What was evaluated again, and found as it was revealed."""

    reveals: int
    leaves: int
    coalitions: int
    missing: tuple[Missing, ...]


@dataclass(frozen=True, slots=True)
class _Reveal:
    height: int
    public_key: bytes
    action: RevealShapley


async def recompute_reveals(
    store: ChainStore, genesis: Genesis, artifacts: Path, on_reveal: Callable[[], None]
) -> Recomputed:
    """Recompute all reveals of a chain that was replayed before.

    ``artifacts`` is the home's folder of them. Raises Refusal AUDIT_FAILED that names the first
    block, leaf and coalition that is not as revealed.
    """
    worker = WorkerPool()
    await worker.start()
    try:
        return await _Work(store, genesis, artifacts, worker).run(on_reveal)
    finally:
        await worker.stop()


class _Work:
    def __init__(
        self, store: ChainStore, genesis: Genesis, artifacts: Path, worker: WorkerPool
    ) -> None:
        self._store = store
        self._tolerance = genesis.parameters.utility_tolerance
        self._artifacts = ArtifactStore(artifacts, MAX_ARTIFACT_BYTES)
        self._jobs = TaskJobs(worker, self._artifacts, _fetch_nothing)
        self._sound: set[bytes] = set()
        self._missing: dict[bytes, Missing] = {}
        self._reveals = self._leaves = self._coalitions = 0

    async def run(self, on_reveal: Callable[[], None]) -> Recomputed:
        for reveal in _reveals(self._store):
            await self._look_into(reveal)
            on_reveal()
        missing = tuple(self._missing.values())
        return Recomputed(self._reveals, self._leaves, self._coalitions, missing)

    async def _look_into(self, reveal: _Reveal) -> None:
        action = reveal.action
        if action.task_id in self._missing:
            return
        terms = records.TERMS.get(self._store, action.task_id)
        assert terms is not None, "a reveal for a task without terms"
        campaign = records.CAMPAIGNS.get(self._store, terms.campaign_id)
        assert campaign is not None, "a task without a campaign"
        assignment = Assignment(action.task_id, terms, campaign.terms.model)
        lost = await asyncio.to_thread(self._lost, assignment.artifacts())
        if lost is not None:
            self._missing[action.task_id] = Missing(action.task_id.hex(), reveal.height, lost.hex())
            return
        plan = build_plan(terms, action.task_id, reveal.public_key)
        coalitions = list_audited_coalitions(action.evidence, plan)
        async with self._jobs.opened(assignment, 0.0) as utility:
            counts = await utility(coalitions)
        tolerance = compute_tolerance(terms.evaluation.size, self._tolerance)
        try:
            compare_counts(action.evidence, plan, counts, tolerance)
        except RefusalError as refusal:
            raise refusal.prefixed(
                f"block {reveal.height}, task {action.task_id.hex()}, miner"
                f" {reveal.public_key.hex()}"
            ) from None
        self._reveals += 1
        self._leaves += len(action.evidence.leaves)
        self._coalitions += len(coalitions)

    def _lost(self, ids: Sequence[bytes]) -> bytes | None:
        """The first artifact that is not here as it should be. Each is hashed once."""
        for id in ids:
            if id in self._sound:
                continue
            if not self._artifacts.has(id) or manifest_of(self._artifacts.path(id)).id != id:
                return id
            self._sound.add(id)
        return None


def _reveals(store: ChainStore) -> Iterator[_Reveal]:
    for height in range(store.base() + 1, store.height() + 1):
        stored = store.block(height)
        assert stored is not None, "a chain with a gap"
        for raw in Block.FromString(stored.raw).transactions:
            envelope = SignedTransaction.FromString(raw)
            body = TransactionBody.FromString(envelope.body)
            # What only opens a commitment has no leaves.
            if body.reveal_shapley.evidence.leaves:
                yield _Reveal(height, envelope.public_key, body.reveal_shapley)


async def _fetch_nothing(ids: Sequence[bytes], timeout_s: float) -> bool:
    """There is nobody to fetch from."""
    return False
