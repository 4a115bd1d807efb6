"""Log lines on standard error, written by a thread of their own.

Whoever reads standard error may be slow or stopped: a pager, a terminal that is paused, a container
engine whose disk is full. The program goes on meanwhile, because a node that waits for a reader of
its log does not vote.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
from typing import Final

MAX_WAITING_LINES: Final = 10_000
"""How many lines wait for the reader of the log; later ones are dropped and counted."""

FLUSH_SECONDS: Final = 1.0
"""How long the end of the program waits until all lines are written, in seconds."""

_MAX_LINES_AT_ONCE: Final = 200
_STANDARD_ERROR: Final = 2


def configure_logging(level: str, style: str) -> None:
    """Send log lines to standard error.

    Args:
        level: The least severe level of this package's lines; other packages log warnings.
        style: `text` or `json`.
    """
    handler = BackgroundHandler(_STANDARD_ERROR)
    handler.setFormatter(JsonLines() if style == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("fedcoin").setLevel(level.upper())


class BackgroundHandler(logging.Handler):
    """Writes log lines to a file descriptor from a thread, and never waits for their reader.

    Lines that find the queue full are dropped; the next line that is written says how many. Lines
    that cannot be written, because the reader is gone or a disk is full, are dropped as well.

    Args:
        descriptor: The file descriptor, open for writing.
        max_waiting: How many lines may wait.
    """

    def __init__(self, descriptor: int, max_waiting: int = MAX_WAITING_LINES) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._waiting: queue.Queue[str | threading.Event] = queue.Queue(max_waiting)
        self._num_dropped = 0
        self._counting = threading.Lock()
        threading.Thread(target=self._write, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a record's line, or drop it when too many wait.

        Args:
            record: What a logger made of one call.
        """
        try:
            self._waiting.put_nowait(self.format(record))
        except queue.Full:
            with self._counting:
                self._num_dropped += 1
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Wait until the lines so far are written, but for `FLUSH_SECONDS` at most."""
        written = threading.Event()
        try:
            self._waiting.put(written, timeout=FLUSH_SECONDS)
        except queue.Full:
            return
        written.wait(FLUSH_SECONDS)

    def _write(self) -> None:
        while True:
            entries = [self._waiting.get()]
            while len(entries) < _MAX_LINES_AT_ONCE and not self._waiting.empty():
                entries.append(self._waiting.get())
            lines = [entry for entry in entries if isinstance(entry, str)]
            if self._num_dropped:
                lines.append(self._describe_gap())
            _write_all(self._descriptor, "".join(f"{line}\n" for line in lines))
            for entry in entries:
                if isinstance(entry, threading.Event):
                    entry.set()

    def _describe_gap(self) -> str:
        with self._counting:
            count, self._num_dropped = self._num_dropped, 0
        text = f"{count} lines of this log were dropped, because it was read too slowly"
        record = logging.LogRecord(__name__, logging.WARNING, __file__, 0, text, None, None)
        return self.format(record)


def _write_all(descriptor: int, text: str) -> None:
    rest = text.encode(errors="backslashreplace")
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
    except OSError:
        return  # there is no other place to say so


class TextLines(logging.Formatter):
    """Formats log records as lines such as `12:31:07.123 INFO    chain: block 12 is final`."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s.%(msecs)03d %(levelname)-7s %(part)s: %(message)s", "%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        """Format a record.

        Args:
            record: What a logger made of one call.

        Returns:
            One line, followed by the traceback if there is one.
        """
        record.part = record.name.rpartition(".")[2]
        return super().format(record)


class JsonLines(logging.Formatter):
    """Formats each log record as a JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Format a record.

        Args:
            record: What a logger made of one call.

        Returns:
            A JSON object.
        """
        line = {
            "time_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
