"""Certificates that the authority signs, as TLS libraries see them."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fedcoin.application.certificates import authority as ca
from fedcoin.application.certificates.authority import Authority, Lifetime
from fedcoin.application.certificates.certificate_files import open_authority, write_new_file
from fedcoin.application.certificates.certificate_info import (
    check_validity,
    describe_certificate,
    read_certificate,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

NOW = datetime(2030, 1, 1, tzinfo=timezone.utc)
NAMES = ["aa.bb.fedcoin", "node-a.example.org", "192.0.2.7", "::1"]


def days_later(days: float) -> datetime:
    return NOW + timedelta(days=days)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def signer() -> Authority:
    return ca.make_authority("consortium", Lifetime(NOW, 3650))


def sign(signer: Authority, days: int = 365, names: list[str] = NAMES) -> x509.Certificate:
    request = ca.make_request("node a", names, new_key())
    return ca.sign_request(signer, request, Lifetime(NOW, days))


def test_a_certificate_says_what_was_asked(signer: Authority) -> None:
    info = describe_certificate(sign(signer))
    assert (info.subject, info.issuer, info.is_authority) == ("node a", "consortium", False)
    assert list(info.names) == NAMES
    assert info.not_after_ms == days_later(365).timestamp() * 1000
    assert info.not_before_ms == (NOW - ca.BACKDATED).timestamp() * 1000
    assert describe_certificate(signer.certificate).is_authority


def test_a_certificate_ends_with_its_authority_s(signer: Authority) -> None:
    late = sign(signer, days=36_500)
    assert late.not_valid_after_utc == signer.certificate.not_valid_after_utc
    request = ca.make_request("node a", NAMES, new_key())
    with pytest.raises(RefusalError, match=r"to 2039-.*, and not now") as caught:
        ca.sign_request(signer, request, Lifetime(days_later(3651), 365))
    assert caught.value.code is ApplicationCode.BAD_CERTIFICATE


def test_a_renewed_certificate_keeps_key_and_names(signer: Authority) -> None:
    old = sign(signer)
    new = ca.renew(signer, old, Lifetime(days_later(400), 365))
    assert new.public_key() == old.public_key()
    assert describe_certificate(new).names == describe_certificate(old).names
    assert new.serial_number != old.serial_number
    assert new.not_valid_after_utc == days_later(765)
    stranger = ca.make_authority("consortium", Lifetime(NOW, 3650))
    with pytest.raises(RefusalError, match="did not sign"):
        ca.renew(stranger, old, Lifetime(NOW, 365))


@pytest.mark.parametrize("name", ["", "a b", "-a.org", "x" * 64, "a..b", "ä.org", "10.0.0.0/8"])
def test_a_wrong_name_is_refused(name: str) -> None:
    with pytest.raises(RefusalError, match="neither a DNS name nor an IP address") as caught:
        ca.make_request("node", [name], new_key())
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT


def test_the_certificate_s_name_is_bounded() -> None:
    for name in ("", "x" * 65):
        with pytest.raises(RefusalError, match="1 to 64 characters"):
            ca.make_authority(name, Lifetime(NOW, 1))


def test_openssl_takes_the_chain(tmp_path: Path) -> None:
    """A handshake in memory, with the name and the purpose of a server checked."""
    now = datetime.now(timezone.utc)
    signer = ca.make_authority("consortium", Lifetime(now, 2))
    key = new_key()
    signed = ca.sign_request(signer, ca.make_request("a", NAMES, key), Lifetime(now, 1))
    for file, content in (
        ("a.pem", ca.encode_certificate(signed)),
        ("a.key", ca.encode_key(key, None)),
        ("ca.pem", ca.encode_certificate(signer.certificate)),
    ):
        (tmp_path / file).write_bytes(content)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(tmp_path / "a.pem", tmp_path / "a.key")
    client_side = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname="node-a.example.org")
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.getpeercert()["subjectAltName"][1] == ("DNS", "node-a.example.org")  # type: ignore[index]


def test_validity_is_checked_to_the_millisecond(tmp_path: Path, signer: Authority) -> None:
    path = tmp_path / "a.pem"
    path.write_bytes(ca.encode_certificate(sign(signer, days=10)))
    start = round((NOW - ca.BACKDATED).timestamp() * 1000)
    end = round(days_later(10).timestamp() * 1000)
    assert check_validity(path, start).subject == check_validity(path, end - 1).subject == "node a"
    with pytest.raises(RefusalError, match=r"a\.pem of node a expired at 2030-01-11") as caught:
        check_validity(path, end)
    assert caught.value.code is ApplicationCode.CERTIFICATE_EXPIRED
    with pytest.raises(RefusalError, match="is not valid before 2029-12-31 23:00 UTC") as caught:
        check_validity(path, start - 1)
    assert caught.value.code is ApplicationCode.CERTIFICATE_NOT_YET_VALID
    path.write_text("not a certificate")
    with pytest.raises(RefusalError, match="holds no certificate in PEM") as caught:
        read_certificate(path)
    assert caught.value.code is ApplicationCode.BAD_CERTIFICATE


def test_an_encrypted_key_opens_with_its_passphrase_alone(
    tmp_path: Path, signer: Authority
) -> None:
    certificate = ca.encode_certificate(signer.certificate)
    write_new_file(tmp_path / "authority.pem", certificate)
    write_new_file(tmp_path / "authority.key", ca.encode_key(signer.key, "open"), is_private=True)
    assert (tmp_path / "authority.key").stat().st_mode & 0o777 == 0o600
    assert open_authority(tmp_path, "open").certificate == signer.certificate
    for passphrase, code in (
        (None, ApplicationCode.NO_PASSPHRASE),
        ("wrong", ApplicationCode.BAD_CERTIFICATE),
    ):
        with pytest.raises(RefusalError) as caught:
            open_authority(tmp_path, passphrase)
        assert caught.value.code is code
    with pytest.raises(RefusalError, match="exists, and is not replaced"):
        write_new_file(tmp_path / "authority.pem", certificate)
    (tmp_path / "authority.key").write_bytes(ca.encode_key(new_key(), None))
    with pytest.raises(RefusalError, match="is not the key of"):
        open_authority(tmp_path, "unused")
