from __future__ import annotations

import logging
from pathlib import Path

import pytest

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.application.configuration.home import Home
from fedcoin.application.configuration.settings_watch import SettingsWatch

KEY = "ab" * 32


class Watched:
    """A home whose file is written again and again."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        self.applied: list[NodeConfig] = []
        self.watch = SettingsWatch(
            self.home.config_path, lambda: self.home.config({}, {}), self._apply
        )

    def write(self, text: str) -> None:
        self.home.config_path.write_text(text)

    def _apply(self, config: NodeConfig) -> str:
        self.applied.append(config)
        return "it is applied"


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


async def test_a_change_is_applied_once(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await watched.watch.check()
    assert not watched.applied
    watched.write(f'[peers]\nrefused_keys = ["{KEY}"]\n')
    for _ in range(2):
        await watched.watch.check()
    assert [config.peers.refused_keys for config in watched.applied] == [(KEY,)]
    assert caplog.messages == ["config.toml changed: it is applied"]
    watched.write("")
    await watched.watch.check()
    assert [config.peers.refused_keys for config in watched.applied] == [(KEY,), ()]


async def test_a_wrong_file_changes_nothing(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write('[peers]\nrefused_keys = ["no key"]\n')
    for _ in range(2):
        await watched.watch.check()
    assert not watched.applied
    (line,) = caplog.messages
    assert line.startswith("config.toml changed, but its settings are not used: ")
    watched.write(f'[peers]\nrefused_keys = ["{KEY}"]\n')
    await watched.watch.check()
    assert len(watched.applied) == 1
