"""Strict protobuf: each message has one encoding, and no other bytes are accepted.

Protobuf lets one message be written in many ways: fields in any order or twice, unknown
fields, numbers with idle bytes. Hashes cover the bytes as they came, so the many ways do no
harm to them; but they let a stranger pad what others signed, or hide a second action behind
a first. So every message that is hashed, signed or stored must be in the form that all
protobuf libraries write: fields in rising order, once each, zero values left out, repeated
numbers packed, no unknown fields.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from fedcoin.data.errors import DataCode, RefusalError

M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """The one encoding of a message."""
    return message.SerializeToString(deterministic=True)


def decode(kind: type[M], raw: bytes, *, code: DataCode = DataCode.MALFORMED) -> M:
    """Read the one encoding of a message; raises `Refusal` with `code` for anything else."""
    message = parse(kind, raw, code=code)
    check_canonical(message, raw, code=code)
    return message


def parse(kind: type[M], raw: bytes, *, code: DataCode = DataCode.MALFORMED) -> M:
    """Read any encoding of a message; raises `Refusal` with `code` when it is none.

    For messages of which a closer look must come before `check_canonical`.
    """
    try:
        return kind.FromString(raw)
    except DecodeError:
        name = kind.DESCRIPTOR.name
        raise RefusalError(code, f"these {len(raw)} bytes are not a {name}", field=name) from None


def check_canonical(message: Message, raw: bytes, *, code: DataCode = DataCode.MALFORMED) -> None:
    """Refuse when `raw`, which was read as `message`, is not the one encoding of it.

    Drops the fields that are unknown from `message`. Raises `Refusal` with `code`.
    """
    message.DiscardUnknownFields()
    if encode(message) != raw:
        name = message.DESCRIPTOR.name
        sentence = "has unknown or repeated fields, or is not encoded in the one way allowed"
        raise RefusalError(code, f"this {name} {sentence}", field=name)
