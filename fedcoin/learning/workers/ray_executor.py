"""Workers on a Ray cluster; needs `pip install fedcoin[ray]`.

A Ray actor on some machine of the cluster starts the same child process as `LocalExecutor` would on
this machine, and passes calls on to it, so results do not depend on where they are computed. A
job's files are put into Ray's object store once and written to a folder on each actor's machine.
When a machine is lost, the calls to its actors fail and the `WorkerPool` asks for new workers,
which Ray places on the machines that are left.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import pickle
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.evaluation.devices import GPU_VARIABLE
from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.executors import LocalWorker, Worker
from fedcoin.learning.workers.process import WorkerBounds, WorkerDiedError
from fedcoin.learning.workers.sandbox import choose_sandbox

log = logging.getLogger(__name__)

T = TypeVar("T")

PLACEMENT_SECONDS = 60.0
"""How long the cluster may take to find a machine for a worker."""

PLACEMENT_RETRY_SECONDS = 0.5
"""How long to wait before another try when the machine that Ray chose is lost."""

_RESULT, _FAILURE, _DIED = "result", "failure", "died"


class RayExecutor:
    """Creates workers on a Ray cluster, each as an actor that takes one CPU.

    Args:
        address: The cluster's address. Empty for the cluster that this process is connected to, or,
            if it is connected to none, a new one on this machine.
        processes: How many workers; 0 for one for each CPU of the cluster.
        memory_bytes: The memory that each worker may take for itself (RLIMIT_DATA); None for any
            amount.
        sandbox: Whether each machine of the cluster runs its workers in a sandbox, one of
            `sandbox.SANDBOX_MODES`.

    Raises:
        WorkerError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(
        self,
        address: str = "",
        processes: int = 0,
        memory_bytes: int | None = None,
        sandbox: str = "auto",
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise WorkerError(
                "Ray is not installed: pip install 'fedcoin[ray]', or set the executor to local"
            ) from error
        if not ray.is_initialized():
            try:
                # Without an address Ray would first look for a cluster that somebody else started.
                wanted = address or os.environ.get("RAY_ADDRESS") or "local"
                ray.init(address=wanted, log_to_driver=False, configure_logging=False)
            except Exception as error:  # Ray raises plain Exceptions when a cluster does not start
                location = f"at {address}" if address else "on this machine"
                reason = " ".join(str(error).split())[:500]
                raise WorkerError(f"no Ray cluster {location}: {reason}{_hint(address)}") from error
        self._ray: Any = ray
        self._num_workers = processes or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._memory_bytes = memory_bytes
        self._sandbox = sandbox
        self._files: dict[bytes, Any] = {}
        actor_class = ray.remote(num_cpus=1, max_restarts=0, max_concurrency=8)(_WorkerActor)
        self._actor_class: Any = actor_class.options(scheduling_strategy="SPREAD")

    @property
    def num_workers(self) -> int:
        """How many workers the pool should have at a time."""
        return self._num_workers

    def create_worker(self) -> Worker:
        """Implement `Executor.create_worker`: create a worker, not yet started."""
        return _RayWorker(self)

    async def create_actor(self) -> Any:
        """Let Ray create an actor on one of its machines.

        Returns:
            The actor's handle, a `_WorkerActor` as Ray wraps it.
        """
        return await asyncio.to_thread(self._actor_class.remote, self._memory_bytes, self._sandbox)

    async def share_files(self, job: UtilityJob) -> Any:
        """Put a job's files into the object store, once for all workers.

        Args:
            job: The job, its files on this machine.

        Returns:
            A Ray reference to the files' contents by name.
        """
        if job.job_id not in self._files:
            self._files[job.job_id] = await asyncio.to_thread(self._put_files, job)
        return self._files[job.job_id]

    def forget_files(self, job_id: bytes) -> None:
        """Let the object store drop a job's files. Does nothing when it holds none.

        Args:
            job_id: The job's id.
        """
        self._files.pop(job_id, None)

    async def wait_for(self, reference: Any) -> Any:
        """Wait for an actor's call.

        Args:
            reference: What the call returned at once, a Ray reference.

        Returns:
            The call's result.

        Raises:
            WorkerDiedError: The actor's machine or process is lost.
            WorkerError: The call raised an exception.
        """
        ray = self._ray
        try:
            return await reference
        except ray.exceptions.RayTaskError as error:
            raise WorkerError(str(error)) from error
        except ray.exceptions.RayError as error:
            raise WorkerDiedError(f"the Ray actor is lost: {str(error).strip()[:500]}") from error

    def kill_actor(self, actor: Any) -> None:
        """End an actor, and its child process with it.

        Args:
            actor: The actor's handle; it may be lost already.
        """
        with contextlib.suppress(Exception):  # Ray raises different errors for a lost actor
            self._ray.kill(actor)

    def _put_files(self, job: UtilityJob) -> Any:
        return self._ray.put({name: path.read_bytes() for name, path in _files_of(job).items()})


class _RayWorker:
    """A worker behind an actor. Implements `executors.Worker`."""

    def __init__(self, executor: RayExecutor) -> None:
        self._executor = executor
        self._actor: Any = None
        self._pid = 0
        self._stopped = asyncio.Event()

    @property
    def is_alive(self) -> bool:
        return self._actor is not None

    @property
    def pid(self) -> int:
        return self._pid

    async def start(self) -> None:
        try:
            self._pid = await asyncio.wait_for(self._place(), PLACEMENT_SECONDS)
        except asyncio.TimeoutError:
            await self.stop()
            raise WorkerError(
                f"the Ray cluster had no CPU free for a worker within {PLACEMENT_SECONDS:g} s"
            ) from None

    async def _place(self) -> int:
        """Create the actor and start its child. Ray may first choose a machine that is lost."""
        while True:
            self._actor = await self._executor.create_actor()
            try:
                return int(await self._request("start"))
            except WorkerDiedError:
                if self._stopped.is_set():
                    raise
                await asyncio.sleep(PLACEMENT_RETRY_SECONDS)

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        if function is jobs.close_job:
            self._executor.forget_files(arguments[0])
        body = pickle.dumps((function, arguments), protocol=5)
        result: T = await self._request("call", body)
        return result

    async def open_job(self, job: UtilityJob, share: ExampleShare) -> int:
        files = await self._executor.share_files(job)
        return int(await self._request("open_job", job, share, files))

    async def stop(self) -> None:
        self._stopped.set()
        if self._actor is not None:
            actor, self._actor = self._actor, None
            await asyncio.to_thread(self._executor.kill_actor, actor)

    async def _request(self, method: str, *arguments: Any) -> Any:
        """Call a method of the actor; raise what happened to it, or that `stop` was called."""
        actor = self._actor
        if actor is None:
            raise WorkerDiedError("the Ray actor is not running")
        reply = asyncio.ensure_future(
            self._executor.wait_for(getattr(actor, method).remote(*arguments))
        )
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({reply, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not reply.done():
                raise WorkerDiedError("the Ray actor was stopped")
            outcome, value = reply.result()
        except WorkerDiedError:
            self._actor = None
            await asyncio.to_thread(self._executor.kill_actor, actor)
            raise
        finally:
            reply.cancel()
            stopped.cancel()
        if outcome == _RESULT:
            return value
        if outcome == _DIED:
            self._actor = None
            await asyncio.to_thread(self._executor.kill_actor, actor)
            raise WorkerDiedError(value)
        raise value


def _hint(address: str) -> str:
    if not address or os.environ.get("RAY_AUTH_MODE") == "token":
        return ""
    return (
        "; if the cluster asks for a token, set RAY_AUTH_TOKEN_PATH to the file that holds it, such"
        " as ~/.ray/auth_token"
    )


class _WorkerActor:
    """The actor: one child process and a folder for its files, on one machine of the cluster."""

    def __init__(self, memory_bytes: int | None, sandbox_mode: str) -> None:
        self._memory_bytes = memory_bytes
        self._sandbox_mode = sandbox_mode
        self._folder = tempfile.TemporaryDirectory(prefix="fedcoin-")
        self._worker = LocalWorker()

    async def start(self) -> tuple[str, Any]:
        folder = Path(self._folder.name)
        try:
            sandbox, phrase = await asyncio.to_thread(choose_sandbox, self._sandbox_mode, [folder])
        except WorkerError as failure:
            return _FAILURE, failure
        if sandbox is None and self._sandbox_mode != "off":
            log.warning("a worker runs without a sandbox (%s)", phrase)
        # The machines of a cluster may differ in whether they ask for a GPU, but workers that share
        # an evaluation set must not.
        self._worker = LocalWorker(
            environment={GPU_VARIABLE: ""}, bounds=WorkerBounds(self._memory_bytes, sandbox)
        )
        await self._worker.start()
        return _RESULT, self._worker.pid

    async def call(self, body: bytes) -> tuple[str, Any]:
        function, arguments = pickle.loads(body)  # from the process that created this actor
        return await _outcome_of(self._worker.call(function, *arguments))

    async def open_job(
        self, job: UtilityJob, share: ExampleShare, files: Mapping[str, bytes]
    ) -> tuple[str, Any]:
        local_job = await asyncio.to_thread(_write_files, job, files, Path(self._folder.name))
        return await _outcome_of(self._worker.open_job(local_job, share))


async def _outcome_of(work: Awaitable[Any]) -> tuple[str, Any]:
    """Return the result or the error as a value, because Ray wraps exceptions in its own."""
    try:
        return _RESULT, await work
    except WorkerDiedError as death:
        return _DIED, str(death)
    except (RefusalError, WorkerError) as failure:
        return _FAILURE, failure


def _files_of(job: UtilityJob) -> dict[str, Path]:
    """List a job's files under names that do not depend on this machine."""
    updates = {f"update-{number}": path for number, path in enumerate(job.updates)}
    return {"model": job.model, "base": job.base, "evaluation": job.evaluation, **updates}


def _write_files(job: UtilityJob, files: Mapping[str, bytes], folder: Path) -> UtilityJob:
    """Write a job's files below a folder; return the job with the new paths."""
    job_folder = folder / job.job_id.hex()
    job_folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (job_folder / name).write_bytes(content)
    return replace(
        job,
        model=job_folder / "model",
        base=job_folder / "base",
        evaluation=job_folder / "evaluation",
        updates=tuple(job_folder / f"update-{number}" for number in range(len(job.updates))),
    )
