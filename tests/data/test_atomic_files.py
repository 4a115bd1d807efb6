from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedcoin.data.atomic_files import publish_file, replace_file


def test_replacing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(tmp_path) == ["file"]


def test_publishing_never_replaces(tmp_path: Path) -> None:
    part, path = tmp_path / "part", tmp_path / "file"
    part.write_bytes(b"one")
    publish_file(part, path)
    assert path.read_bytes() == b"one"
    part.write_bytes(b"two")
    with pytest.raises(FileExistsError):
        publish_file(part, path)
    assert path.read_bytes() == b"one"


def test_publishing_without_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    part, path = tmp_path / "part", tmp_path / "file"
    part.write_bytes(b"one")
    publish_file(part, path)
    assert path.read_bytes() == b"one"
    part.write_bytes(b"two")
    with pytest.raises(FileExistsError):
        publish_file(part, path)
    assert path.read_bytes() == b"one"
