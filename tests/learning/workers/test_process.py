from __future__ import annotations

import asyncio
import os
import pkgutil
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
import uvloop

import fedcoin.learning
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import LearningCode, WorkerError
from fedcoin.learning.training import datasets
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.process import WorkerDiedError, WorkerProcess, child_environment


@pytest.fixture
async def process() -> AsyncIterator[WorkerProcess]:
    made = WorkerProcess()
    await made.start()
    yield made
    await made.stop()


async def test_it_calls_and_returns(process: WorkerProcess) -> None:
    assert await process.call(os.getpid) == process.pid
    assert await process.call(divmod, 7, 3) == (2, 1)
    big = np.arange(1_000_000)
    np.testing.assert_array_equal(await process.call(np.negative, big), -big)


async def test_calls_may_overlap(process: WorkerProcess) -> None:
    assert await asyncio.gather(*(process.call(abs, -n) for n in range(50))) == list(range(50))


async def test_a_refusal_comes_back_whole(process: WorkerProcess) -> None:
    with pytest.raises(RefusalError) as caught:
        await process.call(datasets.load_dataset, "cifar")
    assert caught.value.code is LearningCode.UNKNOWN_DATASET
    assert caught.value.field == "dataset"
    assert caught.value.limit


async def test_a_bug_is_a_failure_and_no_death(process: WorkerProcess) -> None:
    with pytest.raises(WorkerError, match="ZeroDivisionError") as caught:
        await process.call(divmod, 1, 0)
    assert not isinstance(caught.value, WorkerDiedError)
    assert await process.call(abs, -1) == 1


async def test_printing_does_not_disturb(process: WorkerProcess) -> None:
    await process.call(print, "noise on standard output")
    await process.call(os.write, 1, b"and below it")
    assert await process.call(abs, -1) == 1


async def test_the_end_of_a_process_is_reported_with_its_last_output(
    process: WorkerProcess,
) -> None:
    await process.call(os.write, 2, b"my last words\n")
    with pytest.raises(WorkerDiedError, match="my last words"):
        await process.call(os.abort)
    assert not process.is_alive
    with pytest.raises(WorkerDiedError):
        await process.call(abs, -1)


def wait_until_dead(pid: int) -> None:
    """Wait, without the event loop, until a child is dead, and leave it to its parent."""
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.parametrize("num_turns", range(8))
def test_a_call_to_a_killed_process_says_that_it_died(num_turns: int) -> None:
    """However far the event loop, here that of a node, has come in noticing the death."""

    async def kill_and_call() -> None:
        process = WorkerProcess()
        await process.start()
        assert await process.call(abs, -1) == 1
        os.kill(process.pid, signal.SIGKILL)
        wait_until_dead(process.pid)
        for _ in range(num_turns):
            await asyncio.sleep(0)
        try:
            with pytest.raises(WorkerDiedError, match="exit status -9"):
                await process.call(abs, -1)
        finally:
            await process.stop()

    uvloop.run(kill_and_call())


async def test_too_few_descriptors_are_said() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Below the numbers of all that a process opens: others have gaps, into which some would fit.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(WorkerError, match="cannot be started"):
            await WorkerProcess().start()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_a_caller_that_gives_up_spoils_nothing(process: WorkerProcess) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(process.call(time.sleep, 0.3), 0.05)
    assert await process.call(abs, -2) == 2


async def test_interrupts_are_the_parents_business(process: WorkerProcess) -> None:
    await process.call(abs, -1)
    os.kill(process.pid, signal.SIGINT)
    assert await process.call(abs, -1) == 1


async def test_stop_is_quick_in_the_middle_of_work(process: WorkerProcess) -> None:
    await process.call(abs, -1)
    waiting = asyncio.create_task(process.call(time.sleep, 60))
    await asyncio.sleep(0.05)
    before = time.monotonic()
    await process.stop()
    assert time.monotonic() - before < 2
    with pytest.raises(WorkerDiedError):
        await waiting
    await process.stop()  # Stopping twice is allowed.


async def test_threads_are_bounded(process: WorkerProcess) -> None:
    assert await process.call(os.getenv, "OMP_NUM_THREADS") == "1"
    assert child_environment(3)["OPENBLAS_NUM_THREADS"] == "3"


def test_a_child_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEDCOIN_PASSPHRASE", "secret")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    monkeypatch.setenv("FEDCOIN_MNIST", "mnist.npz")
    environment = child_environment(1)
    assert "FEDCOIN_PASSPHRASE" not in environment
    assert "RAY_AUTH_TOKEN" not in environment
    assert environment["FEDCOIN_MNIST"] == "mnist.npz"


def test_a_child_has_the_kernels_of_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    assert "OPENBLAS_CORETYPE" not in child_environment(1)
    monkeypatch.setenv("FEDCOIN_KEEP_KERNELS", "1")
    assert child_environment(1)["OPENBLAS_CORETYPE"] == "Haswell"


async def test_it_is_light(process: WorkerProcess) -> None:
    await process.call(jobs.ping)
    modules = await process.call(eval, "sorted(__import__('sys').modules)")
    assert not {"tensorflow", "keras", "grpc", "asyncio", "ssl"} & set(modules)
    assert await process.call(eval, "__import__('sys').modules['matplotlib'] is None")


def test_the_parent_needs_no_tensorflow() -> None:
    modules = pkgutil.walk_packages(fedcoin.learning.__path__, "fedcoin.learning.")
    lines = [f"import {module.name}" for module in modules]
    assert len(lines) > 20
    lines.append("import sys; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", "\n".join(lines)], check=False).returncode == 0


PARENT = """
import asyncio, time
from fedcoin.learning.workers.process import WorkerProcess
async def main():
    process = WorkerProcess()
    await process.start()
    await process.call(abs, 1)
    print(process.pid, flush=True)
    await process.call(time.sleep, 60)
asyncio.run(main())
"""


DEADLY_FORK = """
import os, uvloop
from fedcoin.learning.workers.process import WorkerProcess
os.register_at_fork(after_in_child=lambda: os._exit(7))
async def main():
    process = WorkerProcess()
    await process.start()
    print(await process.call(abs, -1))
    await process.stop()
uvloop.run(main())
"""


def test_no_handler_of_a_fork_runs_in_a_child() -> None:
    """gRPC's handlers, run by uvloop between fork and exec, sometimes ended the child."""
    command = [sys.executable, "-c", DEADLY_FORK]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.stdout, result.returncode) == ("1\n", 0), result.stderr


def test_it_ends_with_its_parent() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{child}/stat") as file:
            if (
                file.read().rsplit(")", 1)[1].split()[0] == "Z"
            ):  # A zombie: dead, not yet collected.
                return
        time.sleep(0.05)
    raise AssertionError("the child outlived its parent")
