"""A worker process: a child process that calls functions, seen from its parent.

The child is a fresh interpreter (never a fork, which TensorFlow and threads do not survive) that
reads requests from its standard input and writes replies to its standard output (`child_main`);
both are one end of a pair of sockets. It is started as a plain subprocess rather than by
`multiprocessing`, which would import the parent's main module again and cannot set the child's
environment: the number of threads of the BLAS must be in the environment before NumPy is imported.
It is not started by the event loop: uvloop runs Python between fork and exec, where gRPC's own
handlers of a fork sometimes end the child.

The format of requests and replies is that of `frames`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fedcoin.learning.errors import WorkerError
from fedcoin.learning.evaluation.float_mode import flush_subnormals
from fedcoin.learning.training.datasets import MNIST_VARIABLE
from fedcoin.learning.workers.frames import (
    FRAME_LENGTH,
    MEMORY_VARIABLE,
    REPLY_REFUSAL,
    REPLY_RESULT,
)
from fedcoin.learning.workers.replies import MAX_REPLY_BYTES, BadReplyError, decode_reply
from fedcoin.learning.workers.sandbox import Sandbox

T = TypeVar("T")

STOP_SECONDS = 2.0
"""How long an ending child is waited for before it is killed."""

KEEP_KERNELS_VARIABLE = "FEDCOIN_KEEP_KERNELS"
"""The environment variable that keeps OPENBLAS_CORETYPE in the children's environment."""

_POLL_SECONDS = 0.01
_STDERR_LINES = 20
_MAX_STDERR_CHARACTERS = 2000
# Without the current folder, which `-c` puts first on the import path; and with the mode of floats
# set before NumPy is imported, whose BLAS starts threads.
_COMMAND = f"""
import sys
del sys.path[0]
from {flush_subnormals.__module__} import {flush_subnormals.__name__}
{flush_subnormals.__name__}()
from fedcoin.learning.workers.child_main import main
main()
"""


class WorkerDiedError(WorkerError):
    """The process was not running, or ended while it worked on a call."""


@dataclass(frozen=True, slots=True)
class WorkerBounds:
    """The memory limit and the sandbox of a worker process."""

    memory_bytes: int | None = None
    """The memory that it may take for itself (RLIMIT_DATA: heap and private writable mappings,
    without files that it maps), in bytes; None for any amount. An allocation beyond it raises
    MemoryError in the child, or ends it."""
    sandbox: Sandbox | None = None
    """The sandbox that it runs in; None for none."""


NO_BOUNDS = WorkerBounds()
"""The bounds of a worker that reads no stranger's files."""


class WorkerProcess:
    """The parent's side of one child. `start` it, `call` it, `stop` it.

    The child ignores SIGINT, so that the parent decides when it ends, and ends by itself when its
    parent is gone.

    Args:
        threads: Threads of NumPy's BLAS and of TensorFlow in the child.
        environment: Variables to set in the child besides `child_environment`.
        bounds: The memory limit and the sandbox of the child.
    """

    def __init__(
        self,
        *,
        threads: int = 1,
        environment: dict[str, str] | None = None,
        bounds: WorkerBounds = NO_BOUNDS,
    ) -> None:
        size = bounds.memory_bytes
        limit = {} if size is None else {MEMORY_VARIABLE: str(size)}
        self._sandbox = bounds.sandbox
        self._environment = {**child_environment(threads), **(environment or {}), **limit}
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: asyncio.StreamWriter | None = None
        self._pending: dict[int, asyncio.Future[Any]] = {}
        self._last_number = 0
        self._readers: list[asyncio.Task[None]] = []
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)

    @property
    def is_alive(self) -> bool:
        """Whether the child accepts calls."""
        return (
            self._process is not None
            and self._process.poll() is None
            and self._requests is not None
            and not self._requests.is_closing()
            and not self._readers[0].done()
        )

    @property
    def pid(self) -> int:
        """The child's process id, or that of its sandbox; 0 before it was started.

        The sandbox ends with the child, and the child with the sandbox.
        """
        return self._process.pid if self._process else 0

    async def start(self) -> None:
        """Start the child. Returns when the process exists; it answers once it is ready.

        Raises:
            RuntimeError: The child was started before.
            WorkerError: The operating system does not start it, for want of memory, processes or
                file descriptors.
        """
        if self._process is not None:
            raise RuntimeError("this worker process was started before")
        try:
            ours, theirs = socket.socketpair()
            with theirs, contextlib.ExitStack() as unless_started:
                unless_started.callback(ours.close)
                self._process = self._spawn(theirs)
                unless_started.pop_all()
            replies, self._requests = await asyncio.open_unix_connection(sock=ours)
        except OSError as error:
            raise WorkerError(f"a worker process cannot be started: {error}") from error
        self._readers = [
            asyncio.create_task(self._read_replies(self._process, replies)),
            asyncio.create_task(self._read_stderr(self._process)),
        ]

    def _spawn(self, channel: socket.socket) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", _COMMAND]
        return subprocess.Popen(
            command if self._sandbox is None else self._sandbox.wrap(command),
            stdin=channel.fileno(),
            stdout=channel.fileno(),
            stderr=subprocess.PIPE,
            env=self._environment,
            # Bubblewrap does not ignore the SIGINT that a terminal sends to the parent's session.
            start_new_session=self._sandbox is not None,
        )

    async def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in the child. Calls are answered in order.

        A caller that is cancelled leaves the child at its work; the result is dropped.

        Args:
            function: A function of a module, which the child imports by name.
            *arguments: Its arguments, which are pickled.

        Returns:
            The result of the function, of a type that `replies.encode_reply` takes.

        Raises:
            RefusalError: The function raised a RefusalError, which is passed on.
            WorkerDiedError: The child is not running, died before it answered, or was ended because
                it sent something else than a reply.
            WorkerError: The function raised any other exception; the message is its traceback.
        """
        if not self.is_alive or self._requests is None:
            raise WorkerDiedError(self._describe_death("is not running"))
        self._last_number += 1
        number = self._last_number
        body = pickle.dumps((function, arguments), protocol=5)
        frame = pickle.dumps((number, body), protocol=5)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._pending[number] = future
        try:
            self._requests.write(FRAME_LENGTH.pack(len(frame)) + frame)
            # If the child died, `_read_replies` sets the exception that the future raises.
            with contextlib.suppress(ConnectionError):
                await self._requests.drain()
            return await future
        finally:
            self._pending.pop(number, None)

    async def stop(self) -> None:
        """End the child, by force if it is busy. Pending calls raise WorkerDiedError."""
        process = self._process
        if process is None:
            return
        if self._requests is not None:
            self._requests.close()  # an idle child ends when its standard input is closed
        try:
            await asyncio.wait_for(_wait(process), STOP_SECONDS)
        except asyncio.TimeoutError:
            process.kill()
            await _wait(process)
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _read_replies(
        self, process: subprocess.Popen[bytes], replies: asyncio.StreamReader
    ) -> None:
        assert self._requests is not None
        try:
            while True:
                (size,) = FRAME_LENGTH.unpack(await replies.readexactly(FRAME_LENGTH.size))
                if size > MAX_REPLY_BYTES:
                    raise BadReplyError(f"a worker announced a reply of {size} bytes")
                number, kind, value = decode_reply(await replies.readexactly(size))
                future = self._pending.get(number)
                if future is not None and not future.done():
                    _resolve(future, kind, value)
        except BadReplyError as error:
            self._stderr.append(str(error))
            process.kill()
            await _wait(process)
        except (asyncio.IncompleteReadError, ConnectionError):
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(_wait(process), STOP_SECONDS)
        finally:
            self._requests.close()
            for future in self._pending.values():
                if not future.done():
                    future.set_exception(WorkerDiedError(self._describe_death("died")))

    async def _read_stderr(self, process: subprocess.Popen[bytes]) -> None:
        lines = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(lines), process.stderr
        )
        try:
            while chunk := await lines.read(4096):
                self._stderr.extend(chunk.decode(errors="replace").splitlines())
        finally:
            pipe.close()

    def _describe_death(self, event: str) -> str:
        status = self._process.poll() if self._process else None
        lines = [line for line in self._stderr if line.strip()]
        output = " | ".join(lines)[-_MAX_STDERR_CHARACTERS:] or "no output on standard error"
        return f"worker process {self.pid} {event} (exit status {status}): {output}"


def child_environment(threads: int) -> dict[str, str]:
    """Build the environment of a worker process.

    It is this process's environment and import path, without the program's own variables
    (`FEDCOIN_*`, which may hold a passphrase; only FEDCOIN_MNIST is kept) and a Ray cluster's
    token. OPENBLAS_CORETYPE, which
    makes OpenBLAS use another processor's kernels and can halve its speed, is kept only when
    FEDCOIN_KEEP_KERNELS is set.

    Args:
        threads: Threads of NumPy's BLAS and of TensorFlow; taken as 1 when below it.

    Returns:
        The variables by name.
    """
    count = str(max(1, threads))
    blas = ("OMP", "OPENBLAS", "MKL", "VECLIB_MAXIMUM", "NUMEXPR")
    dropped = set() if os.environ.get(KEEP_KERNELS_VARIABLE) else {"OPENBLAS_CORETYPE"}
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if name not in dropped
            and not name.startswith("RAY_AUTH_TOKEN")
            and (not name.startswith("FEDCOIN_") or name == MNIST_VARIABLE)
        },
        **{f"{name}_NUM_THREADS": count for name in blas},
        "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


async def _wait(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has ended."""
    while True:
        if process.poll() is not None:
            return
        await asyncio.sleep(_POLL_SECONDS)


def _resolve(future: asyncio.Future[Any], kind: str, value: Any) -> None:
    if kind == REPLY_RESULT:
        future.set_result(value)
    elif kind == REPLY_REFUSAL:
        future.set_exception(value)
    else:
        future.set_exception(WorkerError(value))
