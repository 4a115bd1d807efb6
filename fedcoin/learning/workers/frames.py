"""What a worker process and its parent agree on: frames, kinds of replies, a variable.

This module imports no asyncio: that would take a sixth of the time in which a child starts.

Wire format: a frame is its length (8 bytes, little-endian) and its content. A request is the pickle
of (number, pickle of (function, arguments)), which comes from this program. A reply comes from a
process that reads strangers' files, so it is no pickle: see `replies`. Its kind is one of the
`REPLY_` kinds.
"""

from __future__ import annotations

import struct

FRAME_LENGTH = struct.Struct("<Q")
"""The length that precedes a frame's content."""

REPLY_RESULT, REPLY_REFUSAL, REPLY_FAILURE = "result", "refusal", "failure"
"""Kinds of replies: the function's result, its RefusalError, or another exception's traceback."""

MEMORY_VARIABLE = "FEDCOIN_WORKER_MEMORY"
"""The environment variable by which a child learns how much memory it may take, in bytes."""
