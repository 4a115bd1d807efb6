from __future__ import annotations

from typing import Any

from fedcoin import __version__


def test_version(fedcoin: Any) -> None:
    found = fedcoin("version", "--json").json
    assert found["version"] == __version__
    assert found["protocol_version"] == 2
    assert "tensorflow" in fedcoin("version").out
