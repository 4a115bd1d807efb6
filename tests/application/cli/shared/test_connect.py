"""Which node a command asks."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedcoin.application.cli.shared.connect import node_address
from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.home import Home
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError

LISTENS = "127.0.0.1:7051"


@pytest.mark.parametrize(
    "file", ["config.toml", "genesis.json", "pinned_genesis", "keys/node.json"]
)
def test_any_file_of_a_home_makes_a_folder_one(file: str, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert node_address(Home(tmp_path), None, NodeConfig()) == LISTENS


def test_a_folder_that_is_no_home_has_no_node(tmp_path: Path) -> None:
    """Else a mistyped folder would show the node at the default address."""
    (tmp_path / "notes.txt").touch()
    with pytest.raises(RefusalError) as caught:
        node_address(Home(tmp_path), None, NodeConfig())
    assert caught.value.code is ApplicationCode.NO_HOME
    assert str(tmp_path) in caught.value.message
    assert node_address(Home(tmp_path), "10.0.0.5:7051", NodeConfig()) == "10.0.0.5:7051"


def test_the_default_home_need_not_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert node_address(Home(tmp_path / ".fedcoin"), None, NodeConfig()) == LISTENS
