"""Fetch the artifacts that a home lacks from a node, so that its tasks can be evaluated again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from fedcoin.application.mining.task_evaluator import Assignment
from fedcoin.application.wallet.reader_prover import make_prover
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.learning.model.frozen_weights import frozen_artifact
from fedcoin.network.client.artifact_client import Prove
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError


class MissingArtifacts:
    """Fetches what tasks need from a node; those of private campaigns with a reader's key.

    Args:
        node: A connected client of the node.
        key: The reader's key; None asks for what everybody may have alone.
        genesis_hash: The genesis hash of the network, 32 bytes.
        server: The node's key, as in `make_prover`.
    """

    def __init__(
        self, node: NodeClient, key: KeyPair | None, genesis_hash: bytes, server: bytes
    ) -> None:
        self._node = node
        self._key = key
        self._genesis_hash = genesis_hash
        self._server = server

    async def fetch(self, store: ArtifactStore, assignment: Assignment) -> None:
        """Fetch the artifacts of a task that a store lacks. What the node does not send is left.

        Args:
            store: The home's artifacts; those of a private campaign go to its room.
            assignment: What evaluating the task needs.

        Raises:
            RpcError: The node cannot be reached.
            RefusalError: STORE_FULL when the disk's limit is reached.
        """
        prove: Prove | None = None
        if assignment.is_private:
            if self._key is None:
                return
            prove = await make_prover(
                self._node,
                self._key,
                self._genesis_hash,
                assignment.room,
                server=self._server,
            )
        room = store.room(assignment.room)
        await self._fetch_into(room, assignment.artifacts(), prove)
        if room.has(assignment.model):
            frozen = frozen_artifact(room.path(assignment.model))
            await self._fetch_into(room, [frozen] if frozen else [], prove)

    async def _fetch_into(
        self, room: ArtifactStore, ids: Iterable[bytes], prove: Prove | None
    ) -> None:
        for id in ids:
            if room.has(id):
                continue
            try:
                content = await self._node.download_artifact(id, prove=prove)
            except RpcError as error:
                if error.is_transient:
                    raise
            else:
                await asyncio.to_thread(room.put, content)
