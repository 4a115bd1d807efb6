"""The TLS files of a home, as gRPC takes them. Imports grpc only where there are any."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fedcoin.application.configuration.config import TlsConfig

if TYPE_CHECKING:
    import grpc


def client_credentials(tls: TlsConfig) -> grpc.ChannelCredentials | None:
    """What a caller shows a listener; None for plaintext."""
    if not tls.enabled:
        return None
    import grpc

    return grpc.ssl_channel_credentials(
        root_certificates=Path(tls.authority).read_bytes(),
        private_key=Path(tls.private_key).read_bytes(),
        certificate_chain=Path(tls.certificate).read_bytes(),
    )


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials | None:
    """What a listener shows its callers, and asks of them; None for plaintext."""
    if not tls.enabled:
        return None
    import grpc

    pair = (Path(tls.private_key).read_bytes(), Path(tls.certificate).read_bytes())
    return grpc.ssl_server_credentials(
        [pair], root_certificates=Path(tls.authority).read_bytes(), require_client_auth=True
    )
