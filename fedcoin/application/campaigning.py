"""The coordinator within a node: a campaign run against the node's own API and artifacts."""

from __future__ import annotations

import logging
from pathlib import Path

import grpc

from fedcoin.application.config import NodeConfig, TlsConfig
from fedcoin.application.coordinator import Coordinator
from fedcoin.application.home import Home
from fedcoin.application.settings import split_address
from fedcoin.data.artifact_store import ArtifactStore
from fedcoin.data.errors import Refusal
from fedcoin.learning.errors import WorkerFailed
from fedcoin.network.api.client import NodeClient
from fedcoin.network.api.failure import RpcFailure

log = logging.getLogger(__name__)

WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


async def run_campaign(
    config: NodeConfig, home: Home, api_address: str, artifacts: ArtifactStore
) -> None:
    """Runs the home's campaign to its end, going on where it was.

    Raises :class:`Refusal` when it cannot begin. A campaign that fails later is told in the log,
    and the node works on.
    """
    target, tls = reachable(api_address), config.tls
    async with NodeClient(target, credentials=client_credentials(tls)) as client:
        coordinator = Coordinator(
            config.coordinator,
            home.key(config.coordinator.key),
            client,
            artifacts,
            home.coordinator_path,
            credentials=server_credentials(tls),
        )
        await coordinator.start()
        try:
            await coordinator.run()
            log.info("the campaign is finished")
        except (Refusal, RpcFailure, WorkerFailed) as failure:
            log.error("the campaign ended: %s", failure)
        finally:
            await coordinator.stop()


def reachable(listen: str) -> str:
    """An address on which this machine reaches a listener of its own."""
    host, port = split_address(listen)
    return f"{WILDCARDS.get(host, f'[{host}]' if ':' in host else host)}:{port}"


def server_credentials(tls: TlsConfig) -> grpc.ServerCredentials | None:
    """What a listener shows its callers, and asks of them; None for plaintext."""
    if not tls.enabled:
        return None
    pair = (Path(tls.private_key).read_bytes(), Path(tls.certificate).read_bytes())
    return grpc.ssl_server_credentials(
        [pair], root_certificates=Path(tls.authority).read_bytes(), require_client_auth=True
    )


def client_credentials(tls: TlsConfig) -> grpc.ChannelCredentials | None:
    """What a caller shows a listener; None for plaintext."""
    if not tls.enabled:
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=Path(tls.authority).read_bytes(),
        private_key=Path(tls.private_key).read_bytes(),
        certificate_chain=Path(tls.certificate).read_bytes(),
    )
