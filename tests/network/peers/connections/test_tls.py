"""Mutual TLS: a consortium's nodes connect, and others cannot."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peer_options import Tls
from tests.support.keys import MINERS
from tests.support.node_core import make_network_genesis
from tests.support.peer_nodes import FAST, PeerNode, running
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the keys")


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(("openssl", *arguments), cwd=folder, check=True, capture_output=True)


def make_authority(folder: Path) -> Path:
    folder.mkdir()
    openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority",
    )  # fmt: skip
    return folder


def issue(authority: Path, name: str) -> Tls:
    openssl(
        authority, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
    )  # fmt: skip
    extension = authority / f"{name}.ext"
    extension.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    openssl(
        authority, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", extension.name,
    )  # fmt: skip
    return Tls(authority / f"{name}.pem", authority / f"{name}.key", authority / "ca.pem")


async def test_members_meet_and_strangers_do_not(tmp_path: Path) -> None:
    members, strangers = make_authority(tmp_path / "a"), make_authority(tmp_path / "b")
    genesis = make_network_genesis()
    first = PeerNode(
        tmp_path / "0", genesis, MINERS[0], options=replace(FAST, tls=issue(members, "first"))
    )
    async with running(first):
        second = PeerNode(
            tmp_path / "1",
            genesis,
            MINERS[1],
            [first.address],
            options=replace(FAST, tls=issue(members, "second")),
        )
        stranger = PeerNode(
            tmp_path / "2",
            genesis,
            MINERS[2],
            options=replace(FAST, tls=issue(strangers, "stranger"), dial_timeout_s=1.0),
        )
        plain = PeerNode(
            tmp_path / "3", genesis, MINERS[3], options=replace(FAST, dial_timeout_s=1.0)
        )
        async with running(second, stranger, plain):
            await until(lambda: first.linked() == second.linked() == 1)
            for outsider in (stranger, plain):
                with pytest.raises(RefusalError) as caught:
                    await outsider.network.add(first.address)
                assert caught.value.code is NetworkCode.PEER_UNREACHABLE
            assert len(first.network.peers()) == 1


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    tls = Tls(tmp_path / "no.pem", tmp_path / "no.key", tmp_path / "no-authority.pem")
    with pytest.raises(FileNotFoundError, match="no-authority"):
        PeerNode(tmp_path / "0", make_network_genesis(), MINERS[0], options=replace(FAST, tls=tls))
