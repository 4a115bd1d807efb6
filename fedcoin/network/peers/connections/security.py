"""Mutual TLS or plaintext, for the listener and for channels to peers."""

from __future__ import annotations

import grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network.client.channels import open_channel
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import PEER_MESSAGE_BYTES, Tls
from fedcoin.network.peers.connections.endpoints import Endpoint


class Security:
    """The protection of this node's connections. The TLS files are read once.

    Args:
        tls: The TLS files; None for plaintext.
        insecure: Allow plaintext on addresses that other machines can reach.

    Raises:
        OSError: A TLS file cannot be read.
    """

    def __init__(self, tls: Tls | None, *, insecure: bool) -> None:
        self._insecure = insecure
        self._files: tuple[bytes, bytes, bytes] | None = None
        if tls is not None:
            self._files = (
                tls.authority.read_bytes(),
                tls.key.read_bytes(),
                tls.certificate.read_bytes(),
            )

    def check_listen(self, endpoint: Endpoint) -> None:
        """Refuse to listen in plaintext where other machines can reach it.

        Args:
            endpoint: The listener's address.

        Raises:
            RefusalError: NOT_SECURE.
        """
        self._check(endpoint, "listen on")

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """Return the listener's credentials; None for plaintext."""
        if self._files is None:
            return None
        authority, key, certificate = self._files
        return grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=authority, require_client_auth=True
        )

    def channel(self, endpoint: Endpoint) -> grpc.aio.Channel:
        """Open a channel to a peer. It connects when it is first used.

        Args:
            endpoint: The peer's address.

        Returns:
            The channel.

        Raises:
            RefusalError: NOT_SECURE when it would be plaintext to another machine.
        """
        self._check(endpoint, "dial")
        credentials = None
        if self._files is not None:
            authority, key, certificate = self._files
            credentials = grpc.ssl_channel_credentials(authority, key, certificate)
        return open_channel(
            str(endpoint),
            credentials=credentials,
            max_message_bytes=PEER_MESSAGE_BYTES,
            allow_proxy=False,
        )

    def _check(self, endpoint: Endpoint, verb: str) -> None:
        if self._files is None and not self._insecure and not endpoint.loopback:
            raise RefusalError(
                NetworkCode.NOT_SECURE,
                f"refused to {verb} {endpoint} in plaintext: set the TLS files, or allow plaintext "
                "(insecure) on a network that you trust",
                field="insecure",
            )
