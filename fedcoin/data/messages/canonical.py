"""Canonical protobuf: each message has one encoding, and no other bytes are accepted.

Protobuf allows many encodings of one message: fields in any order or more than once, unknown
fields, numbers with superfluous bytes. A hash covers the bytes as they arrived, so this would not
change a hash; but it would let strangers pad signed messages, or hide a second action behind the
first. So every message that is hashed, signed or stored must have the encoding that all protobuf
libraries write: fields in rising order, each once, without default values, repeated numbers
packed, no unknown fields.
"""

from __future__ import annotations

from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from fedcoin.data.errors import DataCode, RefusalError

M = TypeVar("M", bound=Message)


def encode(message: Message) -> bytes:
    """Serialise a message in its canonical encoding (see the module's docstring).

    Args:
        message: Any protobuf message.

    Returns:
        The one encoding of this message that `decode` accepts.
    """
    return message.SerializeToString(deterministic=True)


def decode(message_type: type[M], raw: bytes, *, code: DataCode = DataCode.MALFORMED) -> M:
    """Decode the canonical encoding of a message.

    Args:
        message_type: The class of the message.
        raw: The bytes to decode.
        code: The code of the refusal.

    Returns:
        A message whose canonical encoding is `raw`.

    Raises:
        RefusalError: MALFORMED, or `code`, when the bytes cannot be parsed as the message, or are
            another encoding of it than the canonical one.
    """
    message = parse(message_type, raw, code=code)
    check_canonical(message, raw, code=code)
    return message


def parse(message_type: type[M], raw: bytes, *, code: DataCode = DataCode.MALFORMED) -> M:
    """Decode any encoding of a message.

    For callers that inspect the message before they call `check_canonical`.

    Args:
        message_type: The class of the message.
        raw: The bytes to decode.
        code: The code of the refusal.

    Returns:
        The message, which may hold unknown fields.

    Raises:
        RefusalError: MALFORMED, or `code`, when the bytes are not an encoding of the message.
    """
    try:
        return message_type.FromString(raw)
    except DecodeError:
        name = message_type.DESCRIPTOR.name
        raise RefusalError(code, f"these {len(raw)} bytes are not a {name}", field=name) from None


def check_canonical(message: Message, raw: bytes, *, code: DataCode = DataCode.MALFORMED) -> None:
    """Check that bytes which were decoded as a message are its canonical encoding.

    Args:
        message: The decoded message. Its unknown fields are removed.
        raw: The bytes that it was decoded from.
        code: The code of the refusal.

    Raises:
        RefusalError: MALFORMED, or `code`, when they are another encoding of the message.
    """
    message.DiscardUnknownFields()
    if encode(message) != raw:
        name = message.DESCRIPTOR.name
        sentence = "has unknown or repeated fields, or is not in the canonical encoding"
        raise RefusalError(code, f"this {name} {sentence}", field=name)
