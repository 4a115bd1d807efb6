"""Children on a Ray cluster: ``pip install fedcoin[ray]``.

An actor on some machine of the cluster starts the very same child process that this machine would,
and passes requests on to it; so results do not depend on where they are computed. A job's files are
put into Ray's object store once and written to a folder of each actor. When a machine is lost its
actors' calls fail, and ``worker_pool`` asks for new children, which Ray places on those that are
left.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from fedcoin.data.errors import RefusalError
from fedcoin.learning.errors import WorkerError
from fedcoin.learning.evaluation.job import ExampleShare, UtilityJob
from fedcoin.learning.workers import jobs
from fedcoin.learning.workers.executors import LocalWorker, Worker
from fedcoin.learning.workers.process import WorkerDiedError

T = TypeVar("T")

PLACE_SECONDS = 60.0
"""How long the cluster may take to find a machine for a child."""

PLACE_AGAIN_SECONDS = 0.5
"""How long to wait when the machine that it chose is lost."""


class RayExecutor:
    """One child for each CPU of the cluster at ``address``, or so many.

    An empty ``address`` is the cluster that this process is connected to, else one of this
    machine's own. Raises WorkerFailed when Ray is not installed or nobody answers there.
    """

    def __init__(self, address: str = "", processes: int = 0) -> None:
        try:
            import ray
        except ImportError as error:
            raise WorkerError(
                "Ray is not installed: pip install 'fedcoin[ray]', or set the executor to local"
            ) from error
        if not ray.is_initialized():
            try:
                ray.init(address=address or None, log_to_driver=False, configure_logging=False)
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                raise WorkerError(f"no Ray cluster at {address or 'hand'}: {error}") from error
        self._ray: Any = ray
        self._places = processes or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self._files: dict[bytes, Any] = {}
        host = ray.remote(num_cpus=1, max_restarts=0, max_concurrency=8)(_Host)
        self._host: Any = host.options(scheduling_strategy="SPREAD")

    @property
    def places(self) -> int:
        """See ``executors.Executor``."""
        return self._places

    def child(self) -> Worker:
        """See ``executors.Executor``."""
        return _RayChild(self)

    async def new_host(self) -> Any:
        """An actor, somewhere."""
        return await asyncio.to_thread(self._host.remote)

    async def shared(self, job: UtilityJob) -> Any:
        """A job's files by name, in the object store; put there once."""
        if job.job_id not in self._files:
            self._files[job.job_id] = await asyncio.to_thread(self._put, job)
        return self._files[job.job_id]

    def forget(self, job_id: bytes) -> None:
        """Let the object store drop a job's files."""
        self._files.pop(job_id, None)

    async def result(self, reference: Any) -> Any:
        """What an actor's call returns. Raises WorkerDied when its machine or process is lost."""
        ray = self._ray
        try:
            return await reference
        except ray.exceptions.RayTaskError as error:
            raise WorkerError(str(error)) from error
        except ray.exceptions.RayError as error:
            raise WorkerDiedError(f"the Ray actor is lost: {str(error).strip()[:500]}") from error

    def kill(self, host: Any) -> None:
        """End an actor, and its child with it."""
        with contextlib.suppress(Exception):  # whatever is wrong, it is gone
            self._ray.kill(host)

    def _put(self, job: UtilityJob) -> Any:
        return self._ray.put({name: path.read_bytes() for name, path in _paths(job).items()})


class _RayChild:
    """See ``executors.Child``."""

    def __init__(self, executor: RayExecutor) -> None:
        self._executor = executor
        self._host: Any = None
        self._pid = 0
        self._stopped = asyncio.Event()

    @property
    def alive(self) -> bool:
        return self._host is not None

    @property
    def pid(self) -> int:
        return self._pid

    async def start(self) -> None:
        try:
            self._pid = await asyncio.wait_for(self._placed(), PLACE_SECONDS)
        except asyncio.TimeoutError:
            await self.stop()
            raise WorkerError(
                f"the Ray cluster had no CPU free for a child within {PLACE_SECONDS:g} s"
            ) from None

    async def _placed(self) -> int:
        """Find a machine. Ray may at first choose one that died without its knowledge."""
        while True:
            self._host = await self._executor.new_host()
            try:
                return int(await self._ask("start"))
            except WorkerDiedError:
                if self._stopped.is_set():
                    raise
                await asyncio.sleep(PLACE_AGAIN_SECONDS)

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        if function is jobs.close_job:
            self._executor.forget(arguments[0])
        result: T = await self._ask("call", pickle.dumps((function, arguments), protocol=5))
        return result

    async def open(self, job: UtilityJob, shard: ExampleShare) -> None:
        await self._ask("open", job, shard, await self._executor.shared(job))

    async def stop(self) -> None:
        self._stopped.set()
        if self._host is not None:
            host, self._host = self._host, None
            await asyncio.to_thread(self._executor.kill, host)

    async def _ask(self, method: str, *arguments: Any) -> Any:
        host = self._host
        if host is None:
            raise WorkerDiedError("the Ray actor is not running")
        work = asyncio.ensure_future(
            self._executor.result(getattr(host, method).remote(*arguments))
        )
        stopped = asyncio.ensure_future(self._stopped.wait())
        try:
            await asyncio.wait({work, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise WorkerDiedError("the Ray actor was stopped")
            kind, value = work.result()
        except WorkerDiedError:
            self._host = None
            await asyncio.to_thread(self._executor.kill, host)
            raise
        finally:
            work.cancel()
            stopped.cancel()
        if kind == "result":
            return value
        if kind == "died":
            self._host = None
            await asyncio.to_thread(self._executor.kill, host)
            raise WorkerDiedError(value)
        raise value


class _Host:
    """The actor: one child process and its folder, on one machine of the cluster."""

    def __init__(self) -> None:
        self._child = LocalWorker()
        self._folder = tempfile.TemporaryDirectory(prefix="fedcoin-")

    async def start(self) -> tuple[str, Any]:
        await self._child.start()
        return await _outcome(self._pid())

    async def call(self, body: bytes) -> tuple[str, Any]:
        function, arguments = pickle.loads(body)  # from the process that made this actor
        return await _outcome(self._child.call(function, *arguments))

    async def open(
        self, job: UtilityJob, shard: ExampleShare, files: Mapping[str, bytes]
    ) -> tuple[str, Any]:
        here = await asyncio.to_thread(_written, job, files, Path(self._folder.name))
        return await _outcome(self._child.open(here, shard))

    async def _pid(self) -> int:
        return self._child.pid


async def _outcome(work: Any) -> tuple[str, Any]:
    """A result, or what went wrong, in a form that Ray does not wrap."""
    try:
        return "result", await work
    except WorkerDiedError as died:
        return "died", str(died)
    except (RefusalError, WorkerError) as failure:
        return "failure", failure


def _paths(job: UtilityJob) -> dict[str, Path]:
    """A job's files under names that suit any machine."""
    updates = {f"update-{number}": path for number, path in enumerate(job.updates)}
    return {"model": job.model, "base": job.base, "evaluation": job.evaluation, **updates}


def _written(job: UtilityJob, files: Mapping[str, bytes], folder: Path) -> UtilityJob:
    """The job with its files in a folder of this machine."""
    home = folder / job.job_id.hex()
    home.mkdir(exist_ok=True)
    for name, content in files.items():
        (home / name).write_bytes(content)
    return replace(
        job,
        model=home / "model",
        base=home / "base",
        evaluation=home / "evaluation",
        updates=tuple(home / f"update-{number}" for number in range(len(job.updates))),
    )
