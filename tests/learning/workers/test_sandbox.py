"""Workers in a sandbox compute as others do, and reach nothing but the files of their jobs."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.evaluation.job import UtilityJob
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.learning.workers.process import WorkerBounds, WorkerDiedError, WorkerProcess
from fedcoin.learning.workers.sandbox import (
    NoSandboxError,
    Sandbox,
    choose_sandbox,
    find_sandbox,
)
from tests.conftest import ReportAttack
from tests.support.keras_jobs import read_keras_job, write_keras_job
from tests.support.onnx_graphs import linear_spec
from tests.support.small_models import (
    all_coalitions,
    evaluation,
    mlp_spec,
    random_weights,
    write_job,
)
from tests.support.waiting import until

SPEC = mlp_spec((8, 8), (16,), 10)
CLIENTS = 5
MIB = 1 << 20


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node's home: workers may read `artifacts`, and not `keys`."""
    for name in ("keys", "artifacts"):
        (tmp_path / name).mkdir()
    (tmp_path / "keys" / "node.key").write_text("a secret")
    return tmp_path


@pytest.fixture
def sandbox(home: Path) -> Sandbox:
    try:
        return find_sandbox([home / "artifacts"], [home])
    except NoSandboxError as error:
        pytest.skip(str(error))


@pytest.fixture
async def confined(sandbox: Sandbox) -> AsyncIterator[WorkerProcess]:
    process = WorkerProcess(bounds=WorkerBounds(1024 * MIB, sandbox))
    await process.start()
    yield process
    await process.stop()


def make_job(folder: Path, examples: int = 360) -> UtilityJob:
    base, *updates = (random_weights(SPEC, seed) for seed in range(CLIENTS + 1))
    x, y = evaluation(SPEC, examples)
    return write_job(folder / "task", SPEC, base, updates, x, y)


async def test_a_pool_in_the_sandbox_counts_as_one_without(home: Path, sandbox: Sandbox) -> None:
    pool = WorkerPool(processes=2, bounds=WorkerBounds(1024 * MIB, sandbox), has_own_checker=True)
    rows = all_coalitions(CLIENTS)
    try:
        await pool.start()
        # Made after the sandbox was: files that come later are seen in it.
        job = make_job(home / "artifacts")
        await pool.open_job(job)
        counts = await pool.evaluate(job.job_id, rows)
        expected = jobs.load_evaluator(job).evaluate(rows)
        # Sums of floats in another order may move one example across a border.
        assert abs(counts - expected).max() <= 1
        with pytest.raises(RefusalError) as caught:
            await pool.check_job(job, job.base, 361)
        assert caught.value.code is LearningCode.WRONG_SIZE
    finally:
        await pool.stop()


async def test_onnxruntime_works_in_the_sandbox(home: Path, sandbox: Sandbox) -> None:
    spec = linear_spec(64, 10)
    base, *updates = (random_weights(spec, seed) for seed in range(CLIENTS + 1))
    x, y = evaluation(spec, 360)
    job = write_job(home / "artifacts" / "task", spec, base, updates, x, y)
    rows = all_coalitions(CLIENTS)
    pool = WorkerPool(processes=2, bounds=WorkerBounds(1024 * MIB, sandbox))
    try:
        await pool.start()
        await pool.open_job(job)
        counts = await pool.evaluate(job.job_id, rows)
    finally:
        await pool.stop()
    assert counts.tolist() == jobs.load_evaluator(job).evaluate(rows).tolist()


@pytest.mark.attack
async def test_nothing_of_the_machine_is_in_reach(
    home: Path, confined: WorkerProcess, report_attack: ReportAttack
) -> None:
    artifacts = home / "artifacts"
    (artifacts / "model").write_bytes(b"a model")
    assert await confined.call(os.listdir, str(artifacts)) == ["model"]
    assert await confined.call(os.listdir, str(home)) == ["artifacts"]
    for path in (home / "keys" / "node.key", Path("/etc/passwd"), Path.home() / ".profile"):
        with pytest.raises(WorkerError, match="FileNotFoundError"):
            await confined.call(os.stat, str(path))
    # Only its own processes, and none of the machine's network interfaces.
    pids = [name for name in await confined.call(os.listdir, "/proc") if name.isdigit()]
    assert len(pids) <= 2
    interfaces = await confined.call(eval, "__import__('socket').if_nameindex()")
    assert [name for _, name in interfaces] == ["lo"]
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        dial = f"__import__('socket').create_connection({address}, 5)"
        with pytest.raises(WorkerError, match=r"refused|unreachable"):
            await confined.call(exec, dial)
    report_attack(
        "a worker process that a model took over looks for keys, processes and the network",
        "reads what the node's user can read, and connects to anything",
        "finds none of them in its sandbox",
    )


async def test_nothing_can_be_written_but_a_small_folder(
    home: Path, confined: WorkerProcess
) -> None:
    (home / "artifacts" / "model").write_bytes(b"a model")
    package = Path(jobs.__file__).parent
    for folder in (
        home / "artifacts",
        home,
        package,
        Path(sys.prefix),
        Path("/"),
        Path("/dev/shm"),
    ):
        with pytest.raises(WorkerError, match="Read-only file system"):
            await confined.call(exec, _writing(str(folder / "new"), 1))
    with pytest.raises(WorkerError, match="Read-only file system"):
        await confined.call(os.unlink, str(home / "artifacts" / "model"))
    assert await confined.call(tempfile.gettempdir) == "/tmp"
    await confined.call(exec, _writing("/tmp/new", MIB))
    with pytest.raises(WorkerError, match="No space left"):
        await confined.call(exec, _writing("/tmp/new", 32 * MIB))
    assert not os.path.exists("/tmp/new")  # noqa: ASYNC240


async def test_its_memory_is_limited_in_the_sandbox_too(confined: WorkerProcess) -> None:
    with pytest.raises(WorkerError, match="MemoryError"):
        await confined.call(bytes, 2048 * MIB)
    assert await confined.call(abs, -1) == 1


async def test_a_home_among_the_libraries_stays_hidden(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Python needs inside a home can be read, and the rest cannot."""
    libraries = home / "libraries"
    libraries.mkdir()
    (libraries / "some_module.py").write_text("answer = 42")
    (home.parent / "beside").mkdir(exist_ok=True)
    for folder in (home.parent, home, libraries):
        monkeypatch.syspath_prepend(str(folder))
    try:
        sandbox = find_sandbox([home / "artifacts"], [home])
    except NoSandboxError as error:
        pytest.skip(str(error))
    process = WorkerProcess(bounds=WorkerBounds(sandbox=sandbox))
    await process.start()
    try:
        assert "beside" in await process.call(os.listdir, str(home.parent))
        assert sorted(await process.call(os.listdir, str(home))) == ["artifacts", "libraries"]
        assert await process.call(eval, "__import__('some_module').answer") == 42
        with pytest.raises(WorkerError, match="Read-only file system"):
            await process.call(exec, _writing(str(home / "new"), 1))
    finally:
        await process.stop()


async def test_it_ends_with_its_sandbox_and_the_sandbox_with_it(confined: WorkerProcess) -> None:
    await confined.call(abs, -1)
    (init,) = _children_of(confined.pid)
    asked = asyncio.create_task(confined.call(time.sleep, 60))
    await asyncio.sleep(0.1)
    os.kill(confined.pid, 9)
    with pytest.raises(WorkerDiedError):
        await asked
    await until(lambda: not Path(f"/proc/{init}").exists(), "the worker ends with its sandbox")


async def test_a_worker_that_dies_in_the_sandbox_is_replaced(sandbox: Sandbox) -> None:
    pool = WorkerPool(bounds=WorkerBounds(sandbox=sandbox))
    try:
        await pool.start()
        (first,) = pool.pids
        with pytest.raises(WorkerError, match="died while it aborts"):
            await pool.run("while it aborts", os.abort)
        await pool.run("while it works", jobs.ping)
        assert pool.pids != (first,)
    finally:
        await pool.stop()


def test_a_program_that_does_not_work_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2; exit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    reason = f"{fake} ended with 1: bwrap: No permissions to create new namespace"
    assert choose_sandbox("auto", [tmp_path]) == (None, f"none: {reason}")
    assert choose_sandbox("off", [tmp_path]) == (None, "none: switched off")
    with pytest.raises(NoSandboxError, match="No permissions to create"):
        choose_sandbox("require", [tmp_path])


@pytest.mark.slow
async def test_tensorflow_works_in_the_sandbox(home: Path, sandbox: Sandbox) -> None:
    open_pool = WorkerPool()
    pool = WorkerPool(bounds=WorkerBounds(1024 * MIB, sandbox))
    rows = all_coalitions(3)
    try:
        await open_pool.run("while making a model", write_keras_job, home / "artifacts" / "keras")
        job = read_keras_job(home / "artifacts" / "keras")
        counts = []
        for each in (pool, open_pool):
            await each.open_job(job)
            counts.append(await each.evaluate(job.job_id, rows))
        np.testing.assert_array_equal(counts[0], counts[1])
    finally:
        await pool.stop()
        await open_pool.stop()


def _writing(path: str, num_bytes: int) -> str:
    """Return a program that writes a file. The sandbox cannot import functions of tests."""
    return f"open({path!r}, 'wb').write(bytes({num_bytes}))"


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
