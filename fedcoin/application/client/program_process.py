"""Run a client's training program: bounded in time and output, and ended with all it started."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from fedcoin.network.background_tasks import run_within

TAIL_LINES: Final = 15
"""How many of a program's last lines are kept."""
MAX_LINE: Final = 300
"""How many characters of a line are kept."""
FREE_LINES: Final = 100
"""How many lines are reported as they come; later ones at most once a second."""
STOP_SECONDS: Final = 5.0
"""How long a program may take to stop before it is killed, in seconds."""

_READ_BYTES: Final = 1 << 16
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class ProgramEnd:
    """How a program ended."""

    exit_code: int
    """Its exit code; minus the signal's number when a signal ended it."""
    timed_out: bool
    """Whether it was stopped because its time was over."""
    tail: tuple[str, ...]
    """Its last lines, at most `TAIL_LINES`."""

    def describe(self) -> str:
        """Say how the program ended, with its last lines.

        Returns:
            Such as "ended with exit code 3; its last lines:" and the lines.
        """
        how = (
            "was killed by signal " + str(-self.exit_code)
            if self.exit_code < 0
            else f"ended with exit code {self.exit_code}"
        )
        if not self.tail:
            return f"{how}, and printed nothing"
        return "\n    ".join([f"{how}; its last lines:", *self.tail])


async def run_program(
    command: Sequence[str],
    environment: Mapping[str, str],
    seconds: float,
    report: Callable[[str], None],
) -> ProgramEnd:
    """Run a program to its end, in a process group of its own, without standard input.

    When its time is over, or this task is cancelled, the whole group is asked to stop and then
    killed. Processes that the program leaves behind are killed, too.

    Args:
        command: The program and its arguments; no shell reads them.
        environment: All its variables.
        seconds: How long it may run, in seconds.
        report: Gets its lines of output, cut to `MAX_LINE` characters; not all when there are many.

    Returns:
        The exit code, and the program's last lines.

    Raises:
        OSError: It cannot be started.
    """
    process = _start(command, environment)
    loop, read = asyncio.get_running_loop(), asyncio.Event()

    def call(function: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            loop.call_soon_threadsafe(function, *arguments)

    output = _Output(lambda line: call(report, line))
    # A daemon: a process that left the group could hold the output open.
    reading = (process, output, lambda: call(read.set))
    threading.Thread(target=_read, args=reading, daemon=True).start()
    timed_out = False
    try:
        await run_within(seconds, _wait(process))
    except asyncio.TimeoutError:
        timed_out = True
    finally:
        await _end_group(process)
        with suppress(asyncio.TimeoutError):
            await run_within(STOP_SECONDS, read.wait())
    return ProgramEnd(await _wait(process), timed_out, tuple(output.tail))


def _start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # Not by the event loop: uvloop runs Python between fork and exec, which dies beside gRPC.
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        start_new_session=True,
    )


async def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait until a process has ended; returns its exit code."""
    while True:
        exit_code = process.poll()
        if exit_code is not None:
            return exit_code
        await asyncio.sleep(_POLL_SECONDS)


def _read(process: subprocess.Popen[bytes], output: _Output, when_read: Callable[[], None]) -> None:
    """Read a program's output to its end, so that the program never waits for its reader."""
    assert process.stdout is not None
    with process.stdout as stream:
        while chunk := os.read(stream.fileno(), _READ_BYTES):
            output.add(chunk)
    output.end()
    when_read()


async def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program and everything that it started and that is still in its group."""
    if process.poll() is None:
        _signal(process.pid, signal.SIGTERM)
        with suppress(asyncio.TimeoutError):
            await run_within(STOP_SECONDS, _wait(process))
    _signal(process.pid, signal.SIGKILL)
    await _wait(process)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


class _Output:
    """Cuts a program's output into lines, reports some, and keeps the last ones."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._report = report
        self._num_lines = 0
        self._next_report = 0.0
        self._rest = b""

    def add(self, chunk: bytes) -> None:
        """Take the next part of the output."""
        # A progress bar writes over its line with carriage returns.
        *lines, rest = (self._rest + chunk).replace(b"\r", b"\n").split(b"\n")
        self._rest = rest[: 4 * MAX_LINE]
        for line in lines:
            self._add_line(line)

    def end(self) -> None:
        """Take the last line, which need not end."""
        self._add_line(self._rest)

    def _add_line(self, raw: bytes) -> None:
        text = raw[: 4 * MAX_LINE].decode("utf-8", "replace").rstrip()
        line = "".join(c if c.isprintable() else " " for c in text)[:MAX_LINE]
        if not line.strip():
            return
        self.tail.append(line)
        self._num_lines += 1
        now = time.monotonic()
        if self._num_lines <= FREE_LINES or now >= self._next_report:
            self._next_report = now + 1
            self._report(line)
