"""What a certificate says, and whether it is valid now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """What a certificate says."""

    subject: str
    """The name that it shows; empty when it shows none."""
    issuer: str
    """The name of the authority that signed it."""
    names: tuple[str, ...]
    """The DNS names and IP addresses that it stands for."""
    not_before_ms: int
    """From when on it is valid, in Unix ms."""
    not_after_ms: int
    """Until when it is valid, in Unix ms."""
    sha256: str
    """SHA-256 of the certificate, 64 hex digits: its fingerprint."""
    is_authority: bool
    """Whether it may sign other certificates."""


def read_certificate(path: Path) -> x509.Certificate:
    """Read the first certificate of a PEM file.

    Args:
        path: The file.

    Returns:
        The certificate.

    Raises:
        RefusalError: NO_FILE when the file cannot be read; BAD_CERTIFICATE when it holds no
            certificate.
    """
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise RefusalError(
            ApplicationCode.NO_FILE,
            f"there is no certificate at {path} ({error.strerror}): make one with `fedcoin-node tls"
            " issue`, an authority with `fedcoin-node tls init-authority`, or correct the path",
            field="certificate",
        ) from error
    except ValueError as error:
        raise RefusalError(
            ApplicationCode.BAD_CERTIFICATE,
            f"{path} holds no certificate in PEM ({error})",
            field="certificate",
        ) from error


def describe_certificate(certificate: x509.Certificate) -> CertificateInfo:
    """Describe a certificate.

    Args:
        certificate: Any X.509 certificate.

    Returns:
        Its names, authority and dates.
    """
    return CertificateInfo(
        subject=_common_name(certificate.subject),
        issuer=_common_name(certificate.issuer),
        names=_names(certificate),
        not_before_ms=_to_ms(certificate.not_valid_before_utc),
        not_after_ms=_to_ms(certificate.not_valid_after_utc),
        sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        is_authority=_is_authority(certificate),
    )


def check_validity(path: Path, now_ms: int) -> CertificateInfo:
    """Refuse a certificate that has expired or is not valid yet.

    Args:
        path: The PEM file.
        now_ms: The present time in Unix ms.

    Returns:
        What the certificate says.

    Raises:
        OSError: The file cannot be read.
        RefusalError: CERTIFICATE_EXPIRED or CERTIFICATE_NOT_YET_VALID; BAD_CERTIFICATE when the
            file holds none.
    """
    certificate = read_certificate(path)
    info = describe_certificate(certificate)
    if now_ms >= info.not_after_ms:
        code, words = ApplicationCode.CERTIFICATE_EXPIRED, "expired at"
        time = certificate.not_valid_after_utc
    elif now_ms < info.not_before_ms:
        code, words = ApplicationCode.CERTIFICATE_NOT_YET_VALID, "is not valid before"
        time = certificate.not_valid_before_utc
    else:
        return info
    raise RefusalError(
        code,
        f"the certificate {path} of {info.subject or 'no name'} {words} {time:%Y-%m-%d %H:%M} UTC",
        field="certificate",
        limit=f"{time:%Y-%m-%dT%H:%M:%SZ}",
    )


def _to_ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(
        str(name.value) for name in found if isinstance(name, (x509.DNSName, x509.IPAddress))
    )


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False
