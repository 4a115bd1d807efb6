"""Vectors of the canonical encoding: the one that is accepted, and others of the same message."""

from __future__ import annotations

from typing import Any

from fedcoin.data.messages import canonical
from fedcoin.v1.vote_pb2 import Vote


def encodings() -> dict[str, Any]:
    """Encode votes in the one accepted way, and in ways that parsers accept and nodes refuse."""
    accepted = [
        {"kind": 1, "height": 5, "round": 0, "block_hash": "", "audited": False},
        {"kind": 2, "height": 2**40, "round": 3, "block_hash": "ab" * 32, "audited": False},
        {"kind": 1, "height": 300, "round": 1, "block_hash": "00ff" * 16, "audited": True},
    ]
    refused = {
        "fields in falling order": "10050801",
        "a field twice": "080108011005",
        "a zero that is written": "080110051800",
        "an empty field that is written": "080110052200",
        "a number in more bytes than it needs": "0801108500",
        "an unknown field": "08011005f80701",
        "a number padded to ten bytes": "08818080808080808080001005",
        "a number with bits beyond its type": "08011005188180808010",
        "a bool that is 2": "080110052802",
        "an unknown group": "080110050b0c",
        "a field of another wire type": "08011200",
        "a length past the end": "0801100522ff01",
        "a number that does not end": "080110ff",
    }
    return {
        "message": "fedcoin.v1.Vote",
        "accepted": [{**fields, "raw": _raw(fields)} for fields in accepted],
        "refused": [{"why": why, "raw": raw} for why, raw in refused.items()],
    }


def _raw(fields: dict[str, Any]) -> str:
    vote = Vote(**{**fields, "block_hash": bytes.fromhex(fields["block_hash"])})
    return canonical.encode(vote).hex()
