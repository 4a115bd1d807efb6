"""Options of gRPC servers, and the lengths of messages."""

from __future__ import annotations

from collections.abc import Sequence

API_MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest message of the API, in bytes; longer replies come in pages or chunks."""

PAGE_BYTES = 1024 * 1024
"""The longest page of a list, in bytes."""

GrpcOptions = Sequence[tuple[str, int | str]]
"""Names and values of gRPC's channel arguments."""


IDLE_MS = 120_000
"""How long a connection may be without a call before it is closed, in ms, on listeners that limit
connections; clients of gRPC open another one with their next call."""


def server_options(max_message_bytes: int, max_connections: int | None = None) -> GrpcOptions:
    """List gRPC's options of a listener.

    `so_reuseport` is off: with it, a second node on the same port would start and get half of the
    first one's callers.

    Args:
        max_message_bytes: The longest message that is sent or received, in bytes.
        max_connections: The largest number of connections; further ones are closed at once. None
            sets no limit.

    Returns:
        Options for `grpc.aio.server`.
    """
    options: list[tuple[str, int | str]] = [
        ("grpc.so_reuseport", 0),
        ("grpc.max_receive_message_length", max_message_bytes),
        ("grpc.max_send_message_length", max_message_bytes),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.max_concurrent_streams", 256),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        # Callers may ping four times as often as the channels of this project's clients do.
        ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 10),
        # Calls that wait for this process: from the first number on gRPC drops some, at random and
        # of all callers, and from the second one on all. By default from 1,000 and 3,000 on.
        ("grpc.server.max_pending_requests", 4_096),
        ("grpc.server.max_pending_requests_hard_limit", 8_192),
        # How long a connection may take to become one of HTTP/2, TLS included.
        ("grpc.server_handshake_timeout_ms", 10_000),
    ]
    if max_connections is not None:
        options.append(("grpc.max_allowed_incoming_connections", max_connections))
        options.append(("grpc.max_connection_idle_ms", IDLE_MS))
    return options
