from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.configuration.hosted_clients import (
    HostedClient,
    read_hosted_clients,
    write_hosted_clients,
)
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError


def test_what_is_written_is_read_from_any_folder(tmp_path: Path) -> None:
    clients = (
        HostedClient(tmp_path / "a", tmp_path / "a/data.npz"),
        HostedClient(tmp_path / "b", tmp_path / "b/data.npz", is_free_rider=True, name="Ben"),
    )
    path = tmp_path / "clients.json"
    write_hosted_clients(path, clients)
    assert read_hosted_clients(path) == clients
    assert str(tmp_path) not in path.read_text()


GOOD = '{"home": "a", "data": "a.npz"}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "3",
        '["a"]',
        '[{"home": "a"}]',
        '[{"home": 1, "data": "a.npz"}]',
        '[{"home": "a", "data": "a.npz", "free_ride": 1}]',
        '[{"home": "a", "data": "a.npz", "free": true}]',
        f"[{GOOD}, {GOOD}]",
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "clients.json"
    path.write_text(f"[{GOOD}]")
    assert len(read_hosted_clients(path)) == 1
    path.write_text(text)
    with pytest.raises(RefusalError) as caught:
        read_hosted_clients(path)
    assert caught.value.code is ApplicationCode.BAD_ARGUMENT
    assert str(path) in caught.value.message
