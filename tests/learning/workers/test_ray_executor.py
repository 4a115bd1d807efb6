"""A real Ray cluster of two nodes on this machine, one of which is lost."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from numpy.typing import NDArray

from fedcoin.data.artifacts.tensors import encode_tensors
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.workers import ray_executor
from fedcoin.learning.workers.executors import LocalExecutor
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.ray_executor import RayExecutor
from fedcoin.learning.workers.sandbox import choose_sandbox
from tests.support.small_models import (
    all_coalitions,
    evaluation,
    mlp_spec,
    random_weights,
    write_job,
)

SPEC = mlp_spec((8, 8), (128,), 10)

try:
    import ray as _ray
except ImportError:
    _ray = None

with_ray = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_ray is None, reason="needs pip install 'fedcoin[ray]'"),
    # Ray leaves open sockets and processes to the garbage collector.
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture
def job(tmp_path: Path) -> UtilityJob:
    base, *updates = (random_weights(SPEC, seed) for seed in range(11))
    x, y = evaluation(SPEC, 2_000)
    return write_job(tmp_path / "task", SPEC, base, updates, x, y)


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.add_node(num_cpus=2)
    made.add_node(num_cpus=2)
    made.wait_for_nodes()
    yield made
    _ray.shutdown()
    made.shutdown()


@pytest.fixture
async def remote(cluster: Any) -> AsyncIterator[WorkerPool]:
    worker = WorkerPool(executor=RayExecutor(cluster.address, 2))
    await worker.start()
    yield worker
    await worker.stop()


async def local_counts(job: UtilityJob, rows: NDArray[Any]) -> NDArray[Any]:
    worker = WorkerPool(executor=LocalExecutor(2))
    await worker.start()
    try:
        await worker.open_job(job)
        return await worker.evaluate(job.job_id, rows)
    finally:
        await worker.stop()


class TestWithRay:
    pytestmark = with_ray

    async def test_the_same_results_though_a_node_is_lost(
        self, cluster: Any, remote: WorkerPool, job: UtilityJob
    ) -> None:
        rows = all_coalitions(10)
        expected = await local_counts(job, rows)
        await remote.open_job(job)
        # Sums of floats in another order may move one example across a border.
        assert abs(await remote.evaluate(job.job_id, rows) - expected).max() <= 1
        # Repeat until the loss of the node is noticed.
        first = remote.pids
        nodes = [node for node in cluster.worker_nodes if node is not cluster.head_node]
        asked = asyncio.create_task(self.again_and_again(remote, job, rows))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(cluster.remove_node, nodes[0], False)
        for counts in await asked:
            assert abs(counts - expected).max() <= 1
        assert remote.pids != first

    async def again_and_again(
        self, worker: WorkerPool, job: UtilityJob, rows: NDArray[Any]
    ) -> list[NDArray[Any]]:
        pids = worker.pids
        found: list[NDArray[Any]] = []
        while worker.pids == pids and len(found) < 300:
            # Else the pool would remember the counts, and ask no worker.
            await worker.forget_job(job.job_id)
            await worker.open_job(job)
            found.append(await worker.evaluate(job.job_id, rows))
        return [*found, await worker.evaluate(job.job_id, rows)]

    async def test_refusals_and_jobs(self, remote: WorkerPool, job: UtilityJob) -> None:
        await remote.open_job(job)
        await remote.close_job(job.job_id)
        with pytest.raises(RefusalError) as caught:
            await remote.evaluate(job.job_id, all_coalitions(10))
        assert caught.value.code is LearningCode.UNKNOWN_JOB
        job.updates[2].write_bytes(encode_tensors(random_weights(mlp_spec(), 0)))
        with pytest.raises(RefusalError) as caught:
            await remote.open_job(job)
        assert caught.value.code is LearningCode.WRONG_SHAPE
        assert 0 <= await remote.measure_model(job.model, job.base, job.evaluation) <= 2_000
        await remote.stop()
        with pytest.raises(WorkerError, match="stopped"):
            await remote.measure_model(job.model, job.base, job.evaluation)

    async def test_workers_of_the_cluster_are_bounded(self, cluster: Any, tmp_path: Path) -> None:
        _, phrase = choose_sandbox("auto", [tmp_path])
        worker = RayExecutor(cluster.address, 1, memory_bytes=1 << 30).create_worker()
        await worker.start()
        try:
            with pytest.raises(WorkerError, match="MemoryError"):
                await worker.call(bytes, 2 << 30)
            assert await worker.call(abs, -1) == 1
            # All nodes of this cluster are on this machine.
            is_confined = "passwd" not in await worker.call(
                eval, "__import__('os').listdir('/etc')"
            )
            assert is_confined == (phrase == "bubblewrap")
        finally:
            await worker.stop()

    async def test_a_cluster_without_a_free_cpu_is_one_sentence(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from ray.cluster_utils import Cluster

        monkeypatch.setattr(ray_executor, "PLACEMENT_SECONDS", 3.0)
        full = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        try:
            worker = RayExecutor(full.address, 1).create_worker()
            with pytest.raises(WorkerError, match=r"^the Ray cluster had no CPU free [^\n]*$"):
                await worker.start()
            assert not worker.is_alive
        finally:
            _ray.shutdown()
            full.shutdown()

    async def test_a_machine_without_a_sandbox_is_not_used_where_one_is_required(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        # Processes of Ray inherit the path.
        (tmp_path / "python").symlink_to(sys.executable)
        monkeypatch.setenv("PATH", str(tmp_path))
        worker = RayExecutor("local", 1, sandbox="require").create_worker()
        try:
            with pytest.raises(WorkerError, match="install bubblewrap"):
                await worker.start()
        finally:
            await worker.stop()
            _ray.shutdown()


@pytest.mark.skipif(_ray is not None, reason="Ray is installed")
def test_without_ray_it_says_what_to_install() -> None:
    with pytest.raises(WorkerError, match=r"fedcoin\[ray\]"):
        RayExecutor()


@pytest.mark.parametrize(
    "error", [Exception("The current node timed out\nduring startup."), ConnectionError("refused")]
)
def test_whatever_ray_raises_is_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray raises a plain Exception when a cluster on this machine does not start in time."""

    def init(**options: object) -> None:
        raise error

    fake = ModuleType("ray")
    fake.init, fake.is_initialized = init, lambda: False  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", fake)
    with pytest.raises(WorkerError, match=r"^no Ray cluster on this machine: [^\n]*$"):
        RayExecutor()
