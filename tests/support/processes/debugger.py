"""Trace a process as a debugger does: stop all its threads, let them go on, and watch them.

Usage: python -m tests.support.processes.debugger PID STOPS SECONDS

It attaches to each thread, then stops all threads STOPS times, for SECONDS each, with as long a
pause between them, and prints `stopped` and `resumed`. Signals to the process come to the debugger
first, which passes them on. It ends with the process. See ptrace(2), Linux only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

CONTINUE, SEIZE, INTERRUPT, LISTEN = 7, 0x4206, 0x4207, 0x4208
STOP_EVENT = 128
ALL_CHILDREN = 0x40000000
"""`__WALL` of waitpid(2): threads as well as processes."""
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def trace(request: int, thread: int, data: int = 0) -> None:
    """Make a request of ptrace(2), unless the thread has ended."""
    if _libc.ptrace(request, thread, None, data) < 0:
        number = ctypes.get_errno()
        if number != 3:  # ESRCH
            raise OSError(number, os.strerror(number))


def resume(thread: int, status: int) -> None:
    """Let a stopped thread go on, with the signal that stopped it if it was one."""
    number = os.WSTOPSIG(status)
    if status >> 16 != STOP_EVENT:
        trace(CONTINUE, thread, number)
    else:
        trace(LISTEN if number in STOPPING else CONTINUE, thread)


def pass_signals_on(seconds: float) -> None:
    """Resume whatever stops for some seconds.

    Raises:
        ChildProcessError: No traced thread is left.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        thread, status = os.waitpid(-1, ALL_CHILDREN | os.WNOHANG)
        if not thread:
            time.sleep(0.005)
        elif os.WIFSTOPPED(status):
            resume(thread, status)


def main(process: int, stops: int, seconds: float) -> None:
    threads = [int(entry.name) for entry in Path(f"/proc/{process}/task").iterdir()]
    for thread in threads:
        trace(SEIZE, thread)
    for _ in range(stops):
        for thread in threads:
            trace(INTERRUPT, thread)
        stopped = {thread: os.waitpid(thread, ALL_CHILDREN)[1] for thread in threads}
        print("stopped", flush=True)
        time.sleep(seconds)
        for thread, status in stopped.items():
            if os.WIFSTOPPED(status):
                resume(thread, status)
        print("resumed", flush=True)
        pass_signals_on(seconds)
    while True:
        pass_signals_on(60)


if __name__ == "__main__":
    with suppress(ChildProcessError):  # the process has ended
        main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
