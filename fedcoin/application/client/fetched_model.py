"""The model of the campaign that a client takes part in, and its frozen weights on disk."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from fedcoin.learning.model.spec import parse_spec
from fedcoin.network.client.federated_client import FederatedClient

MAX_ARTIFACT_BYTES: Final = 1 << 30
"""The largest artifact that a client fetches, in bytes."""

CheckModel = Callable[[bytes], Awaitable[None]]
"""Refuses a serialised ModelSpec by a RefusalError when the client's data do not fit it."""


class FetchedModel:
    """A model, fetched once and checked once; `close` removes its frozen weights."""

    def __init__(self) -> None:
        self.spec = b""
        """The serialised ModelSpec; empty before the first `fetch`."""
        self.frozen: Path | None = None
        """The file of its frozen weights; None when it has none."""
        self._artifact = b""
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    async def fetch(self, client: FederatedClient, artifact: bytes, check: CheckModel) -> None:
        """Fetch a model with its frozen weights, unless it is this one already.

        Args:
            client: The coordinator that has it.
            artifact: The id of the ModelSpec, 32 bytes.
            check: Called before the frozen weights are fetched.

        Raises:
            RefusalError: The code of `check`, or of `parse_spec` such as BAD_MODEL.
            RpcError: The coordinator cannot be reached, or has not sent what the id stands for.
        """
        if self._artifact == artifact:
            return
        spec = await client.download_artifact(artifact, MAX_ARTIFACT_BYTES)
        await check(spec)
        self.frozen = await self._fetch_frozen(client, parse_spec(spec).frozen)
        self.spec, self._artifact = spec, artifact

    async def _fetch_frozen(self, client: FederatedClient, artifact: bytes) -> Path | None:
        if not artifact:
            return None
        weights = await client.download_artifact(artifact, MAX_ARTIFACT_BYTES)
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="fedcoin-frozen-")
        path = Path(self._folder.name) / artifact.hex()
        await asyncio.to_thread(path.write_bytes, weights)
        return path

    async def close(self) -> None:
        """Remove the file of the frozen weights."""
        if self._folder is not None:
            await asyncio.to_thread(self._folder.cleanup)
