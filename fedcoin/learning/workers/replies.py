"""Replies of a worker as bytes that its parent can read without running any code of the worker.

A worker reads models and weights of strangers. If one of them ever took it over, a pickle as a
reply would take over the parent as well, which holds the keys. A reply is therefore plain data:

    length of the header (4 bytes, little-endian), header (JSON), buffers

The header is [number, kind, value, lengths of the buffers]. In a value, bytes and arrays are
references to buffers; tuples, dictionaries, refusals and the classes of `RESULT_TYPES` are objects
with one member that names them. Reading one allocates no more than the reply's size.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import struct
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from fedcoin.data.errors import RefusalError
from fedcoin.learning.model.frozen_weights import PartlyTrainedModel
from fedcoin.learning.model.weight_files import WeightsFile
from fedcoin.learning.training.datasets import EvaluationSet
from fedcoin.learning.training.input_range import DataSummary, InputRange

RESULT_TYPES: dict[str, type[Any]] = {
    made.__name__: made
    for made in (DataSummary, EvaluationSet, InputRange, PartlyTrainedModel, WeightsFile)
}
"""Dataclasses that functions of a worker return, by name."""

MAX_REPLY_BYTES = 1 << 32
"""The size of the largest reply, in bytes."""

_HEADER_LENGTH = struct.Struct("<I")
_DTYPES = frozenset({"<f4", "<f8", "<i4", "<i8", "<u8", "|u1", "|b1"})
_MAX_DIMENSIONS = 32
_ERRORS_MODULE = re.compile(r"fedcoin\.[a-z]+\.errors", re.ASCII)


class BadReplyError(Exception):
    """A reply is not of the form that a worker sends."""


def encode_reply(number: int, kind: str, value: Any) -> bytes:
    """Encode a reply.

    Args:
        number: The number of the request.
        kind: The kind of reply.
        value: None, a bool, number, string, bytes, a NumPy array of numbers, a `RefusalError`, an
            object of `RESULT_TYPES`, or a list, tuple or dictionary of them.

    Returns:
        The reply's bytes.

    Raises:
        TypeError: The value holds anything else.
    """
    buffers: list[bytes] = []
    plain = _to_plain(value, buffers)
    header = json.dumps([number, kind, plain, [len(buffer) for buffer in buffers]]).encode()
    return b"".join([_HEADER_LENGTH.pack(len(header)), header, *buffers])


def decode_reply(raw: bytes) -> tuple[int, str, Any]:
    """Decode a reply.

    Args:
        raw: What a worker sent.

    Returns:
        The number of the request, the kind of reply, and the value.

    Raises:
        BadReplyError: The bytes are not what `encode_reply` returns.
    """
    try:
        (size,) = _HEADER_LENGTH.unpack_from(raw)
        start = _HEADER_LENGTH.size + size
        number, kind, plain, lengths = json.loads(raw[_HEADER_LENGTH.size : start])
        buffers = []
        for length in lengths:
            if length < 0 or start + length > len(raw):
                raise ValueError("a buffer is longer than the reply")
            buffers.append(memoryview(raw)[start : start + length])
            start += length
        if start != len(raw) or not isinstance(number, int) or not isinstance(kind, str):
            raise ValueError("the reply does not end where it should")
        return number, kind, _from_plain(plain, buffers)
    except (struct.error, ValueError, TypeError, KeyError, IndexError, RecursionError) as error:
        raise BadReplyError(f"a worker sent a reply that cannot be read: {error!r}") from error


def _to_plain(value: Any, buffers: list[bytes]) -> Any:
    if value is None or (
        isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)
    ):
        return value
    if isinstance(value, np.generic):
        return _to_plain(value.item(), buffers)
    if isinstance(value, list):
        return [_to_plain(item, buffers) for item in value]
    name, content = _name_content(value, buffers)
    return {name: content}


def _name_content(value: Any, buffers: list[bytes]) -> tuple[str, Any]:
    """Return the name of a value's type in a reply, and its content as plain data."""
    if isinstance(value, (bytes, bytearray)):
        buffers.append(bytes(value))
        return "bytes", len(buffers) - 1
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        dtype = array.dtype.newbyteorder("<").str
        if dtype not in _DTYPES:
            raise TypeError(f"an array of {array.dtype} cannot be sent to the parent")
        buffers.append(array.astype(dtype, copy=False).tobytes())
        return "array", [dtype, list(value.shape), len(buffers) - 1]
    if isinstance(value, tuple):
        return "tuple", [_to_plain(item, buffers) for item in value]
    if isinstance(value, dict):
        pairs = [[_to_plain(key, buffers), _to_plain(item, buffers)] for key, item in value.items()]
        return "dict", pairs
    if isinstance(value, RefusalError):
        code = [type(value.code).__name__, value.code.name]
        return "refusal", [*code, value.message, value.field, value.limit]
    name = type(value).__name__
    if RESULT_TYPES.get(name) is type(value):
        fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
        return name, [_to_plain(item, buffers) for item in fields]
    raise TypeError(f"a {type(value).__qualname__} cannot be sent to the parent")


def _from_plain(plain: Any, buffers: list[memoryview]) -> Any:
    if isinstance(plain, list):
        return [_from_plain(item, buffers) for item in plain]
    if not isinstance(plain, dict):
        return plain
    ((name, content),) = plain.items()
    read = _READERS.get(name)
    if read is not None:
        return read(content, buffers)
    return RESULT_TYPES[name](*(_from_plain(item, buffers) for item in content))


def _read_bytes(index: int, buffers: list[memoryview]) -> bytes:
    return bytes(buffers[index])


def _read_array(content: list[Any], buffers: list[memoryview]) -> Any:
    dtype, shape, index = content
    if dtype not in _DTYPES or len(shape) > _MAX_DIMENSIONS or any(side < 0 for side in shape):
        raise ValueError(f"an array of {dtype!r} and shape {shape!r}")
    if math.prod(shape) * np.dtype(dtype).itemsize != len(buffers[index]):
        raise ValueError(f"an array of shape {shape} has {len(buffers[index])} bytes")
    return np.frombuffer(buffers[index], dtype).reshape(shape).copy()


def _read_tuple(content: list[Any], buffers: list[memoryview]) -> tuple[Any, ...]:
    return tuple(_from_plain(item, buffers) for item in content)


def _read_dict(content: list[Any], buffers: list[memoryview]) -> dict[Any, Any]:
    return {_from_plain(key, buffers): _from_plain(item, buffers) for key, item in content}


def _read_refusal(content: list[str], buffers: list[memoryview]) -> RefusalError:
    enum, member, message, field, limit = map(str, content)
    return RefusalError(_find_code(enum, member), message, field=field, limit=limit)


_READERS: dict[str, Callable[[Any, list[memoryview]], Any]] = {
    "bytes": _read_bytes,
    "array": _read_array,
    "tuple": _read_tuple,
    "dict": _read_dict,
    "refusal": _read_refusal,
}


def _find_code(enum: str, member: str) -> Enum:
    """Find a code among those of the layers that this process has imported."""
    for name, module in list(sys.modules.items()):
        found = getattr(module, enum, None) if _ERRORS_MODULE.fullmatch(name) else None
        if isinstance(found, type) and issubclass(found, Enum):
            return found[member]
    raise ValueError(f"there is no code {enum}.{member}")
