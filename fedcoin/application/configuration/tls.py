"""The TLS files of a home as gRPC credentials. grpc is imported only when TLS is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fedcoin.application.configuration.config import TlsConfig

if TYPE_CHECKING:
    import grpc


def client_credentials(tls: TlsConfig) -> grpc.ChannelCredentials | None:
    """Read the credentials of a caller.

    Args:
        tls: The TLS settings.

    Returns:
        Credentials with this side's certificate; None when TLS is not in use.

    Raises:
        OSError: A file cannot be read.
    """
    if not tls.enabled:
        return None
    import grpc

    return grpc.ssl_channel_credentials(
        root_certificates=Path(tls.authority).read_bytes(),
        private_key=Path(tls.private_key).read_bytes(),
        certificate_chain=Path(tls.certificate).read_bytes(),
    )


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials | None:
    """Read the credentials of a listener. Callers must show a certificate of the authority.

    Args:
        tls: The TLS settings.

    Returns:
        Credentials with this side's certificate; None when TLS is not in use.

    Raises:
        OSError: A file cannot be read.
    """
    if not tls.enabled:
        return None
    import grpc

    pair = (Path(tls.private_key).read_bytes(), Path(tls.certificate).read_bytes())
    return grpc.ssl_server_credentials(
        [pair], root_certificates=Path(tls.authority).read_bytes(), require_client_auth=True
    )
