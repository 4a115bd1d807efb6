"""Programs that run until they are told to stop: signals, the parent's end, logging."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import click

T = TypeVar("T")

GRACE_SECONDS = 15.0
"""How long a program whose parent is gone may take to stop."""

Work = Callable[[asyncio.Event], Awaitable[None]]


def serve(work: Work, *, with_stdin: bool = False) -> None:
    """Runs ``work`` until it is done; the event it gets is set when it should stop.

    SIGINT and SIGTERM set it; a second one ends the process at once. ``with_stdin`` ties the
    process to its parent: it stops when standard input ends, however the parent died.
    """
    try:
        import uvloop
    except ImportError:  # there is none for this platform
        asyncio.run(supervised(work, with_stdin))
    else:
        uvloop.run(supervised(work, with_stdin))


async def supervised(work: Work, with_stdin: bool) -> None:
    """Ties the event to signals and the parent while the work runs."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    if with_stdin:
        threading.Thread(target=watch_stdin, args=(loop, stop), daemon=True).start()
    try:
        await work(stop)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def unless_stopped(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T | None:
    """What the work gives, or None when ``stop`` is set first; then the work is cancelled."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def watch_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Waits for the end of standard input, then has the program stopped, gently at first."""
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    with contextlib.suppress(RuntimeError):  # the loop is closed: all is over
        loop.call_soon_threadsafe(stop.set)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def configure_logging(level: str, style: str) -> None:
    """Log lines go to standard error, as text or as JSON objects."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("fedcoin").setLevel(level.upper())


class TextLines(logging.Formatter):
    """``12:31:07.123 INFO  chain: block 12 is final``."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03d %(levelname)-7s %(part)s: %(message)s", "%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, and a traceback where there is one."""
        record.part = record.name.rpartition(".")[2]
        return super().format(record)


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as an object."""
        line = {
            "time_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def parent_option(command: Callable[..., None]) -> Callable[..., None]:
    """``--stop-with-stdin``."""
    return click.option(
        "--stop-with-stdin",
        is_flag=True,
        help="Stop when standard input ends: ties the program to the one that started it.",
    )(command)
