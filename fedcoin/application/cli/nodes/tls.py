"""`fedcoin-node tls`: an authority, and the certificates of nodes, wallets and clients."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from fedcoin.application.cli.shared.options import example, home_option, json_option
from fedcoin.application.cli.shared.output import moment, note, print_fields, print_json
from fedcoin.application.cli.shared.passphrases import (
    choose_passphrase,
    encrypt_option,
    passphrase_option,
)
from fedcoin.application.configuration.config_editing import set_texts
from fedcoin.application.configuration.home import NODE_KEY, Home
from fedcoin.application.configuration.private_folders import make_folder
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.atomic_files import replace_file
from fedcoin.data.clock import unix_ms
from fedcoin.data.errors import RefusalError
from fedcoin.data.plurals import format_count

if TYPE_CHECKING:
    from fedcoin.application.certificates.authority import Lifetime

F = TypeVar("F", bound=Callable[..., None])

DAY_MS = 86_400_000
"""One day in ms."""
LOCAL_NAMES = ("localhost", "127.0.0.1")
"""Names that every certificate of a node holds, for tools on its machine."""

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _days_option(days: int) -> Callable[[F], F]:
    return click.option(
        "--days", type=click.IntRange(1, 36_500), default=days, show_default=True, metavar="N",
        help="How many days it is valid.",
    )  # fmt: skip


_authority_option = click.option(
    "--authority", "folder", type=_FOLDER, required=True, metavar="DIR",
    help="The folder of the authority (tls init-authority).",
)  # fmt: skip
_host_option = click.option(
    "--host", "hosts", multiple=True, metavar="NAME",
    help="A DNS name or IP address that wallets and clients dial; may be repeated.",
)  # fmt: skip


@click.group(
    epilog=example(
        "fedcoin-node tls init-authority consortium     once, on one machine",
        "fedcoin-node tls issue --authority consortium --home a --host node-a.example.org",
        "fedcoin-node tls show --home a",
        "fedcoin-node tls renew --authority consortium --home a",
    )
)
def tls() -> None:
    """Make, show and renew the certificates of a consortium.

    One authority signs a certificate for each node, which names the node's key, and for each
    wallet and client. Running nodes read a renewed certificate by themselves. Private keys stay
    where they were made: a home on another machine makes a request (tls request), which the
    authority signs (tls issue --request).
    """


@tls.command(
    name="init-authority", epilog=example("fedcoin-node tls init-authority consortium --encrypt")
)
@click.argument("folder", type=_FOLDER, metavar="DIR")
@click.option("--name", default="FedCoin authority", show_default=True, help="The name it shows.")
@_days_option(3650)
@passphrase_option
@encrypt_option
def init_authority(
    folder: Path, name: str, days: int, passphrase: str | None, encrypt: bool | None
) -> None:
    """Make an authority in the folder DIR: its certificate and its private key."""
    from fedcoin.application.certificates import authority, certificate_files

    made = authority.make_authority(name, _lifetime(days))
    make_folder(folder)
    key = authority.encode_key(made.key, choose_passphrase(passphrase, encrypt))
    certificate_files.write_new_file(folder / certificate_files.AUTHORITY_KEY, key, is_private=True)
    path = folder / certificate_files.AUTHORITY
    certificate_files.write_new_file(path, authority.encode_certificate(made.certificate))
    note(f"Keep {folder / certificate_files.AUTHORITY_KEY} offline: who has it can join as a node")
    _show_file(path, as_json=False)


@tls.command(epilog=example("fedcoin-node tls request --home b --host node-b.example.org"))
@home_option
@_host_option
def request(home: Home, hosts: tuple[str, ...]) -> None:
    """Make a key and a request for a certificate, in the home's folder tls.

    Send the request to the authority. Put what it sends back beside the key as certificate.pem, and
    the authority's certificate as authority.pem.
    """
    from fedcoin.application.certificates.certificate_files import REQUEST

    _make_request(home, hosts)
    click.echo(_folder_of(home) / REQUEST)


@tls.command(
    epilog=example(
        "fedcoin-node tls issue --authority consortium --home a --host node-a.example.org",
        "fedcoin-node tls issue --authority consortium --request b.csr --out b.pem",
    )
)
@_authority_option
@home_option
@click.option("--request", "request_file", type=_FILE, help="Sign this request, not one of a home.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path),
    help="With --request: the file of the new certificate.",
)  # fmt: skip
@_host_option
@_days_option(365)
@passphrase_option
def issue(
    folder: Path,
    home: Home,
    request_file: Path | None,
    out: Path | None,
    hosts: tuple[str, ...],
    days: int,
    passphrase: str | None,
) -> None:
    """Sign a certificate: for a home, with a new key in its folder tls, or for a request."""
    from fedcoin.application.certificates import authority, certificate_files

    signer = certificate_files.open_authority(folder, passphrase)
    if (request_file is None) != (out is None) or (request_file is not None and hosts):
        raise _bad_use("--request needs --out, and its names stand in the request, not in --host")
    if request_file is None:
        request_file = _make_request(home, hosts)
    wanted = certificate_files.read_request(request_file)
    signed = authority.sign_request(signer, wanted, _lifetime(days))
    path = out or _folder_of(home) / certificate_files.CERTIFICATE
    certificate_files.write_new_file(path, authority.encode_certificate(signed))
    if out is None:
        request_file.unlink()
        own = _folder_of(home) / certificate_files.AUTHORITY
        certificate_files.write_new_file(own, authority.encode_certificate(signer.certificate))
        _configure(home)
    _show_file(path, as_json=False)


@tls.command(epilog=example("fedcoin-node tls show --home a", "fedcoin-node tls show b.pem"))
@click.argument("file", type=_FILE, required=False)
@home_option
@json_option
def show(file: Path | None, home: Home, as_json: bool) -> None:
    """Show what a certificate says: names, authority, and until when it is valid.

    Without FILE it is the home's certificate.
    """
    _show_file(file or _certificate_of(home), as_json)


@tls.command(
    epilog=example(
        "fedcoin-node tls renew --authority consortium --home a",
        "fedcoin-node tls renew --authority consortium b.pem",
        "fedcoin-node tls renew --authority next --former consortium --home a",
    )
)
@click.argument("file", type=_FILE, required=False)
@_authority_option
@click.option(
    "--former", type=_FOLDER, metavar="DIR",
    help="The folder of the authority that signed it until now, to change to another one.",
)  # fmt: skip
@home_option
@_days_option(365)
@passphrase_option
def renew(
    file: Path | None,
    folder: Path,
    former: Path | None,
    home: Home,
    days: int,
    passphrase: str | None,
) -> None:
    """Replace a certificate by one with the same key and names that is valid for longer.

    Without FILE it is the home's certificate. A running program reads it by itself. To change the
    authority, first put the new one's certificate into authority.pem of every home (--former).
    """
    from fedcoin.application.certificates import authority, certificate_files, certificate_info

    path = file or _certificate_of(home)
    signer = certificate_files.open_authority(folder, passphrase)
    before = None
    if former is not None:
        before = certificate_info.read_certificate(former / certificate_files.AUTHORITY)
        if file is None:
            certificate_files.check_trust(_authority_of(home), signer.certificate)
    old = certificate_info.read_certificate(path)
    renewed = authority.renew(signer, old, _lifetime(days), before)
    replace_file(path, authority.encode_certificate(renewed))
    _show_file(path, as_json=False)


def _lifetime(days: int) -> Lifetime:
    from fedcoin.application.certificates.authority import Lifetime

    return Lifetime(datetime.fromtimestamp(unix_ms() / 1000, timezone.utc), days)


def _folder_of(home: Home) -> Path:
    return home.root / "tls"


def _certificate_of(home: Home) -> Path:
    """Return the certificate that the home's settings name, or the one that `issue` makes."""
    from fedcoin.application.certificates.certificate_files import CERTIFICATE

    named = home.config(os.environ, {}).tls.certificate
    return Path(named) if named else _folder_of(home) / CERTIFICATE


def _authority_of(home: Home) -> Path:
    from fedcoin.application.certificates.certificate_files import AUTHORITY

    named = home.config(os.environ, {}).tls.authority
    return Path(named) if named else _folder_of(home) / AUTHORITY


def _make_request(home: Home, hosts: Sequence[str]) -> Path:
    from cryptography.hazmat.primitives.asymmetric import ec

    from fedcoin.application.certificates import authority, certificate_files
    from fedcoin.network.peers.connections.node_addresses import tls_name

    public_key = home.key_info(NODE_KEY).public_key
    key, names = ec.generate_private_key(ec.SECP256R1()), [tls_name(public_key), *hosts]
    names += [name for name in LOCAL_NAMES if name not in hosts]
    wanted = authority.make_request(f"node {public_key.hex()[:16]}", names, key)
    folder = _folder_of(home)
    make_folder(folder)
    key_file = folder / certificate_files.KEY
    certificate_files.write_new_file(key_file, authority.encode_key(key, None), is_private=True)
    path = folder / certificate_files.REQUEST
    certificate_files.write_new_file(path, authority.encode_certificate(wanted))
    return path


def _configure(home: Home) -> None:
    """Name the files in config.toml, or say what to write there when it names others."""
    from fedcoin.application.certificates.certificate_files import AUTHORITY, CERTIFICATE, KEY

    folder = _folder_of(home).absolute()
    names = {"certificate": CERTIFICATE, "private_key": KEY, "authority": AUTHORITY}
    files = {name: str(folder / file) for name, file in names.items()}
    text = home.config_path.read_text(encoding="utf-8") if home.config_path.exists() else ""
    changed = set_texts(text, "tls", files)
    if changed is None:
        note(f"{home.config_path} has TLS files already; the new ones are {files}")
        return
    replace_file(home.config_path, changed.encode())
    note(f"{home.config_path} names the certificate; restart the node if it runs")


def _show_file(path: Path, as_json: bool) -> None:
    from fedcoin.application.certificates import certificate_info

    info = certificate_info.describe_certificate(certificate_info.read_certificate(path))
    if as_json:
        print_json({"file": str(path), **dataclasses.asdict(info)})
        return
    days = round((info.not_after_ms - unix_ms()) / DAY_MS)
    left = f"{format_count(days, 'day')} left" if info.not_after_ms > unix_ms() else "expired"
    print_fields(
        {
            "file": path,
            "subject": info.subject + (" (an authority)" if info.is_authority else ""),
            "signed by": info.issuer,
            "names": ", ".join(info.names) or "none",
            "valid from": moment(info.not_before_ms),
            "valid until": f"{moment(info.not_after_ms)} ({left})",
            "SHA-256": info.sha256,
        }
    )


def _bad_use(reason: str) -> RefusalError:
    return RefusalError(ApplicationCode.BAD_ARGUMENT, reason, field="request")
