"""Why the network layer refuses something."""

from __future__ import annotations

from enum import Enum


class NetworkCode(str, Enum):
    """The network layer's own refusals; the value equals the name.

    ``fedcoin.network.status`` gives each of them its gRPC status.
    """

    # Handshake and sessions.
    WRONG_CHAIN = "WRONG_CHAIN"
    WRONG_GENESIS = "WRONG_GENESIS"
    WRONG_PROTOCOL = "WRONG_PROTOCOL"
    SELF_CONNECTION = "SELF_CONNECTION"
    WRONG_PEER = "WRONG_PEER"
    BAD_PROOF = "BAD_PROOF"
    BAD_NONCE = "BAD_NONCE"
    NO_SESSION = "NO_SESSION"
    BANNED = "BANNED"
    NO_ROOM = "NO_ROOM"

    # Limits.
    MALFORMED = "MALFORMED"
    TOO_LARGE = "TOO_LARGE"
    RATE_LIMITED = "RATE_LIMITED"
    TOO_MANY_CALLS = "TOO_MANY_CALLS"
    SLOW_READER = "SLOW_READER"
    TIMED_OUT = "TIMED_OUT"

    # What was asked for.
    BAD_PAGE_TOKEN = "BAD_PAGE_TOKEN"  # noqa: S105 - a code, not a secret
    BAD_SELECTOR = "BAD_SELECTOR"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    BLOCK_NOT_FOUND = "BLOCK_NOT_FOUND"
    HISTORY_NOT_KEPT = "HISTORY_NOT_KEPT"
    SNAPSHOT_NOT_FOUND = "SNAPSHOT_NOT_FOUND"
    TRANSACTION_NOT_FOUND = "TRANSACTION_NOT_FOUND"
    CAMPAIGN_NOT_FOUND = "CAMPAIGN_NOT_FOUND"
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    PAYMENT_NOT_FOUND = "PAYMENT_NOT_FOUND"
    EVIDENCE_NOT_FOUND = "EVIDENCE_NOT_FOUND"

    # Artifacts.
    ARTIFACT_NOT_FOUND = "ARTIFACT_NOT_FOUND"
    CHUNK_OUT_OF_ORDER = "CHUNK_OUT_OF_ORDER"
    UPLOADS_CLOSED = "UPLOADS_CLOSED"

    # Running a node.
    BAD_HOST = "BAD_HOST"
    PORT_IN_USE = "PORT_IN_USE"
    NOT_SECURE = "NOT_SECURE"
    PEER_NOT_CONNECTED = "PEER_NOT_CONNECTED"
    PEER_UNREACHABLE = "PEER_UNREACHABLE"
    BAD_LOG_LEVEL = "BAD_LOG_LEVEL"
    BAD_PATH = "BAD_PATH"
    FILE_EXISTS = "FILE_EXISTS"
    SHUTTING_DOWN = "SHUTTING_DOWN"
