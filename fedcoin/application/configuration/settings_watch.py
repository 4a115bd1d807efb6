"""Settings that take effect while the node runs, when `config.toml` changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from fedcoin.application.configuration.config import NodeConfig
from fedcoin.data.errors import RefusalError

log = logging.getLogger(__name__)

POLL_S = 2.0
"""How often the file is looked at, in seconds."""


class SettingsWatch:
    """Reads the settings again when their file changes.

    Args:
        path: The file; there may be none.
        read: Reads all settings in force, also from flags and variables.
        apply: Takes the settings that can change while the node runs; returns the line to log.
    """

    def __init__(
        self, path: Path, read: Callable[[], NodeConfig], apply: Callable[[NodeConfig], str]
    ) -> None:
        self._path = path
        self._read = read
        self._apply = apply
        self._seen = self._stamp()

    async def run(self) -> None:
        """Look at the file until the task is cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            await self.check()

    async def check(self) -> None:
        """Read the settings if the file has changed. A wrong file changes nothing."""
        stamp = await asyncio.to_thread(self._stamp)
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            config = await asyncio.to_thread(self._read)
        except RefusalError as refusal:
            log.warning("%s changed, but its settings are not used: %s", self._path.name, refusal)
            return
        log.info("%s changed: %s", self._path.name, self._apply(config))

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns
