"""`fedcoin-node tls`: from an authority to nodes that talk over TLS, and renewal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fedcoin.application.cli.nodes.tls import DAY_MS
from fedcoin.application.configuration.home import Home
from fedcoin.data.clock import unix_ms
from fedcoin.network.peers.connections.node_addresses import tls_name
from tests.application.cli.conftest import CommandLine
from tests.support.node_process import started
from tests.support.ports import reserve_addresses
from tests.support.waiting import until


@pytest.fixture
def folder(tmp_path: Path, fedcoin: CommandLine) -> Path:
    """Return a folder with an authority, and a home `a` whose certificate it signed."""
    made = fedcoin("tls", "init-authority", tmp_path / "ca", "--no-encrypt")
    assert made.code == 0, made.err
    assert "offline" in made.err
    peers, api = reserve_addresses(2)
    listeners = ("--peers-listen", peers, "--api-listen", api)
    assert fedcoin("init", "--home", tmp_path / "a", *listeners).code == 0
    issue = ("tls", "issue", "--authority", tmp_path / "ca", "--home", tmp_path / "a")
    done = fedcoin(*issue, "--host", "node-a.example.org")
    assert done.code == 0, done.err
    return tmp_path


def test_a_certificate_names_the_node_and_its_hosts(folder: Path, fedcoin: CommandLine) -> None:
    shown = fedcoin("tls", "show", "--home", folder / "a", "--json").json
    key = Home(folder / "a").key_info().public_key
    assert shown["names"] == [tls_name(key), "node-a.example.org", "localhost", "127.0.0.1"]
    assert shown["issuer"] == "FedCoin authority"
    text = fedcoin("tls", "show", "--home", folder / "a").out
    assert "365 days left" in text
    authority = fedcoin("tls", "show", folder / "ca" / "authority.pem", "--json").json
    assert authority["is_authority"] is True
    assert (folder / "a/tls/private.key").stat().st_mode & 0o777 == 0o600
    config = Home(folder / "a").config({}, {})
    assert Path(config.tls.certificate) == folder / "a/tls/certificate.pem"


def test_a_request_is_signed_for_another_machine(folder: Path, fedcoin: CommandLine) -> None:
    assert fedcoin("keys", "new", "--home", folder / "b", "--no-encrypt").code == 0
    asked = fedcoin("tls", "request", "--home", folder / "b", "--host", "192.0.2.7")
    request, out = asked.out.strip(), folder / "b.pem"
    issue = ("tls", "issue", "--authority", folder / "ca", "--request", request)
    assert fedcoin(*issue).code == 2  # without --out
    assert fedcoin(*issue, "--out", out, "--host", "x.org").code == 2
    assert fedcoin(*issue, "--out", out).code == 0
    shown = fedcoin("tls", "show", out, "--json").json
    assert "192.0.2.7" in shown["names"]
    again = fedcoin(*issue, "--out", out)
    assert (again.code, "exists" in again.err) == (2, True)


def test_missing_files_are_named_with_what_makes_them(folder: Path, fedcoin: CommandLine) -> None:
    assert fedcoin("keys", "new", "--home", folder / "c", "--no-encrypt").code == 0
    ca, csr = folder / "ca", folder / "b.csr"
    (folder / "no-key").mkdir()
    (folder / "no-key/authority.pem").write_bytes((ca / "authority.pem").read_bytes())
    request = fedcoin("tls", "request", "--home", folder / "c").out.strip()
    Path(request).rename(csr)
    sign = ("tls", "issue", "--request", csr, "--authority")
    cases = {
        ("tls", "show", "--home", folder / "c"): "tls issue",
        ("tls", "renew", "--authority", ca, "--home", folder / "c"): "tls issue",
        ("tls", "renew", "--authority", folder / "none", "--home", folder / "a"): "init-authority",
        (*sign, folder / "no-key", "--out", folder / "b.pem"): "init-authority",
        (*sign, ca, "--out", folder / "none" / "b.pem"): "a folder that exists",
    }
    for arguments, advice in cases.items():
        refused = fedcoin(*arguments)
        assert (refused.code, "[NO_FILE]" in refused.err) == (1, True), refused.err
        assert advice in refused.err


def test_renewal_keeps_the_key(folder: Path, fedcoin: CommandLine) -> None:
    show = ("tls", "show", "--home", folder / "a", "--json")
    key, before = (folder / "a/tls/private.key").read_bytes(), fedcoin(*show).json
    renew = ("tls", "renew", "--authority", folder / "ca", "--home", folder / "a", "--days", "500")
    assert fedcoin(*renew).code == 0
    after = fedcoin(*show).json
    assert after["names"] == before["names"]
    assert after["not_after_ms"] > before["not_after_ms"]
    assert (folder / "a/tls/private.key").read_bytes() == key
    assert fedcoin("tls", "init-authority", folder / "other", "--no-encrypt").code == 0
    refused = fedcoin("tls", "renew", "--authority", folder / "other", "--home", folder / "a")
    assert (refused.code, "BAD_CERTIFICATE" in refused.err) == (1, True)


def test_a_change_of_authority(folder: Path, fedcoin: CommandLine) -> None:
    old, new, home = folder / "ca", folder / "next", folder / "a"
    show = ("tls", "show", "--home", home, "--json")
    before = fedcoin(*show).json
    assert fedcoin("tls", "init-authority", new, "--no-encrypt", "--name", "Next").code == 0
    change = ("tls", "renew", "--authority", new, "--home", home, "--former")
    refused = fedcoin(*change, old)
    assert (refused.code, "does not hold the new authority" in refused.err) == (1, True)
    trusted = home / "tls/authority.pem"
    both = b"".join((each / "authority.pem").read_bytes() for each in (new, old))
    trusted.write_bytes(both)
    refused = fedcoin(*change, new)
    assert (refused.code, "BAD_CERTIFICATE" in refused.err) == (1, True)
    assert fedcoin(*show).json == before
    assert fedcoin(*change, old).code == 0
    after = fedcoin(*show).json
    assert (after["names"], after["issuer"]) == (before["names"], "Next")


def test_an_encrypted_authority_needs_its_passphrase(
    tmp_path: Path, fedcoin: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEDCOIN_PASSPHRASE", "open sesame")
    assert fedcoin("tls", "init-authority", tmp_path / "ca").code == 0
    assert "ENCRYPTED" in (tmp_path / "ca/authority.key").read_text()
    monkeypatch.delenv("FEDCOIN_PASSPHRASE")
    assert fedcoin("keys", "new", "--home", tmp_path / "a", "--no-encrypt").code == 0
    issue = ("tls", "issue", "--authority", tmp_path / "ca", "--home", tmp_path / "a")
    refused = fedcoin(*issue)
    assert (refused.code, "NO_PASSPHRASE" in refused.err) == (1, True)


async def test_a_node_serves_with_its_certificate_and_reads_the_renewed_one(
    folder: Path, fedcoin: CommandLine
) -> None:
    home = Home(folder / "a")
    api = home.config({}, {}).api.listen
    log = folder / "node.log"

    def status() -> dict[str, object] | None:
        command = [sys.executable, "-m", "fedcoin.application.cli", "status", "--json"]
        command += ["--home", str(home.root), "--node", api]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    with started(home, log, "--mine") as process:
        found = await until(status, "the node answers over TLS")
        shown = fedcoin("tls", "show", "--home", home.root, "--json").json
        assert int(str(found["tls_expiry_ms"])) == shown["not_after_ms"]
        renew = ("tls", "renew", "--authority", folder / "ca", "--home", home.root)
        assert fedcoin(*renew, "--days", "500").code == 0
        assert status() is not None
        assert "read " + str(home.root / "tls/certificate.pem") in log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_node_does_not_start_with_an_expired_certificate(
    folder: Path, fedcoin: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = unix_ms() - 800 * DAY_MS
    monkeypatch.setattr("fedcoin.application.cli.nodes.tls.unix_ms", lambda: long_ago)
    assert fedcoin("tls", "init-authority", folder / "old", "--no-encrypt").code == 0
    home = Home(folder / "a")
    for path in (folder / "a/tls").iterdir():
        path.unlink()
    issue = ("tls", "issue", "--authority", folder / "old", "--home", home.root)
    assert fedcoin(*issue, "--days", "30").code == 0
    monkeypatch.undo()
    assert "expired" in fedcoin("tls", "show", "--home", home.root).out
    refused = fedcoin("start", "--home", home.root)
    assert refused.code == 1
    assert "CERTIFICATE_EXPIRED" in refused.err
