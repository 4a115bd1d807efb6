"""An authority that signs the certificates of a consortium's nodes, wallets and clients.

Keys are elliptic-curve keys on P-256, which every TLS library takes. A node's certificate names its
node key as a DNS name (`node_addresses.tls_name`), and the hosts that wallets and clients dial.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

BACKDATED: Final = datetime.timedelta(hours=1)
"""How long before its making a certificate is valid, for machines whose clocks are behind."""

_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_MAX_COMMON_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority's certificate and its private key."""

    certificate: x509.Certificate
    """The certificate, which signs itself."""
    key: ec.EllipticCurvePrivateKey
    """The key that signs other certificates."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    """When a certificate is made and how long it is valid."""

    now: datetime.datetime
    """The present time, with its zone."""
    days: int
    """How many days from now on it is valid."""


def make_authority(name: str, lifetime: Lifetime) -> Authority:
    """Make an authority that may sign certificates of nodes, and no further authority.

    Args:
        name: The name that its certificate shows, 1 to 64 characters.
        lifetime: From when on, and for how many days, it is valid.

    Returns:
        The authority, with a new key.

    Raises:
        RefusalError: BAD_ARGUMENT when the name is empty or too long.
    """
    key, subject = ec.generate_private_key(ec.SECP256R1()), _subject(name)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _begin(subject, subject, key.public_key(), lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def make_request(
    name: str, names: Sequence[str], key: ec.EllipticCurvePrivateKey
) -> x509.CertificateSigningRequest:
    """Make a request for a certificate, which holds no private key.

    Args:
        name: The name that the certificate shows, 1 to 64 characters.
        names: The DNS names and IP addresses that it stands for, at least one.
        key: The private key, which stays with its owner.

    Returns:
        The request, signed with the key.

    Raises:
        RefusalError: BAD_ARGUMENT when a name is neither a DNS name nor an IP address.
    """
    return (
        x509.CertificateSigningRequestBuilder()
        .subject_name(_subject(name))
        .add_extension(_alternatives(names), critical=False)
        .sign(key, hashes.SHA256())
    )


def sign_request(
    authority: Authority, request: x509.CertificateSigningRequest, lifetime: Lifetime
) -> x509.Certificate:
    """Sign the certificate that a request asks for, valid for servers and for callers.

    Of the request, only its subject, its alternative names and its public key are taken.

    Args:
        authority: Signs the certificate.
        request: Names who gets the certificate, and holds the public key that it is for.
        lifetime: How long the certificate is valid; it ends with the authority's at the latest.

    Returns:
        The certificate.

    Raises:
        RefusalError: BAD_CERTIFICATE when the request's signature is wrong, it has no alternative
            names, or the authority is not valid at this time.
    """
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise _bad("the request has no subject alternative names") from error
    if not request.is_signature_valid:
        raise _bad("the request's signature is wrong")
    return _sign(authority, request.subject, names, _public_key(request.public_key()), lifetime)


def renew(
    authority: Authority,
    certificate: x509.Certificate,
    lifetime: Lifetime,
    former: x509.Certificate | None = None,
) -> x509.Certificate:
    """Sign a certificate with the names and the key of an older one.

    Args:
        authority: The authority that signs.
        certificate: The older certificate, which may have expired.
        lifetime: How long the new one is valid; it ends with the authority's at the latest.
        former: The certificate of the authority that signed the older certificate, which may have
            expired; None when `authority` did.

    Returns:
        The new certificate.

    Raises:
        RefusalError: BAD_CERTIFICATE when another authority signed the older one, it has no
            alternative names, or the authority is not valid at this time.
    """
    try:
        certificate.verify_directly_issued_by(former or authority.certificate)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound as error:
        raise _bad("the certificate has no subject alternative names") from error
    except (ValueError, TypeError, InvalidSignature) as error:
        raise _bad(
            "this authority did not sign the certificate: name the one that did, with --former for"
            " a change of authority, or move the files away and issue a new one"
        ) from error
    key = _public_key(certificate.public_key())
    return _sign(authority, certificate.subject, names, key, lifetime)


def encode_certificate(certificate: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """Encode a certificate or a request as PEM.

    Args:
        certificate: The certificate or request.

    Returns:
        The file's content.
    """
    return certificate.public_bytes(serialization.Encoding.PEM)


def encode_key(key: ec.EllipticCurvePrivateKey, passphrase: str | None) -> bytes:
    """Encode a private key as PEM.

    Args:
        key: The private key of a certificate or of the authority.
        passphrase: Encrypts the key; None leaves it in plain text.

    Returns:
        The file's content.
    """
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )


def _sign(
    authority: Authority,
    subject: x509.Name,
    names: x509.SubjectAlternativeName,
    key: ec.EllipticCurvePublicKey,
    lifetime: Lifetime,
) -> x509.Certificate:
    signer = authority.certificate
    begin, end = signer.not_valid_before_utc, signer.not_valid_after_utc
    if not begin <= lifetime.now < end:
        raise _bad(
            f"the authority's own certificate is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}, and"
            " not now: set this machine's clock, or make another authority"
        )
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key())
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return (
        _begin(subject, signer.subject, key, lifetime, end)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(identifier, critical=False)
        .sign(authority.key, hashes.SHA256())
    )


def _begin(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    lifetime: Lifetime,
    end: datetime.datetime | None = None,
) -> x509.CertificateBuilder:
    last = lifetime.now + datetime.timedelta(days=lifetime.days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(lifetime.now - BACKDATED)
        .not_valid_after(last if end is None else min(last, end))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _subject(name: str) -> x509.Name:
    if not 1 <= len(name) <= _MAX_COMMON_NAME:
        raise RefusalError(
            ApplicationCode.BAD_ARGUMENT,
            f"the name of a certificate has 1 to {_MAX_COMMON_NAME} characters, not {len(name)}",
            field="name",
            limit=str(_MAX_COMMON_NAME),
        )
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _alternatives(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative(name) for name in names])


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if len(name) <= 253 and _NAME.fullmatch(name):
            return x509.DNSName(name)
    raise RefusalError(
        ApplicationCode.BAD_ARGUMENT,
        f"{name!r} is neither a DNS name nor an IP address",
        field="host",
    )


def _public_key(key: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise _bad("its key is no elliptic-curve key")
    return key


def _bad(reason: str) -> RefusalError:
    return RefusalError(ApplicationCode.BAD_CERTIFICATE, reason, field="certificate")
