from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from fedcoin.application.auditor import Auditor
from fedcoin.application.miner import Miner
from fedcoin.application.sealed_work import WorkFolder
from fedcoin.application.task_jobs import TaskJobs
from fedcoin.data.artifact_store import ArtifactStore
from fedcoin.data.keys import KeyPair
from fedcoin.incentive.sampling import plan_of
from fedcoin.learning.worker_pool import UtilityWorker
from fedcoin.v1 import block_pb2, task_pb2
from fedcoin.v1.transaction_pb2 import CommitShapley, RevealShapley
from tests.application.job import Job, artifact_store
from tests.application.lone_chain import LoneChain

SETTLED = block_pb2.TASK_PHASE_SETTLED
COMMIT = block_pb2.TASK_PHASE_COMMIT
REVEAL = block_pb2.TASK_PHASE_REVEAL


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker() -> AsyncIterator[UtilityWorker]:
    worker = UtilityWorker()
    await worker.start()
    yield worker
    await worker.stop()
