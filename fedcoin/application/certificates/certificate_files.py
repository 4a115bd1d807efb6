"""Where the files of an authority and of a home's certificate lie, and how they are written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedcoin.application.certificates.authority import Authority
from fedcoin.application.certificates.certificate_info import read_certificate
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

AUTHORITY: Final = "authority.pem"
"""The authority's certificate, in its own folder and beside each certificate that it signed."""
AUTHORITY_KEY: Final = "authority.key"
"""The authority's private key, in its folder."""
CERTIFICATE: Final = "certificate.pem"
"""The certificate in a home's folder `tls`."""
KEY: Final = "private.key"
"""The certificate's private key in that folder."""
REQUEST: Final = "request.csr"
"""The request for a certificate in that folder."""


def write_new_file(path: Path, content: bytes, *, is_private: bool = False) -> None:
    """Write a file that must not exist yet.

    Args:
        path: The file.
        content: All bytes of the file.
        is_private: Whether only its owner may read it (mode 0600 instead of 0644).

    Raises:
        RefusalError: BAD_ARGUMENT when the file exists; NO_FILE when it cannot be made.
    """
    mode = 0o600 if is_private else 0o644
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"{path} exists, and is not replaced: move it away first, or use `fedcoin-node tls "
            "renew` for a certificate with the same names from the same authority",
            field="file",
        ) from error
    except OSError as error:
        raise RefusalError(
            ApplicationCode.NO_FILE,
            f"{path} cannot be written ({error.strerror}): name a file in a folder that exists",
            field="file",
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def open_authority(folder: Path, passphrase: str | None) -> Authority:
    """Read an authority's certificate and key.

    Args:
        folder: The authority's folder.
        passphrase: Opens the key; None when it is not encrypted.

    Returns:
        The authority.

    Raises:
        RefusalError: NO_FILE when a file cannot be read; NO_PASSPHRASE when the key is encrypted
            and there is none; BAD_CERTIFICATE when a file is damaged, the passphrase is wrong, or
            the key does not fit.
    """
    path = folder / AUTHORITY_KEY
    certificate = read_certificate(folder / AUTHORITY)
    try:
        key = serialization.load_pem_private_key(
            path.read_bytes(), None if passphrase is None else passphrase.encode()
        )
    except OSError as error:
        raise RefusalError(
            ApplicationCode.NO_FILE,
            f"the authority's key {path} cannot be read ({error.strerror}): name the folder that"
            " `fedcoin-node tls init-authority` made",
            field="authority",
        ) from error
    except TypeError as error:
        if passphrase is None:
            raise RefusalError(
                ApplicationCode.NO_PASSPHRASE,
                f"{path} is encrypted: give its passphrase with --passphrase-file or "
                "FEDCOIN_PASSPHRASE",
                field="passphrase",
            ) from error
        # The key is not encrypted; the passphrase may be meant for another key.
        return open_authority(folder, None)
    except ValueError as error:
        raise _refuse(f"{path} cannot be opened: it is damaged, or the passphrase is wrong") from (
            error
        )
    fits = key.public_key() == certificate.public_key()
    if not fits or not isinstance(key, ec.EllipticCurvePrivateKey):
        raise _refuse(f"{path} is not the key of {folder / AUTHORITY}")
    return Authority(certificate, key)


def read_request(path: Path) -> x509.CertificateSigningRequest:
    """Read a request for a certificate.

    Args:
        path: The PEM file.

    Returns:
        The request.

    Raises:
        OSError: The file cannot be read.
        RefusalError: BAD_CERTIFICATE when it holds no request.
    """
    try:
        return x509.load_pem_x509_csr(path.read_bytes())
    except ValueError as error:
        raise _refuse(f"{path} holds no certificate request in PEM ({error})") from error


def check_trust(path: Path, authority: x509.Certificate) -> None:
    """Refuse to go on where a home does not trust an authority yet.

    Args:
        path: The PEM file of the authorities that the home trusts.
        authority: The certificate of the authority.

    Raises:
        OSError: The file cannot be read.
        RefusalError: BAD_CERTIFICATE when the file is malformed, or does not hold the certificate.
    """
    try:
        trusted = x509.load_pem_x509_certificates(path.read_bytes())
    except ValueError as error:
        raise _refuse(f"{path} is no list of certificates in PEM ({error})") from error
    if authority not in trusted:
        raise _refuse(
            f"{path} does not hold the new authority's certificate, so that this home would refuse"
            " all others: put it there first, beside the former one, in every home"
        )


def _refuse(reason: str) -> RefusalError:
    return RefusalError(ApplicationCode.BAD_CERTIFICATE, reason, field="certificate")
