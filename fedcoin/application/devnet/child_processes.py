"""Start the processes of a devnet together, watch them, and stop all of them in any case.

The devnet holds the other end of each process's standard input. A process stops when that closes,
so that no process outlives a devnet that is killed. Each process leads a process group of its own:
an interrupt from the keyboard reaches the devnet alone, which then stops the others in order.
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
"""How long processes may take to stop before they are killed, in seconds."""

COMMAND_LINE = "fedcoin.application.cli"
"""The module that runs `fedcoin-node`, as in `python -m fedcoin.application.cli`."""

POLL_SECONDS = 0.1
"""The pause between two checks of the processes, in seconds."""
TAIL_LINES = 15
"""The number of a log's last lines that an error shows."""
TAIL_BYTES = 16_384
"""The number of a log's last bytes in which these lines are looked for."""


@dataclass(frozen=True, slots=True)
class _Running:
    name: str
    process: subprocess.Popen[bytes]
    # The file that holds its output.
    log: Path
    # Whether it must not end by itself.
    lasting: bool


class ChildProcesses:
    """The processes of one devnet; a context manager that stops them when it is left."""

    def __init__(self, logs: Path) -> None:
        """Remember where logs go.

        Args:
            logs: The folder of the log files; made when the context is entered.
        """
        self._logs = logs
        self._running: list[_Running] = []

    def __enter__(self) -> ChildProcesses:
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
        """Run a Python module as a program; its output goes to `NAME.log`.

        Args:
            name: The process's name.
            arguments: Its command line behind the module's name.
            lasting: True when the process must run until it is stopped; its end is a failure.
            module: The module to run; by default that of `fedcoin-node`.
        """
        path = self._logs / f"{name}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                module_command(module, arguments),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=child_environment(os.environ),
                start_new_session=True,
            )
        self._running.append(_Running(name, process, path, lasting))

    def pid(self, name: str) -> int:
        """Return the process id of the latest process with a name.

        Args:
            name: The name that it was started with.

        Returns:
            The process id, also after the process ended.
        """
        return self._latest(name).process.pid

    def exit_code(self, name: str) -> int | None:
        """Return how the latest process with a name ended.

        Args:
            name: The name that it was started with.

        Returns:
            The exit code, negative for a signal; None while the process runs.
        """
        return self._latest(name).process.poll()

    async def wait_for_code(self, name: str, seconds: float) -> int | None:
        """Wait until a process has ended, however it ends.

        Args:
            name: The name that it was started with.
            seconds: How long to wait, in seconds.

        Returns:
            The exit code, negative for a signal; None when the process runs on for longer.
        """
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._latest(name).process.wait, seconds)
        return self.exit_code(name)

    def check(self) -> None:
        """Check that no process failed.

        Raises:
            RefusalError: PROCESS_FAILED, with the end of the log, when a process ended with an
                exit code other than 0, or a lasting one ended.
        """
        for running in self._running:
            code = running.process.poll()
            if code is not None and (code != 0 or running.lasting):
                raise _failed(running, _describe_end(code))

    async def watch(self) -> None:
        """Check all processes every 100 ms, until one fails or this task is cancelled.

        Raises:
            RefusalError: PROCESS_FAILED, with the end of the log, when a process ended with an exit
                code other than 0, or a lasting one ended.
        """
        while True:
            self.check()
            await asyncio.sleep(POLL_SECONDS)

    async def wait(self, name: str, seconds: float) -> None:
        """Wait until a process has ended by itself.

        Args:
            name: The name that it was started with.
            seconds: How long to wait, in seconds; less than zero counts as zero.

        Raises:
            RefusalError: PROCESS_FAILED when the process runs on for longer, when it or another one
                ended with an exit code other than 0, or when a lasting one ended.
        """
        running = self._latest(name)
        try:
            await asyncio.to_thread(running.process.wait, max(0.0, seconds))
        except subprocess.TimeoutExpired:
            raise _failed(running, "did not end in time") from None
        self.check()

    def stop(self) -> None:
        """Close the standard input of all processes; kill those that do not stop within 10 s."""
        for running in self._running:
            if running.process.stdin is not None:
                with suppress(OSError):
                    running.process.stdin.close()
        deadline = time.monotonic() + STOP_SECONDS
        for running in self._running:
            with suppress(subprocess.TimeoutExpired):
                running.process.wait(max(0.0, deadline - time.monotonic()))
        for running in self._running:
            # Workers end with the process that started them. A node that hangs is killed together
            # with its workers, which are in its process group.
            if running.process.poll() is None:
                os.killpg(running.process.pid, signal.SIGKILL)
                running.process.wait()

    def _latest(self, name: str) -> _Running:
        return next(running for running in reversed(self._running) if running.name == name)


def module_command(module: str, arguments: Sequence[str]) -> list[str]:
    """Make the command that runs a Python module as a program.

    `python -m` puts the current folder first on the import path, so that a `numpy.py` there would
    be run. The program gets the import path of this process instead.

    Args:
        module: The module, or a package with a `__main__`.
        arguments: The program's arguments.

    Returns:
        The command.
    """
    path = [os.path.abspath(entry) for entry in sys.path if entry]
    code = (
        f"import sys; sys.path[:] = {path!r}; from runpy import run_module; "
        f"run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-c", code, *arguments]


def child_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Make the environment variables of a devnet's processes.

    The user's FEDCOIN_ settings are left out, because each home has its own. Each process computes
    with one thread: a dozen processes with a thread for each core would slow each other down.

    Args:
        environment: The variables of this process.

    Returns:
        The variables of the processes.
    """
    inherited = {
        name: value
        for name, value in environment.items()
        if not name.startswith("FEDCOIN_") or name in ("FEDCOIN_MNIST", "FEDCOIN_DEBUG")
    }
    threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    inherited.update(dict.fromkeys(threads, "1"))
    inherited.update(PYTHONUNBUFFERED="1", TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1")
    return inherited


def read_tail(path: Path) -> str:
    """Read the last 15 lines of a log file.

    Args:
        path: The log file, which may hold any bytes.

    Returns:
        The lines, indented; or `(nothing)` for an empty file.
    """
    with path.open("rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - TAIL_BYTES))
        lines = log.read().decode(errors="replace").splitlines()
    return "\n".join(f"    {line}" for line in lines[-TAIL_LINES:]) or "    (nothing)"


def _failed(running: _Running, how: str) -> RefusalError:
    # The reason stands before and after the log, which may fill the screen.
    return RefusalError(
        ApplicationCode.PROCESS_FAILED,
        f"{running.name} {how}; the end of {running.log}:\n{read_tail(running.log)}\n"
        f"{running.name} {how}",
        field=running.name,
    )


def _describe_end(code: int) -> str:
    if code < 0:
        with suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
    return "ended too early" if code == 0 else f"failed with exit code {code}"
