"""One child process that calls functions, and its parent's side.

A fresh interpreter (never a fork: TensorFlow and threads do not survive one) that reads requests
from its standard input and writes replies to its standard output. It is started as a plain
subprocess rather than by ``multiprocessing``, which would import the parent's main module again
and could not set the child's environment: the number of threads of a BLAS has to stand there
before NumPy is imported.

A frame is its length (8 bytes, little-endian) and a pickle; both ends are this program. A request
is (number, pickle of (function, arguments)), a reply (number, kind, value).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from fedcoin.learning.errors import WorkerError
from fedcoin.learning.training.datasets import MNIST_VARIABLE

T = TypeVar("T")

FRAME_LENGTH = struct.Struct("<Q")
REPLY_RESULT, REPLY_REFUSAL, REPLY_FAILURE = "result", "refusal", "failure"
STOP_SECONDS = 2.0
KEEP_KERNELS_VARIABLE = "FEDCOIN_KEEP_KERNELS"
_STDERR_LINES = 20
# Without the current folder, which `-c` puts first.
_COMMAND = (
    "import sys; del sys.path[0]; from fedcoin.learning.workers.child_main import main; main()"
)


class WorkerDiedError(WorkerError):
    """The process ended while, or before, it was asked something."""


class WorkerProcess:
    """The parent's side of one child. ``start`` it, ``call`` it, ``stop`` it.

    ``threads`` bounds the threads of NumPy's BLAS and of TensorFlow in the child. The child
    ignores SIGINT (the parent decides) and ends by itself when its parent is gone.
    """

    def __init__(self, *, threads: int = 1, environment: dict[str, str] | None = None) -> None:
        self._environment = {**child_environment(threads), **(environment or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._next = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)

    @property
    def alive(self) -> bool:
        """True while the child can be asked."""
        return (
            self._process is not None
            and self._process.returncode is None
            and bool(self._tasks)
            and not self._tasks[0].done()
        )

    @property
    def pid(self) -> int:
        """The child's process id; 0 before it was started."""
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the child. Returns once the process exists; it answers when it is ready."""
        if self._process is not None:
            raise RuntimeError("this worker process was started before")
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            _COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._environment,
        )
        self._tasks = [
            asyncio.create_task(self._read_replies(self._process)),
            asyncio.create_task(self._read_stderr(self._process)),
        ]

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """What ``function(*arguments)`` returns in the child.

        ``function`` is a module's own (it travels by name). Calls are answered in order. A
        Refusal there is raised here; anything else, and the child's death, as WorkerFailed. A
        caller that gives up leaves the child at its work.
        """
        if not self.alive or self._process is None or self._process.stdin is None:
            raise WorkerDiedError(self._obituary("is not running"))
        self._next += 1
        number = self._next
        body = pickle.dumps((function, arguments), protocol=5)
        frame = pickle.dumps((number, body), protocol=5)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            self._process.stdin.write(FRAME_LENGTH.pack(len(frame)) + frame)
            with contextlib.suppress(ConnectionError):  # the reader sees the death and says why
                await self._process.stdin.drain()
            return await future
        finally:
            self._waiting.pop(number, None)

    async def stop(self) -> None:
        """End the child, at once if it is busy. Whoever waits gets WorkerDied."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # what tells an idle child that its parent is gone
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except asyncio.TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read_replies(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while True:
                (size,) = FRAME_LENGTH.unpack(await process.stdout.readexactly(FRAME_LENGTH.size))
                number, kind, value = pickle.loads(await process.stdout.readexactly(size))
                future = self._waiting.get(number)
                if future is not None and not future.done():
                    _settle(future, kind, value)
        except (asyncio.IncompleteReadError, ConnectionError):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
        finally:
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(WorkerDiedError(self._obituary("died")))

    async def _read_stderr(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while block := await process.stderr.read(4096):
            self._stderr.extend(block.decode(errors="replace").splitlines())

    def _obituary(self, what: str) -> str:
        status = self._process.returncode if self._process else None
        said = " | ".join(line for line in self._stderr if line.strip())[-2000:]
        return f"worker process {self.pid} {what} (exit status {status}): {said or 'said nothing'}"


def child_environment(threads: int) -> dict[str, str]:
    """The environment of a child: this one's, its import path, and ``threads`` threads.

    Of the program's own variables only the path of a data set goes along; a passphrase does not.
    OPENBLAS_CORETYPE, which pins the kernels of some processor and may halve the speed of another,
    goes along only where KEEP_KERNELS is set.
    """
    count = str(max(1, threads))
    blas = ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")
    dropped = set() if os.environ.get(KEEP_KERNELS_VARIABLE) else {"OPENBLAS_CORETYPE"}
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if name not in dropped and (not name.startswith("FEDCOIN_") or name == MNIST_VARIABLE)
        },
        **{f"{name}_NUM_THREADS": count for name in blas},
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def _settle(future: asyncio.Future[Any], kind: str, value: Any) -> None:
    if kind == REPLY_RESULT:
        future.set_result(value)
    elif kind == REPLY_REFUSAL:
        future.set_exception(value)
    else:
        future.set_exception(WorkerError(value))
