"""The real program in its own processes: start, stop and kill it, and read its logs.

A `Stage` owns the processes and ends them all on leaving. A traceback or a line with ERROR in any
log then fails the test, unless the test announced it with `Stage.expect`.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any, TypeVar

from fedcoin.application.cli.entry import run
from fedcoin.application.devnet.child_processes import child_environment
from fedcoin.testing.networks.log_alarms import find_alarms
from tests.support.waiting import WAIT_SECONDS, until

T = TypeVar("T")

PROGRAM = Path(sys.executable).with_name("fedcoin-node")
COMMAND = [str(PROGRAM)] if PROGRAM.exists() else [sys.executable, "-m", "fedcoin.application.cli"]

STOP_SECONDS = 20.0


class Program:
    """A `fedcoin-node` command that runs once at a time and can be started again."""

    def __init__(
        self,
        name: str,
        log: Path,
        command: Sequence[str],
        *,
        folder: Path | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._folder = folder
        self._variables = dict(variables or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._began_at = 0

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, *more: object) -> Program:
        """Start the process; its output is appended to its log."""
        assert not self.running, f"{self.name} runs already"
        self._began_at = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command, *(str(argument) for argument in more)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                env={**child_environment(os.environ), **self._variables},
                start_new_session=True,
            )
        return self

    def also(self, *arguments: object) -> None:
        """Add arguments for later starts."""
        self._command += [str(argument) for argument in arguments]

    def kill(self) -> None:
        """End the process at once, without any cleanup (SIGKILL)."""
        assert self._process is not None
        self._process.kill()
        self._reap(STOP_SECONDS)

    def stop(self) -> None:
        """Stop the process as Ctrl-C does, and check that it exits with 0."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        code = self.wait(STOP_SECONDS)
        assert code == 0, f"{self.name} ended with {code}:\n{self.said()[-2000:]}"

    def wait(self, seconds: float = WAIT_SECONDS) -> int:
        """Wait until the process ends by itself; returns its exit code."""
        assert self._process is not None
        try:
            return self._reap(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} does not end:\n{self.said()[-2000:]}") from None

    async def ended(self, seconds: float = WAIT_SECONDS) -> int:
        """Wait until the process ends, without blocking the event loop; returns its exit code."""
        return await asyncio.to_thread(self.wait, seconds)

    def said(self) -> str:
        """Return the output since the latest start."""
        return self.log.read_bytes()[self._began_at :].decode(errors="replace")

    async def says(self, words: str, seconds: float = WAIT_SECONDS) -> None:
        """Wait until the output contains `words`."""
        await until(lambda: words in self.said(), f"{self.name} says {words!r}", seconds=seconds)

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def children(self) -> list[int]:
        """Return the process ids of the worker processes, without the sandboxes around them."""
        return [leaf for child in _children_of(self.pid) for leaf in _leaves_of(child)]

    def worker_cpu_seconds(self) -> float:
        """Return the CPU time that the worker processes have used so far, in seconds."""
        ticks = 0
        for pid in self.children():
            with suppress(FileNotFoundError, ProcessLookupError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def kill_workers(self) -> None:
        """Kill the worker processes (SIGKILL)."""
        for pid in self.children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextmanager
    def workers_asleep(self) -> Iterator[None]:
        """Suspend the workers while inside; the node itself goes on and votes."""
        pids = self.children()
        assert pids, f"{self.name} has no worker"
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def end(self) -> None:
        """End the process, if necessary by SIGKILL."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._reap(STOP_SECONDS)

    def _reap(self, seconds: float) -> int:
        assert self._process is not None
        code = self._process.wait(seconds)
        if self._process.stdin is not None:
            self._process.stdin.close()
        return code


class Stage:
    """Owns processes and their logs, and ends them on leaving. A context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self._programs: list[Program] = []
        self._expected: list[str] = []

    def __enter__(self) -> Stage:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        for program in reversed(self._programs):
            program.end()
        if kind is None:
            self.check_logs()

    def program(self, name: str, *arguments: object) -> Program:
        """Prepare `fedcoin-node` with these arguments, without starting it."""
        return self._add(name, [*COMMAND, *(str(argument) for argument in arguments)])

    def typed(self, name: str, line: str, folder: Path, variables: Mapping[str, str]) -> Program:
        """Prepare a shell command in a folder, without starting it."""
        command = ["bash", "-c", f"exec {line}"]
        return self._add(name, command, folder=folder, variables=variables)

    def _add(self, name: str, command: Sequence[str], **more: Any) -> Program:
        program = Program(name, self.logs / f"{name}.log", command, **more)
        self._programs.append(program)
        return program

    def running(self) -> list[Program]:
        """Return the processes that run, the latest first."""
        return [program for program in reversed(self._programs) if program.running]

    def expect(self, words: str) -> None:
        """Allow errors in log lines that contain `words`."""
        self._expected.append(words)

    def check_logs(self) -> None:
        """Fail for errors in any log that no test announced."""
        for path in sorted(self.logs.glob("*.log")):
            text = path.read_text(errors="replace")
            alarm = next(find_alarms(text, self._expected), None)
            assert alarm is None, f"{path.name}: {alarm}"


def fedcoin(*arguments: object, seconds: float = WAIT_SECONDS) -> str:
    """Run a command that must succeed; returns its output."""
    code, out, err = attempted(*arguments, seconds=seconds)
    assert code == 0, f"{arguments}: exit code {code}: {err}"
    return out


def attempted(*arguments: object, seconds: float = WAIT_SECONDS) -> tuple[int, str, str]:
    """Run a command; returns its exit code, output and error output.

    It runs in this process, which need not import the program again: that takes the processor half
    a second and more. Under an event loop it runs in a thread, where commands that handle signals
    cannot run: these need `spawned`.
    """
    out, err = io.StringIO(), io.StringIO()
    line = [str(argument) for argument in arguments]
    with quiet_logging(), redirect_stdout(out), redirect_stderr(err):
        if not _in_event_loop():
            code = run(line)
        else:
            with ThreadPoolExecutor(1) as thread:
                code = thread.submit(run, line).result(seconds)
    return code, out.getvalue(), err.getvalue()


def _in_event_loop() -> bool:
    with suppress(RuntimeError):
        return bool(asyncio.get_running_loop())
    return False


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Undo a command's logging setup, which is meant for its own process."""
    loggers = [logging.getLogger(), logging.getLogger("fedcoin")]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    try:
        yield
    finally:
        for logger, handlers, level in before:
            logger.handlers[:] = handlers
            logger.setLevel(level)


def spawned(*arguments: object, seconds: float = WAIT_SECONDS) -> tuple[int, str, str]:
    """Run a command as a process; returns its exit code, output and error output."""
    done = subprocess.run(
        [*COMMAND, *(str(argument) for argument in arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=seconds,
        env=child_environment(os.environ),
    )
    return done.returncode, done.stdout, done.stderr


def _children_of(pid: int) -> list[int]:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [int(child) for child in found]


def _leaves_of(pid: int) -> list[int]:
    """Return the processes below one that have no children, or itself if it has none."""
    below = [leaf for child in _children_of(pid) for leaf in _leaves_of(child)]
    return below or [pid]
