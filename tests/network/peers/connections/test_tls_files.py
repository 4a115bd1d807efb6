"""TLS files that change are read again, and never when they do not fit together."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import ssl
from dataclasses import replace
from pathlib import Path

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import Tls
from fedcoin.network.peers.connections.endpoints import parse_endpoint
from fedcoin.network.peers.connections.node_addresses import tls_name
from fedcoin.network.peers.connections.tls_files import TlsFiles
from tests.support.certificates import issue, make_authority, openssl
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import FAST, PeerNode, running

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")


def move(new: Path, old: Path) -> None:
    """Put a file in the place of another, as a renewal does."""
    os.replace(shutil.copy(new, new.with_suffix(".copy")), old)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    return make_authority(tmp_path / "authority")


def test_a_renewed_pair_is_used(authority: Path) -> None:
    old, new = (issue(authority, name, "DNS:node") for name in ("old", "new"))
    files = TlsFiles(old)
    first = files.current()
    assert files.current() is first
    for changed, source in ((old.key, new.key), (old.certificate, new.certificate)):
        move(source, changed)
    second = files.current()
    assert second.certificate == new.certificate.read_bytes()
    assert (second.key, second.authority) == (new.key.read_bytes(), first.authority)


def test_half_a_pair_and_a_missing_file_are_not_used(
    authority: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    old, new = (issue(authority, name, "DNS:node") for name in ("old", "new"))
    files = TlsFiles(old)
    first = files.current()
    move(new.certificate, old.certificate)
    assert files.current() is first
    assert files.current() is first
    assert len(caplog.messages) == 1
    assert "KEY_VALUES_MISMATCH" in caplog.messages[0]
    old.key.unlink()
    assert files.current() is first
    assert "No such file" in caplog.messages[1]
    shutil.copy(new.key, old.key)
    assert files.current().key == new.key.read_bytes()


def test_files_that_cannot_be_used_are_refused_at_once(authority: Path) -> None:
    tls, other = (issue(authority, name, "DNS:node") for name in ("node", "other"))
    faults = {
        "do not belong together": replace(tls, key=other.key),
        "cannot be read (No such file": replace(tls, authority=authority / "missing.pem"),
        "write absolute paths": replace(tls, certificate=Path("tls/certificate.pem")),
    }
    damaged = authority / "damaged.pem"
    damaged.write_text("nothing")
    faults["are damaged"] = replace(tls, certificate=damaged)
    for said, files in faults.items():
        with pytest.raises(RefusalError) as caught:
            TlsFiles(files)
        assert caught.value.code is NetworkCode.BAD_TLS_FILES
        assert said in caught.value.message


def test_a_key_with_a_passphrase_asks_nobody(authority: Path) -> None:
    tls = issue(authority, "node", "DNS:node")
    files = TlsFiles(tls)
    first = files.current()
    openssl(authority, "pkcs8", "-topk8", "-in", "node.key", "-out", "s.key", "-passout", "pass:x")
    move(authority / "s.key", tls.key)
    assert files.current() is first


async def read_serial(address: str, tls: Tls) -> str:
    """Return the serial number of the certificate that a listener shows."""
    context = ssl.create_default_context(cafile=str(tls.authority))
    context.check_hostname = False
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["h2"])
    at = parse_endpoint(address.rpartition("@")[2])
    _, writer = await asyncio.open_connection(at.host, at.port, ssl=context)
    found = writer.get_extra_info("peercert")
    writer.close()
    return str(found["serialNumber"])


async def test_a_running_listener_shows_the_renewed_certificate(
    tmp_path: Path, authority: Path
) -> None:
    key = MINERS[0]
    name = f"DNS:{tls_name(key.public_key)}"
    old, new = (issue(authority, file, name, "IP:127.0.0.1") for file in ("old", "new"))
    options = replace(FAST, tls=old)
    node = PeerNode(tmp_path / "node", make_network_genesis(), key, options=options)
    async with running(node):
        before = await read_serial(node.address, new)
        move(new.key, old.key)
        move(new.certificate, old.certificate)
        after = await read_serial(node.address, new)
    assert before != after
