"""Run a program until it is asked to stop: signals, the parent's end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import click

T = TypeVar("T")

GRACE_SECONDS = 15.0
"""How long a program may take to stop after its parent has ended, in seconds."""

Work = Callable[[asyncio.Event], Awaitable[None]]
"""A program's work; the event that it is passed is set when it should stop."""


def serve(work: Work, *, with_stdin: bool = False) -> None:
    """Run a program's work until it is done or asked to stop.

    SIGINT and SIGTERM ask it to stop; a second signal ends the process at once.

    Args:
        work: The work. Its argument is an event that is set when the work should stop.
        with_stdin: Also stop when standard input is closed, as happens when the parent process ends
            or crashes.
    """
    # Modules, classes and functions stay until the end. Walking over them in each full collection
    # would stop everything for a tenth of a second, votes included.
    gc.collect()
    gc.freeze()
    try:
        import uvloop
    except ImportError:  # there is none for this platform
        asyncio.run(_supervised(work, with_stdin))
    else:
        uvloop.run(_supervised(work, with_stdin))


async def _supervised(work: Work, with_stdin: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    if with_stdin:
        threading.Thread(target=_watch_stdin, args=(loop, stop), daemon=True).start()
    try:
        await work(stop)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """Run work, and cancel it when an event is set first.

    Args:
        stop: Set when the work should end before it is done.
        work: The coroutine; its exceptions are passed on.

    Returns:
        The work's result; None when it was cancelled.
    """
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


# Asks the program to stop when standard input ends; ends the process if that takes too long.
def _watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: all is over
        loop.call_soon_threadsafe(stop.set)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def end_process_within(seconds: float, exit_code: int) -> None:
    """Start a thread that ends this process after a delay, and return at once.

    For a process that has begun to stop: something may hang, such as a write to a broken disk. The
    thread runs no clean-up (`os._exit`), and has no effect on a process that stops earlier.

    Args:
        seconds: The delay in seconds.
        exit_code: The exit code of a process that the thread ends.
    """

    def end() -> None:
        time.sleep(seconds)
        os._exit(exit_code)

    threading.Thread(target=end, daemon=True).start()


def parent_option(command: Callable[..., None]) -> Callable[..., None]:
    """Add the flag `--stop-with-stdin`, by which a parent process ends the command.

    Args:
        command: The function that becomes a click command.

    Returns:
        The command with the option.
    """
    return click.option(
        "--stop-with-stdin",
        is_flag=True,
        help="Stop when standard input ends, that is with the program that started this one.",
    )(command)
