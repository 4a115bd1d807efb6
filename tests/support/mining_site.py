"""Miners and an auditor on a local chain, with one real worker process among them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedcoin.application.mining.miner import Miner
from fedcoin.application.mining.task_evaluator import TaskJobs
from fedcoin.application.mining.work_store import WorkFolder
from fedcoin.application.node.block_auditor import Auditor
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.transactions import Transaction
from fedcoin.learning.evaluation.job import Coalitions, Counts, UtilityJob
from fedcoin.learning.measures.measure import Measure
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.v1 import task_pb2
from fedcoin.v1.transaction_pb2 import CommitShapley, DeclineTask, RevealShapley
from tests.support.local_chain import LocalChain
from tests.support.mining_campaign import MiningCampaign


@dataclass
class CountingWorker:
    """The real worker; counts its requests, and moves the chain's clock for each evaluation."""

    worker: WorkerPool
    chain: LocalChain
    ms_each: float = 0.0
    asked: int = 0
    checked: int = 0
    opened: set[bytes] = field(default_factory=set)
    under_way: int = 0
    """Calls that have not returned yet."""

    async def open_job(self, job: UtilityJob) -> None:
        self.opened.add(job.job_id)
        with self._counted():
            await self.worker.open_job(job)

    def batch_size(self, job_id: bytes) -> int:
        return self.worker.batch_size(job_id)

    def measure(self, job_id: bytes) -> Measure:
        return self.worker.measure(job_id)

    async def evaluate(
        self, job_id: bytes, coalitions: Coalitions, *, urgent: bool = False
    ) -> Counts:
        self.asked += len(coalitions)
        self.chain.now_ms += int(self.ms_each * len(coalitions))
        with self._counted():
            return await self.worker.evaluate(job_id, coalitions, urgent=urgent)

    async def count_near_ties(self, job_id: bytes, coalitions: Coalitions) -> Counts:
        with self._counted():
            return await self.worker.count_near_ties(job_id, coalitions)

    async def check_job(
        self, job: UtilityJob, aggregate: Path, evaluation_size: int, max_work: int
    ) -> None:
        self.checked += 1
        with self._counted():
            await self.worker.check_job(job, aggregate, evaluation_size, max_work)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def close_job(self, job_id: bytes) -> None:
        self.opened.discard(job_id)
        await self.worker.close_job(job_id)

    async def forget_job(self, job_id: bytes) -> None:
        self.opened.discard(job_id)
        await self.worker.forget_job(job_id)


class MiningSite:
    """A chain, its campaign, an auditor, and the miners that a test starts."""

    def __init__(
        self,
        folder: Path,
        worker: WorkerPool,
        *,
        clients: int = 4,
        schedule: int = task_pb2.SCHEDULE_EXACT,
        miners: int = 3,
        **parameters: Any,
    ) -> None:
        self.folder = folder
        self.chain = LocalChain(folder, miners, **parameters)
        self.store = ArtifactStore(folder / "artifacts", 1 << 26)
        self.worker = CountingWorker(worker, self.chain)
        self.chain.busy = lambda: self.worker.under_way > 0
        self.fetched: list[Sequence[bytes]] = []
        self.jobs = TaskJobs(self.worker, self.store, self.ensure)
        self.auditor = Auditor(self.chain.chain, self.jobs, artifact_seconds=0.2)
        self.pool = self.chain.with_pool(self.auditor)
        self.job = MiningCampaign(self.chain, self.store, clients, schedule)
        self.submitted: list[Transaction] = []

    async def ensure(self, limits: Mapping[bytes, int], timeout_s: float, room: bytes) -> bool:
        """Find no artifact: there are no peers."""
        self.fetched.append(list(limits))
        return False

    def folder_of(self, key: KeyPair) -> WorkFolder:
        return WorkFolder(self.folder / f"work-{key.address.hex()}")

    def miner(self, key: KeyPair, submit: Any = None, **options: Any) -> Miner:
        async def submit_here(action: CommitShapley | RevealShapley | DeclineTask) -> Transaction:
            transaction = await self.chain.submit(key, action)
            self.submitted.append(transaction)
            return transaction

        return Miner(
            key,
            self.chain.chain,
            self.pool,
            self.jobs,
            submit or submit_here,
            self.folder_of(key),
            self.chain.clock,
            **options,
        )

    def start(self, *keys: KeyPair) -> list[asyncio.Task[None]]:
        return [self.chain.owner.start(self.miner(key).run(), "miner") for key in keys]

    async def close(self) -> None:
        await self.chain.close()


OpenMiningSite = Callable[..., MiningSite]
"""Opens a site with these options, as the fixture `site` does."""
