"""The processes of a devnet: started together, watched, and never left behind.

Each has its standard input from us and stops when that ends, so that even our own sudden death
ends them. Each leads a process group of its own: an interrupt from the keyboard reaches us
alone, and we stop the others in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

STOP_SECONDS = 10.0
"""How long processes may take to stop before they are killed."""

COMMAND_LINE = "fedcoin.application.cli"
"""The module that runs `fedcoin-node` in a process of its own."""

POLL_SECONDS = 0.1
TAIL_LINES = 15
TAIL_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Running:
    """One process and its log. ``lasting`` ones must not end by themselves."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    lasting: bool


class Processes:
    """A context manager that owns processes; leaving it ends all of them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._running: list[Running] = []

    def __enter__(self) -> Processes:
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self, name: str, arguments: Sequence[str], *, lasting: bool, module: str = COMMAND_LINE
    ) -> None:
        """Start a Python module as a program; its output goes to `logs/NAME.log`.

        Args:
            name: The process's name, which is that of its log, too.
            arguments: Its command line behind `python -m MODULE`.
            lasting: Whether the process must not end by itself.
            module: The module to run; `fedcoin-node`'s where none is given.
        """
        path = self._logs / f"{name}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(os.environ),
                start_new_session=True,
            )
        self._running.append(Running(name, process, path, lasting))

    def pid(self, name: str) -> int:
        """Of the latest process of this name."""
        return next(r.process.pid for r in reversed(self._running) if r.name == name)

    def check(self) -> None:
        """Raises PROCESS_FAILED, with the end of its log, when one ended that should not have."""
        for running in self._running:
            code = running.process.poll()
            if code is not None and (code != 0 or running.lasting):
                raise failed(running, ending(code))

    async def watch(self) -> None:
        """Checks them over and over; never returns."""
        while True:
            self.check()
            await asyncio.sleep(POLL_SECONDS)

    async def wait(self, name: str, seconds: float) -> None:
        """Waits until a process has ended by itself.

        Raises PROCESS_FAILED as `check` does, and when it takes longer than that.
        """
        running = next(r for r in reversed(self._running) if r.name == name)
        try:
            await asyncio.to_thread(running.process.wait, max(0.0, seconds))
        except subprocess.TimeoutExpired:
            raise failed(running, "did not end in time") from None
        self.check()

    def stop(self) -> None:
        """Ends all of them: gently, and after a while not."""
        for running in self._running:
            if running.process.stdin is not None:
                with suppress(OSError):
                    running.process.stdin.close()
        deadline = time.monotonic() + STOP_SECONDS
        for running in self._running:
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(max(0.0, deadline - time.monotonic()))
        for running in self._running:
            # Workers end with the process that started them; one that hangs takes its own along.
            if running.process.poll() is None:
                os.killpg(running.process.pid, signal.SIGKILL)
                running.process.wait()


def failed(running: Running, how: str) -> RefusalError:
    """What to say of a process that did not do as it should."""
    return RefusalError(
        ApplicationCode.PROCESS_FAILED,
        f"{running.name} {how}; the end of {running.log}:\n{tail(running.log)}\n"
        f"{running.name} {how}",
        field=running.name,
    )


def environment(outer: Mapping[str, str]) -> dict[str, str]:
    """What the processes see: no settings of the person who started us, and one thread each.

    A dozen processes that each want all cores take longer than a dozen that take turns.
    """
    inner = {
        name: value
        for name, value in outer.items()
        if not name.startswith("FEDCOIN_") or name in ("FEDCOIN_MNIST", "FEDCOIN_DEBUG")
    }
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    inner.update(dict.fromkeys(threads, "1"))
    inner.update(PYTHONUNBUFFERED="1", TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1")
    return inner


def ending(code: int) -> str:
    """How a process ended, in words."""
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return "ended too early" if code == 0 else f"failed with exit code {code}"


def tail(path: Path) -> str:
    """The last lines of a log."""
    with path.open("rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:]) or "    (nothing)"
