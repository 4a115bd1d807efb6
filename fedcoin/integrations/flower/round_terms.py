"""What server and clients of a paid round tell each other, beside Flower's own records.

The server adds a record `fedcoin` to each message of training: what the client's signature must
name. The client adds a record `fedcoin` to its reply: the signed update.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flwr.app import ConfigRecord, RecordDict
from google.protobuf.message import DecodeError

from fedcoin.data.errors import DataCode, RefusalError
from fedcoin.integrations.flower.tensor_layout import TensorLayout
from fedcoin.integrations.flower.train_replies import EXAMPLES_KEY
from fedcoin.v1.task_pb2 import SignedReceipt, SignedUpdate

RECORD: Final = "fedcoin"
"""The name of the record, in messages and in replies."""

RECEIPT_ACTION: Final = "fedcoin_receipt"
"""The action of the query with which the server sends a receipt."""


@dataclass(frozen=True, slots=True)
class RoundTerms:
    """What a client needs to know to sign its update of a round."""

    campaign_id: bytes
    """The campaign on the chain, 32 bytes."""
    round: int
    """The campaign's round, from 1. Not the round of the Flower run, which begins anew with 1."""
    base: bytes
    """Artifact id of the arrays that the message carries, 32 bytes."""
    layout: TensorLayout
    """Which arrays are signed."""
    examples_key: str = EXAMPLES_KEY
    """The metric that holds a client's number of examples."""

    def to_record(self) -> ConfigRecord:
        """Return the terms as a record of Flower."""
        return ConfigRecord(
            {
                "campaign-id": self.campaign_id,
                "round": self.round,
                "base": self.base,
                "keys": list(self.layout.keys),
                "names": list(self.layout.names),
                "examples-key": self.examples_key,
            }
        )


def read_terms(content: RecordDict) -> RoundTerms | None:
    """Read the terms from a message of training.

    Args:
        content: The message's content.

    Returns:
        The terms; None when the message has none, because its server pays nothing.

    Raises:
        RefusalError: MALFORMED when the record is not what `RoundTerms.to_record` returns.
    """
    record = content.config_records.get(RECORD)
    if record is None:
        return None
    try:
        keys, names = tuple(record["keys"]), tuple(record["names"])
        terms = RoundTerms(
            bytes(record["campaign-id"]),
            int(record["round"]),
            bytes(record["base"]),
            TensorLayout(keys, names),
            str(record["examples-key"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed(f"lacks a field or has a wrong one: {error}") from error
    if len(keys) != len(names) or not keys:
        raise _malformed(f"names {len(keys)} arrays and {len(names)} tensors")
    return terms


def add_update(content: RecordDict, signed: SignedUpdate) -> None:
    """Add a signed update to the content of a reply.

    Args:
        content: The content of the reply, which is changed.
        signed: The signed update, which goes into the record `fedcoin`.
    """
    content[RECORD] = ConfigRecord({"update": signed.SerializeToString()})


def take_update(content: RecordDict) -> SignedUpdate:
    """Take the signed update out of the content of a reply.

    Args:
        content: The content of the reply; the record is removed, so that the strategy sees what it
            would see without FedCoin.

    Returns:
        The update as it travelled; its signature is not checked.

    Raises:
        RefusalError: MALFORMED when there is none, or it is no SignedUpdate.
    """
    record = content.config_records.get(RECORD)
    raw = record.get("update") if record is not None else None
    if not isinstance(raw, bytes):
        raise _malformed("holds no signed update; add SigningMod to the mods of the client's app")
    del content[RECORD]
    try:
        return SignedUpdate.FromString(raw)
    except DecodeError as error:
        raise _malformed("holds bytes that are no signed update") from error


def receipt_content(receipt: SignedReceipt) -> RecordDict:
    """Return the content of the message that brings a client its receipt.

    Args:
        receipt: The signed receipt.

    Returns:
        A record `fedcoin` with the receipt.
    """
    return RecordDict({RECORD: ConfigRecord({"receipt": receipt.SerializeToString()})})


def read_receipt(content: RecordDict) -> SignedReceipt:
    """Read the receipt from a message's content.

    Args:
        content: The message's content.

    Returns:
        The receipt as it travelled; its signature is not checked.

    Raises:
        RefusalError: MALFORMED when there is none, or it is no SignedReceipt.
    """
    record = content.config_records.get(RECORD)
    raw = record.get("receipt") if record is not None else None
    if not isinstance(raw, bytes):
        raise _malformed("holds no receipt")
    try:
        return SignedReceipt.FromString(raw)
    except DecodeError as error:
        raise _malformed("holds bytes that are no signed receipt") from error


def _malformed(fault: str) -> RefusalError:
    return RefusalError(DataCode.MALFORMED, f"the record {RECORD!r} {fault}", field=RECORD)
