"""Plaintext or mutual TLS, for listeners and channels alike."""

from __future__ import annotations

import grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network.client.channels import open_channel
from fedcoin.network.errors import NetworkCode
from fedcoin.network.options import PEER_MESSAGE_BYTES, Tls
from fedcoin.network.peers.connections.endpoints import Endpoint


class Security:
    """How this node's connections are protected; reads the TLS files once.

    Raises OSError when a TLS file cannot be read.
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
        """Raises Refusal NOT_SECURE."""
        self._check(endpoint, "listen on")

    def server_credentials(self) -> grpc.ServerCredentials | None:
        """For the listener; None for plaintext."""
        if self._files is None:
            return None
        authority, key, certificate = self._files
        return grpc.ssl_server_credentials(
            [(key, certificate)], root_certificates=authority, require_client_auth=True
        )

    def channel(self, endpoint: Endpoint) -> grpc.aio.Channel:
        """A channel to a peer; connects when it is first used. Raises Refusal NOT_SECURE."""
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
                f"will not {verb} {endpoint} in plaintext: give TLS files, or allow it explicitly "
                "(insecure) on a network that you trust",
                field="insecure",
            )
