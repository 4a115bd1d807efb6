"""The API's two listeners: TCP for everybody, a Unix socket for the operator."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import grpc

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.network.api.admin_servicer import AdminServicer
from fedcoin.network.api.backend import NodeFacts, OperatorPort
from fedcoin.network.api.node_servicer import NodeServicer
from fedcoin.network.api.task_servicer import TaskServicer
from fedcoin.network.api.transaction_servicer import TransactionServicer
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.listener import Listener, Service
from fedcoin.network.ports import ChainPort, Peers, TransactionPort
from fedcoin.v1 import (
    admin_service_pb2_grpc,
    artifact_service_pb2_grpc,
    node_service_pb2_grpc,
    shapley_task_service_pb2_grpc,
    transaction_service_pb2_grpc,
)


@dataclass(frozen=True, slots=True)
class Backend:
    """What stands behind the API."""

    chain: ChainPort
    pool: TransactionPort
    peers: Peers
    artifacts: ArtifactStore
    node: NodeFacts
    operator: OperatorPort


class ApiServer:
    """Serves a node's API on ``listen`` (host:port), and its operator on the socket ``admin``.

    Further services (a coordinator's, say) may share the API's listener. In order: `start`,
    `serving` once the node works, `stop`.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        listen: str,
        admin: Path | None,
        credentials: grpc.ServerCredentials | None = None,
        limits: CallLimits | None = None,
        further: tuple[Service, ...] = (),
    ) -> None:
        services = (*api_services(backend), *further)
        self._api = Listener(listen, services, limits=limits, credentials=credentials)
        self._listeners = [self._api]
        if admin is not None:
            self._listeners.append(Listener(f"unix:{admin}", [admin_service(backend)]))

    @property
    def address(self) -> str:
        """host:port of the API, with the real port."""
        return self._api.address

    async def start(self) -> None:
        """Bind and answer; health says NOT_SERVING. Refusal PORT_IN_USE, BAD_HOST, BAD_PATH."""
        for listener in self._listeners:
            await listener.start()

    async def set_serving(self) -> None:
        """Everything behind the API works: health says SERVING."""
        for listener in self._listeners:
            await listener.set_serving()

    async def stop(self, grace: float = 1.0) -> None:
        """Say NOT_SERVING, end streams, let calls finish, and close; also after a failed start."""
        await asyncio.gather(*(listener.stop(grace) for listener in self._listeners))


def api_services(backend: Backend) -> tuple[Service, ...]:
    """The services of the API's listener."""
    node = NodeServicer(backend.chain, backend.pool, backend.peers, backend.node)
    tasks = TaskServicer(backend.chain)
    transactions = TransactionServicer(backend.chain, backend.pool)
    artifacts = ArtifactServicer(backend.artifacts, uploads=True)

    def add_node(server: grpc.aio.Server) -> None:
        node_service_pb2_grpc.add_NodeServiceServicer_to_server(node, server)

    def add_tasks(server: grpc.aio.Server) -> None:
        shapley_task_service_pb2_grpc.add_ShapleyTaskServiceServicer_to_server(tasks, server)

    def add_transactions(server: grpc.aio.Server) -> None:
        transaction_service_pb2_grpc.add_TransactionServiceServicer_to_server(transactions, server)

    def add_artifacts(server: grpc.aio.Server) -> None:
        artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(artifacts, server)

    return (
        Service("fedcoin.v1.NodeService", add_node),
        Service("fedcoin.v1.ShapleyTaskService", add_tasks),
        Service("fedcoin.v1.TransactionService", add_transactions),
        Service("fedcoin.v1.ArtifactService", add_artifacts),
    )


def admin_service(backend: Backend) -> Service:
    """The operator's service."""
    servicer = AdminServicer(backend.chain, backend.peers, backend.operator)

    def add(server: grpc.aio.Server) -> None:
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(servicer, server)

    return Service("fedcoin.v1.AdminService", add)
