"""A live node for tests of commands: one that mines alone, in a process of its own."""

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
    """Wait until a node has written `text` into its log."""
    asyncio.run(until(lambda: text in log.read_text(), f"{log.name} says {text!r}"))


@contextmanager
def started(home: Home, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A node in a process of its own, that ends with this."""
    command = [sys.executable, "-m", "fedcoin.application.cli", "start", "--home", str(home.root)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*command, "--stop-with-stdin", *arguments],
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    # Leaving it closes its standard input and waits.
    with process:
        try:
            yield process
        except BaseException:
            process.kill()
            raise
