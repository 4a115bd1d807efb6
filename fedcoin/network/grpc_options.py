"""Options of gRPC servers, and the lengths of messages."""

from __future__ import annotations

from collections.abc import Sequence

API_MESSAGE_BYTES = 4 * 1024 * 1024
"""The longest message of the API, in bytes; longer replies come in pages or chunks."""

PAGE_BYTES = 1024 * 1024
"""The longest page of a list, in bytes."""

GrpcOptions = Sequence[tuple[str, int | str]]
"""Names and values of gRPC's channel arguments."""


def server_options(max_message_bytes: int) -> GrpcOptions:
    """List gRPC's options of a listener.

    `so_reuseport` is off: with it, a second node on the same port would start and get half of the
    first one's callers.

    Args:
        max_message_bytes: The longest message that is sent or received, in bytes.

    Returns:
        Options for `grpc.aio.server`.
    """
    return (
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
    )
