"""The TLS files of a listener or caller, read again when they change.

A certificate is renewed by replacing its file. Handshakes from then on use the new one; connections
that exist go on. Files that do not fit together, as in the middle of a replacement, are not used.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import grpc

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import Tls

log = logging.getLogger(__name__)

_NO_PASSPHRASE: Final = ""

_Stamp: TypeAlias = tuple[int, int, int, int]
"""When a file was written, and its mode or name changed (ns); its size (bytes); its inode."""


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
            self._content = self._load()
        except OSError as error:
            raise _refused(tls, error) from error
        self._credentials = _caller_credentials(self._content)

    def current(self) -> TlsContent:
        """Return the files' content: the last that could be read and whose key fits."""
        with self._lock:
            return self._renewed()

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
        """Return credentials of a caller: the same object as long as the files are the same."""
        with self._lock:
            self._renewed()
            return self._credentials

    def _renewed(self) -> TlsContent:
        """Read the files again if they have changed since they were looked at; needs the lock."""
        stamps = self._read_stamps()
        if stamps == self._stamps:
            return self._content
        try:
            content = self._load()
        except OSError as error:
            self._stamps = stamps  # so that it is said once
            log.warning(
                "TLS goes on with the files that were read before, since the new ones cannot be "
                "used: %s (%s)",
                error.filename,
                error.strerror,
            )
            return self._content
        if self._read_stamps() != stamps:  # one was replaced while they were read
            return self._content
        self._stamps = stamps
        if content != self._content:
            self._content = content
            self._credentials = _caller_credentials(content)
            log.info("read %s again", self._tls.certificate)
        return self._content

    def _read_stamps(self) -> tuple[_Stamp | None, ...]:
        paths = (self._tls.authority, self._tls.key, self._tls.certificate)
        return tuple(_stamp_of(path) for path in paths)

    def _load(self) -> TlsContent:
        """Read and check the files. An OSError names those at fault in `filename`."""
        tls = self._tls
        authority, key = tls.authority.read_bytes(), tls.key.read_bytes()
        content = TlsContent(tls.certificate.read_bytes(), key, authority)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with _naming(f"{tls.certificate}, {tls.key}"):
            # With a passphrase, or OpenSSL would ask for one at the terminal.
            context.load_cert_chain(tls.certificate, tls.key, _NO_PASSPHRASE)
        with _naming(str(tls.authority)):
            context.load_verify_locations(tls.authority)
        return content


@contextmanager
def _naming(files: str) -> Iterator[None]:
    """Have an error of the TLS library name the files that it was given."""
    try:
        yield
    except OSError as error:
        error.filename = files
        raise


def _stamp_of(path: Path) -> _Stamp | None:
    """Return what changes with a file; None when there is no such file, or no way to it."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_size, stat.st_ino


def _caller_credentials(content: TlsContent) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(content.authority, content.key, content.certificate)


def _refused(tls: Tls, error: OSError) -> RefusalError:
    relative = [
        str(path) for path in (tls.certificate, tls.key, tls.authority) if not path.is_absolute()
    ]
    if isinstance(error, ssl.SSLError):
        problem = (
            f"files of [tls] are damaged or do not belong together: {error.filename} ({error})"
        )
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
