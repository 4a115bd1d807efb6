"""Mutual TLS or plaintext, for the listener and for channels to peers.

Over TLS a node's certificate holds its node key as a DNS name (`tls_name`). gRPC shows a caller no
certificate, but checks a name in it, so that the caller demands the name of the key that it
expects; the listener reads the names of the caller's certificate. A machine in the middle that is a
member of the consortium has a certificate of its own, and cannot pass another node's handshake on.
"""

from __future__ import annotations

import ssl

import grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network.client.channels import open_channel
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.peer_options import PEER_MESSAGE_BYTES, Tls
from fedcoin.network.peers.connections.endpoints import Endpoint
from fedcoin.network.peers.connections.node_addresses import tls_name
from fedcoin.network.peers.connections.tls_files import TlsFiles

_NAMES = "x509_subject_alternative_name"


class Security:
    """The protection of this node's connections. TLS files that change are read again.

    Args:
        tls: The TLS files; None for plaintext.
        insecure: Allow plaintext on addresses that other machines can reach.

    Raises:
        OSError: A TLS file cannot be read.
    """

    def __init__(self, tls: Tls | None, *, insecure: bool) -> None:
        self._insecure = insecure
        self._tls = tls
        self._files = None if tls is None else TlsFiles(tls)

    @property
    def is_encrypted(self) -> bool:
        """True with TLS, which binds node keys to connections."""
        return self._files is not None

    def check_listen(self, endpoint: Endpoint) -> None:
        """Refuse to listen in plaintext where other machines can reach it.

        Args:
            endpoint: The listener's address.

        Raises:
            RefusalError: NOT_SECURE when it would be plaintext that other machines can reach.
        """
        self._check(endpoint, "listen on")

    def check_certificate(self, node_key: bytes) -> None:
        """Refuse to start with a certificate that peers would refuse.

        Args:
            node_key: This node's key, 32 bytes.

        Raises:
            RefusalError: WRONG_CERTIFICATE when a handshake with the own certificate fails. Never
                raised in plaintext.
        """
        if self._tls is None:
            return
        name = tls_name(node_key)
        try:
            _shake_hands_with_itself(self._tls, name)
        except ssl.SSLError as error:
            raise RefusalError(
                NetworkCode.WRONG_CERTIFICATE,
                f"{self._tls.certificate}: peers would refuse this certificate ({error}); have "
                f"{self._tls.authority} sign one with the subject alternative name DNS:{name}",
                field="tls.certificate",
            ) from error

    def check_caller(self, context: CallContext, node_key: bytes) -> None:
        """Refuse a caller whose certificate does not name the node key that it claims.

        Args:
            context: gRPC's context of the call, which holds the caller's certificate.
            node_key: The key that the caller claims, 32 bytes.

        Raises:
            RefusalError: WRONG_CERTIFICATE when the certificate does not name the key. Never raised
                in plaintext.
        """
        if not self.is_encrypted:
            return
        name = tls_name(node_key)
        if name.encode() not in context.auth_context().get(_NAMES, ()):
            raise RefusalError(
                NetworkCode.WRONG_CERTIFICATE,
                "identity.node_key: the certificate of this connection does not name the key "
                f"{node_key.hex()}; it needs the subject alternative name DNS:{name}",
                field="identity.node_key",
                limit=name,
            )

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """Return the listener's credentials; None for plaintext."""
        return None if self._files is None else self._files.server_credentials()

    def channel(self, endpoint: Endpoint, node_key: bytes | None = None) -> grpc.aio.Channel:
        """Open a channel to a peer. It connects when it is first used.

        Args:
            endpoint: The peer's address.
            node_key: The node key that the peer's certificate must name, 32 bytes; None lets it
                name the endpoint's host.

        Returns:
            The channel.

        Raises:
            RefusalError: NOT_SECURE when it would be plaintext to another machine.
        """
        self._check(endpoint, "dial")
        credentials = None if self._files is None else self._files.channel_credentials()
        return open_channel(
            str(endpoint),
            credentials=credentials,
            max_message_bytes=PEER_MESSAGE_BYTES,
            tls_name=tls_name(node_key) if credentials and node_key else "",
        )

    def _check(self, endpoint: Endpoint, verb: str) -> None:
        if self._files is None and not self._insecure and not endpoint.loopback:
            raise RefusalError(
                NetworkCode.NOT_SECURE,
                f"refused to {verb} {endpoint} in plaintext: set the TLS files, or allow plaintext "
                "(insecure) on a network that you trust",
                field="insecure",
            )


def _shake_hands_with_itself(tls: Tls, name: str) -> None:
    """Check a certificate as a peer would: TLS in memory between two sides with these files."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(tls.certificate, tls.key)
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_verify_locations(tls.authority)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    # Hello; certificate and finished message; finished message.
    for side in (client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
