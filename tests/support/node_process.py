"""A live node for tests of commands: a single miner, in its own process."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.configuration.home import Home
from fedcoin.network.client.node_client import NodeClient
from tests.support.waiting import until


@dataclass(frozen=True)
class Live:
    home: Home
    api: str
    peers: str
    process: subprocess.Popen[bytes]
    log: Path


def wait_ready(api: str) -> None:
    async def ready() -> None:
        async with NodeClient(api) as node:
            await node.wait_until_serving(60)

    asyncio.run(ready())


def wait_said(log: Path, text: str) -> None:
    """Wait until a node has logged `text`."""
    asyncio.run(until(lambda: text in log.read_text(), f"{log.name} says {text!r}"))


@contextmanager
def started(home: Home, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node in its own process while inside."""
    command = [sys.executable, "-m", "fedcoin.application.cli", "start", "--home", str(home.root)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--stop-with-stdin", *arguments],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    # Leaving the context closes its standard input and waits for its end.
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
