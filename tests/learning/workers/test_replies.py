"""A worker's reply is plain data, whatever the worker sends."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.learning.training.datasets import EvaluationSet
from fedcoin.learning.training.input_range import DataSummary, InputRange
from fedcoin.learning.workers.process import WorkerDiedError, WorkerProcess
from fedcoin.learning.workers.replies import BadReplyError, decode_reply, encode_reply
from tests.conftest import ReportAttack

VALUES: list[Any] = [
    None,
    True,
    -5,
    2**70,
    1.5,
    math.inf,
    "text",
    b"bytes",
    [1, [b"a", "b"]],
    (1, (2.0, b"")),
    {"a": (1,), 2: b"b"},
    EvaluationSet((b"x", b"y"), (1, 2), (3,), 4, InputRange("uint8", 0.0, 255.0, True)),
    DataSummary(5, InputRange("float32", -1.5, 2.0, False, 16.0)),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    number, kind, found = decode_reply(encode_reply(7, "result", value))
    assert (number, kind, found) == (7, "result", value)
    assert type(found) is type(value)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8", "u1", "?"])
def test_arrays_keep_dtype_and_shape(dtype: str) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for each in (array, array[:, ::2].T, array[:0]):
        _, _, found = decode_reply(encode_reply(1, "result", each))
        np.testing.assert_array_equal(found, each)
        assert found.dtype == each.dtype
        found[...] = 0  # the caller's own


def test_a_refusal_keeps_its_code() -> None:
    refusal = RefusalError(DataCode.TOO_LARGE, "too large", field="x", limit="3")
    _, _, found = decode_reply(encode_reply(1, "refusal", refusal))
    assert isinstance(found, RefusalError)
    expected = (refusal.code, refusal.message, refusal.field, refusal.limit)
    assert (found.code, found.message, found.field, found.limit) == expected


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, np.array([object()]), Path("a")],
    ids=["object", "set", "array of objects", "path"],
)
def test_anything_else_is_not_sent(value: Any) -> None:
    with pytest.raises(TypeError):
        encode_reply(1, "result", value)


def frame(header: object, *buffers: bytes) -> bytes:
    raw = json.dumps(header).encode()
    return struct.pack("<I", len(raw)) + raw + b"".join(buffers)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff\xff\xff\xff{}",
        frame([1, "result", {"bytes": 0}, [5]], b"four"),
        frame([1, "result", {"bytes": 0}, [-1]]),
        frame([1, "result", {"bytes": 3}, [1]], b"x"),
        frame([1, "result", None, []], b"more"),
        frame([1, "result", {"array": ["|O", [1], 0]}, [8]], bytes(8)),
        frame([1, "result", {"array": ["<f4", [1 << 40], 0]}, [4]], bytes(4)),
        frame([1, "result", {"array": ["<f4", [-1, -1], 0]}, [4]], bytes(4)),
        frame([1, "result", {"Popen": [["id"]]}, []]),
        frame([1, "refusal", {"refusal": ["Popen", "x", "", "", ""]}, []]),
        frame([1, "result", {"a": 1, "b": 2}, []]),
        frame({"not": "a list"}),
    ],
    ids=lambda raw: raw[4:44].decode(errors="replace"),
)
def test_other_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(BadReplyError):
        decode_reply(raw)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_or_plain(raw: bytes) -> None:
    try:
        decode_reply(raw)
    except BadReplyError:
        return


TAKEOVER = """
import os, pickle, struct
class Evil:
    def __reduce__(self):
        return os.mkdir, ({folder!r},)
frame = pickle.dumps((1, "result", Evil()))
pipe = max(int(fd) for fd in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + fd))
for fd in range(3, pipe + 1):
    try:
        os.write(fd, struct.pack("<Q", len(frame)) + frame)
    except OSError:
        pass
"""


@pytest.mark.attack
async def test_a_worker_that_sends_a_pickle_is_ended_and_its_pickle_not_read(
    tmp_path: Path, report_attack: ReportAttack
) -> None:
    process = WorkerProcess()
    await process.start()
    try:
        await process.call(abs, 1)
        code = TAKEOVER.format(folder=str(tmp_path / "taken over"))
        with pytest.raises(WorkerDiedError, match="cannot be read"):
            await process.call(exec, code)
        assert not process.is_alive
    finally:
        await process.stop()
    assert not (tmp_path / "taken over").exists()
    report_attack(
        "a worker process that a model took over answers with a pickle",
        "runs any program in the node, which holds the keys",
        "is ended; nothing of it is run",
    )
