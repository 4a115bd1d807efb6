from __future__ import annotations

from pathlib import Path
from typing import Any

from fedcoin import __version__


def test_version(fedcoin: Any, tmp_path: Path) -> None:
    found = fedcoin("version", "--home", tmp_path, "--json").json
    assert "peer_address" not in found
    assert found["version"] == __version__
    assert found["protocol_version"] == 2
    assert "tensorflow" in fedcoin("version").out


def test_the_address_of_a_homes_node(fedcoin: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    fedcoin("init", "--home", home, "--peers-listen", "127.0.0.1:7099")
    key = fedcoin("keys", "show", "--home", home, "--public-key").out.strip()
    found = fedcoin("version", "--home", home, "--json").json
    assert found["peer_address"] == f"{key}@127.0.0.1:7099"
    (home / "config.toml").write_text("nonsense")
    assert "peer_address" not in fedcoin("version", "--home", home, "--json").json
