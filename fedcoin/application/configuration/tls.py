"""The TLS files of a home as credentials. grpc is imported only when TLS is in use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fedcoin.application.configuration.config import TlsConfig
from fedcoin.network.peer_options import Tls

if TYPE_CHECKING:
    import grpc

    from fedcoin.network.peers.connections.tls_files import TlsFiles


def client_credentials(tls: TlsConfig) -> TlsFiles | None:
    """Read the credentials of a caller, which reads files that change again.

    Args:
        tls: The TLS settings.

    Returns:
        The source of credentials with this side's certificate; None when TLS is not in use.

    Raises:
        RefusalError: BAD_TLS_FILES when a file cannot be read, or they do not fit together.
    """
    return _open(tls) if tls.enabled else None


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials | None:
    """Read the credentials of a listener. Callers must show a certificate of the authority.

    Args:
        tls: The TLS settings.

    Returns:
        Credentials with this side's certificate, of the files as they are at each handshake; None
        when TLS is not in use.

    Raises:
        RefusalError: BAD_TLS_FILES when a file cannot be read, or they do not fit together.
    """
    if not tls.enabled:
        return None
    return _open(tls).server_credentials()


def _open(tls: TlsConfig) -> TlsFiles:
    from fedcoin.network.peers.connections.tls_files import TlsFiles

    return TlsFiles(Tls(Path(tls.certificate), Path(tls.private_key), Path(tls.authority)))
