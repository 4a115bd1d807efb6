"""An authority and certificates for tests, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from fedcoin.network.peer_options import Tls


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(("openssl", *arguments), cwd=folder, check=True, capture_output=True)


def make_authority(folder: Path) -> Path:
    folder.mkdir()
    openssl(
        folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
        "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=authority",
    )  # fmt: skip
    return folder


def issue(authority: Path, name: str, *names: str) -> Tls:
    openssl(
        authority, "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}",
    )  # fmt: skip
    extension = authority / f"{name}.ext"
    extension.write_text(f"subjectAltName={','.join(names)}\n")
    openssl(
        authority, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
        "-CAcreateserial", "-out", f"{name}.pem", "-days", "2", "-extfile", extension.name,
    )  # fmt: skip
    return Tls(authority / f"{name}.pem", authority / f"{name}.key", authority / "ca.pem")
