"""The client of a node's API."""

from __future__ import annotations

from pathlib import Path

from fedcoin.data.errors import RefusalError
from fedcoin.network.client.artifact_client import ArtifactClient, Prove
from fedcoin.network.client.artifact_upload_client import ArtifactUploadClient
from fedcoin.network.client.chain_calls import ChainCalls, Hash, hash_text
from fedcoin.network.client.channels import describe_target, open_channel
from fedcoin.network.client.grpc_client import DEFAULT_TIMEOUT_S, Metadata
from fedcoin.network.client.renewed_channel import Credentials
from fedcoin.network.client.task_calls import TaskCalls
from fedcoin.network.client.transaction_calls import TransactionCalls
from fedcoin.network.errors import NetworkCode
from fedcoin.network.host_groups import is_on_loopback
from fedcoin.v1 import (
    artifact_service_pb2,
    artifact_upload_service_pb2,
    node_service_pb2,
    shapley_task_service_pb2,
    transaction_service_pb2,
)

SERVICES = (
    node_service_pb2.DESCRIPTOR.services_by_name["NodeService"],
    transaction_service_pb2.DESCRIPTOR.services_by_name["TransactionService"],
    shapley_task_service_pb2.DESCRIPTOR.services_by_name["ShapleyTaskService"],
    artifact_service_pb2.DESCRIPTOR.services_by_name["ArtifactService"],
    artifact_upload_service_pb2.DESCRIPTOR.services_by_name["ArtifactUploadService"],
)
"""The services whose idempotent calls are retried."""

MAX_DOWNLOAD_BYTES = 1 << 30
"""The longest artifact that is downloaded unless the caller allows more, in bytes."""


def bearer_metadata(target: str, token: str, *, is_encrypted: bool) -> Metadata:
    """Make the metadata that carries a token.

    Args:
        target: The address that is called.
        token: The token; empty for none.
        is_encrypted: Whether the connection has TLS.

    Returns:
        The metadata; none without a token.

    Raises:
        RefusalError: NOT_SECURE when the token would be sent to another machine in plaintext.
    """
    if not token:
        return ()
    if not is_encrypted and not is_on_loopback(target):
        raise RefusalError(
            NetworkCode.NOT_SECURE,
            f"refused to send the API token to {target} in plaintext: set the TLS files",
            field="token",
        )
    return (("authorization", f"Bearer {token}"),)


class NodeClient(ChainCalls, TransactionCalls, TaskCalls):
    """Every call of a node's API. Use it as an async context manager, or `close` it.

    Hashes and addresses may be given as bytes or as people write them; replies hold the latter.
    Every failure is an `RpcError` that names the node.

    ```
    async with NodeClient("127.0.0.1:7051") as node:
        print((await node.get_status()).height)
    ```
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = DEFAULT_TIMEOUT_S,
        credentials: Credentials | None = None,
        token: str = "",
        proxy: str = "",
    ) -> None:
        """Prepare calls to a node. Nothing is dialled before the first one.

        Args:
            target: `host:port`, `[v6]:port` or `unix:/path`.
            timeout: The deadline of a call with a single reply, in seconds.
            credentials: TLS, or None for plaintext. From a source of credentials, each new call
                uses those of now.
            token: Sent with each call, for nodes whose API has tokens; empty sends none.
            proxy: The HTTP proxy for targets on the Internet, as `http://host:port`; empty for
                none.

        Raises:
            RefusalError: NOT_SECURE when a token would be sent to another machine in plaintext.
        """
        metadata = bearer_metadata(target, token, is_encrypted=credentials is not None)
        channel = open_channel(
            target, credentials=credentials, retried_services=SERVICES, proxy=proxy
        )
        name = describe_target(target, proxy)
        super().__init__(name, channel, timeout=timeout, metadata=metadata)
        self._artifacts = ArtifactClient(self)
        self._uploads = ArtifactUploadClient(self)

    async def upload_artifact(self, data: bytes | Path, prove: Prove | None = None) -> bytes:
        """Store an artifact in the node; see `ArtifactUploadClient.upload`.

        Args:
            data: The content, or the file that holds it.
            prove: Makes a proof, to store it for a private campaign.

        Returns:
            The artifact's id, 32 bytes.

        Raises:
            RpcError: The call failed.
        """
        return await self._uploads.upload(data, prove)

    async def download_artifact(
        self,
        artifact: Hash,
        *,
        max_bytes: int = MAX_DOWNLOAD_BYTES,
        prove: Prove | None = None,
    ) -> bytes:
        """Fetch an artifact from the node; see `ArtifactClient.download`.

        Args:
            artifact: The artifact's id.
            max_bytes: The longest content that is accepted, in bytes.
            prove: Makes a proof, for what the node holds for a private campaign.

        Returns:
            The content, whose hash is the artifact's id.

        Raises:
            RpcError: The call failed.
        """
        id = bytes.fromhex(hash_text(artifact))
        return await self._artifacts.download(id, max_bytes, prove)

    async def has_artifact(self, artifact: Hash) -> bool:
        """Ask whether the node holds a whole artifact.

        Args:
            artifact: The artifact's id.

        Returns:
            True when it does.

        Raises:
            RpcError: The call failed.
        """
        return await self._uploads.has(bytes.fromhex(hash_text(artifact)))
