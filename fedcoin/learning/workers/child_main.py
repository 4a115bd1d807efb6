"""The worker's end of the pipe: read requests, call functions, write replies (see `frames`)."""

from __future__ import annotations

import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from typing import Any, BinaryIO

from fedcoin.data.errors import RefusalError
from fedcoin.learning.workers.frames import (
    FRAME_LENGTH,
    MEMORY_VARIABLE,
    REPLY_FAILURE,
    REPLY_REFUSAL,
    REPLY_RESULT,
)
from fedcoin.learning.workers.replies import encode_reply


def main() -> None:
    """Serve requests until the parent closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _limit_memory(os.environ.pop(MEMORY_VARIABLE, ""))
    # Keras imports it where it is installed, for plots that no worker draws: a fifth of the time
    # that the import of Keras takes.
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    requests, replies = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # What a library prints to standard output goes to standard error, not between the replies.
    os.dup2(2, 1)
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_queue_requests, args=(requests, frames), daemon=True).start()
    while True:
        frame = _encode(*_answer(frames.get()))
        replies.write(FRAME_LENGTH.pack(len(frame)) + frame)
        replies.flush()


def _encode(number: int, kind: str, value: Any) -> bytes:
    try:
        return encode_reply(number, kind, value)
    except TypeError as error:
        return encode_reply(number, REPLY_FAILURE, str(error))


def _limit_memory(num_bytes: str) -> None:
    """Bound the memory of this process, where the operating system can.

    RLIMIT_DATA counts what the process takes for itself. RLIMIT_AS would count address space as
    well, of which TensorFlow reserves 2 GB more than it ever uses.
    """
    if not num_bytes or sys.platform == "win32":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = int(num_bytes) if hard == resource.RLIM_INFINITY else min(int(num_bytes), hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _queue_requests(requests: BinaryIO, frames: queue.SimpleQueue[bytes]) -> None:
    """Queue each request. When the parent is gone, end the process even during a call."""
    try:
        while len(header := requests.read(FRAME_LENGTH.size)) == FRAME_LENGTH.size:
            (size,) = FRAME_LENGTH.unpack(header)
            frames.put(requests.read(size))
    finally:
        os._exit(0)


def _answer(frame: bytes) -> tuple[int, str, Any]:
    # The number is read before the arguments, so that a request whose arguments cannot be
    # unpickled still gets its reply.
    number, body = pickle.loads(frame)
    try:
        function, arguments = pickle.loads(body)
        return number, REPLY_RESULT, function(*arguments)
    except RefusalError as refusal:
        return number, REPLY_REFUSAL, refusal
    except Exception:
        return number, REPLY_FAILURE, traceback.format_exc(limit=-6)
