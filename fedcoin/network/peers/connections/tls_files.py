"""The TLS files of a listener or caller, read again when they change.

A certificate is renewed by replacing its file. Handshakes from then on use the new one; connections
that exist go on. Files that do not fit together, as in the middle of a replacement, are not used.
"""

from __future__ import annotations

import logging
import ssl
import threading
from dataclasses import dataclass
from typing import Any, Final

import grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import Tls

log = logging.getLogger(__name__)

_NO_PASSPHRASE: Final = ""


@dataclass(frozen=True, slots=True)
class TlsContent:
    """What the three files hold, in PEM."""

    certificate: bytes
    """The own certificate, followed by those between it and the authority's."""
    key: bytes
    """The private key of the certificate."""
    authority: bytes
    """The certificates that are trusted."""


class TlsFiles:
    """Reads the TLS files now and, whenever they are asked for, again if they have changed.

    May be used from any thread.

    Args:
        tls: The files.

    Raises:
        RefusalError: BAD_TLS_FILES when a file cannot be read, or they do not fit together.
    """

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._lock = threading.Lock()
        try:
            self._stamps = self._read_stamps()
            self._content = self._read()
            self._check()
        except OSError as error:
            raise _refused(tls, error) from error

    def current(self) -> TlsContent:
        """Return the files' content: the last that could be read and whose key fits."""
        with self._lock:
            try:
                stamps = self._read_stamps()
                if stamps != self._stamps:
                    self._stamps = stamps
                    self._check()
                    self._content = self._read()
                    log.info("read %s again", self._tls.certificate)
            except OSError as error:
                # ssl.SSLError is an OSError, too.
                log.warning(
                    "TLS goes on with the files that were read before: %s: %s",
                    self._tls.certificate,
                    error,
                )
            return self._content

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return credentials of a listener, whose callers must show a certificate."""
        last = self.current()

        def fetch() -> Any:  # a configuration, or None for no change
            # Called by gRPC before each handshake, in a thread of its own.
            nonlocal last
            content = self.current()
            if content is last:
                return None
            last = content
            return _configure(content)

        return grpc.dynamic_ssl_server_credentials(
            _configure(last), fetch, require_client_authentication=True
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return credentials of a caller, with the files of now."""
        content = self.current()
        return grpc.ssl_channel_credentials(content.authority, content.key, content.certificate)

    def _read_stamps(self) -> tuple[tuple[int, int, int], ...]:
        paths = (self._tls.authority, self._tls.key, self._tls.certificate)
        found = (path.stat() for path in paths)
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in found)

    def _read(self) -> TlsContent:
        return TlsContent(
            self._tls.certificate.read_bytes(),
            self._tls.key.read_bytes(),
            self._tls.authority.read_bytes(),
        )

    def _check(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # With a passphrase, or OpenSSL would ask for one at the terminal.
        context.load_cert_chain(self._tls.certificate, self._tls.key, _NO_PASSPHRASE)
        context.load_verify_locations(self._tls.authority)


def _refused(tls: Tls, error: OSError) -> RefusalError:
    relative = [
        str(path) for path in (tls.certificate, tls.key, tls.authority) if not path.is_absolute()
    ]
    where = f"the files of [tls] ({tls.certificate}, {tls.key}, {tls.authority})"
    if isinstance(error, ssl.SSLError):
        problem = f"{where} are damaged or do not belong together ({error})"
        advice = "`fedcoin-node tls show` prints what a certificate says; issue it again"
    else:
        problem = f"{error.filename} cannot be read ({error.strerror})"
        advice = "correct its path in [tls], or make it with `fedcoin-node tls issue`"
    if relative:
        advice = f"write absolute paths: {relative[0]} depends on the folder of the start"
    return RefusalError(NetworkCode.BAD_TLS_FILES, f"{problem}: {advice}", field="tls")


def _configure(content: TlsContent) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(content.key, content.certificate)], root_certificates=content.authority
    )
