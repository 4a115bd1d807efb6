"""Check where coalitions are evaluated: the sandbox, TensorFlow in a worker process, Ray."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final

from fedcoin.application.configuration.config import MinerConfig
from fedcoin.application.configuration.home import Home
from fedcoin.application.diagnosis.finding import Finding, Level
from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.evaluation.devices import compute_product
from fedcoin.learning.workers.executors import LocalWorker
from fedcoin.learning.workers.process import WorkerBounds
from fedcoin.learning.workers.sandbox import NoSandboxError, Sandbox, choose_sandbox

START_SECONDS: Final = 120.0
"""How long a worker may take to import TensorFlow, in seconds."""


async def check_workers(miner: MinerConfig, home: Home) -> list[Finding]:
    """Start a worker process as a miner would, and let it compute with TensorFlow.

    Args:
        miner: The settings of the miner.
        home: The home, whose artifacts the sandbox shows to workers.

    Returns:
        A finding about the sandbox, one about the worker, and one about Ray where it is used.
    """
    finding, sandbox = await asyncio.to_thread(_check_sandbox, miner.sandbox, home)
    findings = [finding, await _check_worker(WorkerBounds(miner.worker_memory_bytes, sandbox))]
    if miner.enabled and miner.executor == "ray":
        findings.extend(await asyncio.to_thread(lambda: list(_check_ray(miner))))
    return findings


def _check_sandbox(mode: str, home: Home) -> tuple[Finding, Sandbox | None]:
    readable = [home.artifacts_path.absolute()] if home.artifacts_path.is_dir() else []
    advice = "install bubblewrap 0.7 or later; docs/OPERATIONS.md, The sandbox of workers"
    try:
        sandbox, phrase = choose_sandbox(mode, readable, [home.root.absolute()])
    except NoSandboxError as error:
        text = f"miner.sandbox is 'require': {error}"
        return Finding("sandbox", Level.WRONG, text, advice), None
    if sandbox is None and mode != "off":
        return Finding("sandbox", Level.WARNING, phrase, advice), None
    return Finding("sandbox", Level.OK, phrase), sandbox


async def _check_worker(bounds: WorkerBounds) -> Finding:
    worker = LocalWorker(bounds=bounds)
    try:
        await worker.start()
        version = await asyncio.wait_for(worker.call(compute_product), START_SECONDS)
    except asyncio.TimeoutError:
        text = f"a worker process did not import TensorFlow within {START_SECONDS:g} s"
        return Finding("worker", Level.WRONG, text, "look for a slow disk or too little memory")
    except (WorkerError, RefusalError) as error:
        text = f"a worker process failed: {str(error).strip().splitlines()[-1]}"
        advice = "install the libraries again, or raise miner.worker_memory_bytes"
        return Finding("worker", Level.WRONG, text, advice)
    finally:
        await worker.stop()
    return Finding("worker", Level.OK, f"a worker process computes with TensorFlow {version}")


def _check_ray(miner: MinerConfig) -> Iterator[Finding]:
    # Imported here: Ray is an extra.
    from fedcoin.learning.workers.ray_executor import RayExecutor

    try:
        executor = RayExecutor(miner.address, miner.processes)
    except WorkerError as error:
        advice = "start the cluster, correct miner.address, or set miner.executor to local"
        yield Finding("Ray", Level.WRONG, str(error), advice)
        return
    yield Finding("Ray", Level.OK, f"the cluster has room for {executor.num_workers} workers")
