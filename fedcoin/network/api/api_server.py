"""The API's two listeners: TCP for all callers, and a Unix socket for the operator."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc

from fedcoin.network.api.admin_servicer import AdminServicer
from fedcoin.network.api.api_tokens import TokenFile
from fedcoin.network.api.backend import ApiBackend
from fedcoin.network.api.backup_targets import AnyPath, BackupTargets, FolderTargets
from fedcoin.network.api.node_servicer import NodeServicer
from fedcoin.network.api.permissions import ApiRole
from fedcoin.network.api.task_servicer import TaskServicer
from fedcoin.network.api.token_guard import TokenGuard
from fedcoin.network.api.transaction_servicer import TransactionServicer
from fedcoin.network.artifacts.artifact_admission import ChainAdmission
from fedcoin.network.artifacts.servicer import ArtifactServicer
from fedcoin.network.artifacts.upload_servicer import ArtifactUploadServicer
from fedcoin.network.background_tasks import FailureListener
from fedcoin.network.call_limits import CallLimits
from fedcoin.network.host_groups import is_on_loopback
from fedcoin.network.listener import Listener, Service
from fedcoin.v1 import (
    admin_service_pb2_grpc,
    artifact_service_pb2_grpc,
    artifact_upload_service_pb2_grpc,
    node_service_pb2_grpc,
    shapley_task_service_pb2_grpc,
    transaction_service_pb2_grpc,
)


class ApiServer:
    """The listeners of a node's API.

    Call in this order: `start`; `set_serving` when the node works; `stop`.
    """

    def __init__(
        self,
        backend: ApiBackend,
        *,
        listen: str,
        admin: Path | None,
        credentials: grpc.ServerCredentials | None = None,
        limits: CallLimits | None = None,
        tokens: Path | None = None,
        backups: Path | None = None,
    ) -> None:
        """Prepare the listeners; nothing is bound yet.

        Args:
            backend: The parts of the node that the servicers use.
            listen: `host:port` of the API; port 0 takes a free one.
            admin: The path of the operator's Unix socket; None opens none.
            credentials: The API's TLS, or None for plaintext.
            limits: The limits on calls of the API; None takes the default limits.
            tokens: The file of the API's tokens, which may be missing; with None, calls need no
                token.
            backups: The folder for backups that bearers of an admin's token ask for; None allows
                none. Callers of the operator's socket may name any path.

        Raises:
            OSError: The file of tokens cannot be read.
            RefusalError: BAD_TOKEN_FILE when it is malformed.
        """
        services = _api_services(backend, limits)
        self._guard: TokenGuard | None = None
        if tokens is not None:
            known = TokenFile(tokens)
            is_private = credentials is not None or is_on_loopback(listen)
            self._guard = TokenGuard(known, is_private=is_private)
            if any(token.role is ApiRole.ADMIN for token in known.current() or ()):
                services = (*services, _admin_service(backend, FolderTargets(backups)))
        guards = [] if self._guard is None else [self._guard]
        self._api = Listener(
            listen,
            services,
            setting="api.listen",
            limits=limits,
            credentials=credentials,
            guards=guards,
        )
        self._listeners = [self._api]
        if admin is not None:
            self._listeners.append(Listener(f"unix:{admin}", [_admin_service(backend, AnyPath())]))

    @property
    def address(self) -> str:
        """`host:port` of the API, with the real port once it has started."""
        return self._api.address

    @property
    def own_token(self) -> str:
        """A token for callers in this process; empty when calls need no token."""
        return "" if self._guard is None else self._guard.own_token

    def on_failure(self, listener: FailureListener) -> None:
        """Have a function called for each call that failed by a fault of this program or machine.

        Args:
            listener: Called with the method's name, the exception and False.
        """
        for one in self._listeners:
            one.on_failure(listener)

    async def start(self) -> None:
        """Bind and begin to answer; health says NOT_SERVING.

        Raises:
            RefusalError: BAD_HOST when `listen` is not `host:port`; PORT_IN_USE when it cannot be
                bound; BAD_PATH when the socket's path is longer than the system allows; NOT_SECURE
                when there are tokens that others could read on their way.
        """
        if self._guard is not None:
            self._guard.check_start()
        for listener in self._listeners:
            await listener.start()

    async def set_serving(self) -> None:
        """Have the health services say SERVING."""
        for listener in self._listeners:
            await listener.set_serving()

    async def set_voting(self, is_voting: bool) -> None:
        """Have the health services say SERVING, or NOT_SERVING while a vote is overdue.

        Args:
            is_voting: False while a vote is overdue.
        """
        for listener in self._listeners:
            await listener.set_voting(is_voting)

    async def set_not_serving(self) -> None:
        """Have the health services answer NOT_SERVING until the process ends.

        For a node that is about to stop: load balancers then send it no further calls.
        """
        for listener in self._listeners:
            await listener.set_not_serving()

    async def stop(self, grace: float = 1.0) -> None:
        """Say NOT_SERVING, end streams, let calls finish, and close; also after a failed start.

        Args:
            grace: How long calls may take to finish, in seconds.
        """
        await asyncio.gather(*(listener.stop(grace) for listener in self._listeners))


def _api_services(backend: ApiBackend, limits: CallLimits | None) -> tuple[Service, ...]:
    node = NodeServicer(backend.chain, backend.pool, backend.peers, backend.node)
    tasks = TaskServicer(backend.chain)
    transactions = TransactionServicer(backend.chain, backend.pool, limits)
    store = backend.artifacts
    admission = ChainAdmission(store, backend.chain, backend.node.node_key)
    artifacts = ArtifactServicer(store, admission)
    uploads = ArtifactUploadServicer(store, admission=admission)

    def add_node(server: grpc.aio.Server) -> None:
        node_service_pb2_grpc.add_NodeServiceServicer_to_server(node, server)

    def add_tasks(server: grpc.aio.Server) -> None:
        shapley_task_service_pb2_grpc.add_ShapleyTaskServiceServicer_to_server(tasks, server)

    def add_transactions(server: grpc.aio.Server) -> None:
        transaction_service_pb2_grpc.add_TransactionServiceServicer_to_server(transactions, server)

    def add_artifacts(server: grpc.aio.Server) -> None:
        artifact_service_pb2_grpc.add_ArtifactServiceServicer_to_server(artifacts, server)

    def add_uploads(server: grpc.aio.Server) -> None:
        add = artifact_upload_service_pb2_grpc.add_ArtifactUploadServiceServicer_to_server
        add(uploads, server)

    return (
        Service("fedcoin.v1.NodeService", add_node),
        Service("fedcoin.v1.ShapleyTaskService", add_tasks),
        Service("fedcoin.v1.TransactionService", add_transactions),
        Service("fedcoin.v1.ArtifactService", add_artifacts),
        Service("fedcoin.v1.ArtifactUploadService", add_uploads),
    )


def _admin_service(backend: ApiBackend, targets: BackupTargets) -> Service:
    servicer = AdminServicer(backend.chain, backend.peers, backend.operator, targets)

    def add(server: grpc.aio.Server) -> None:
        admin_service_pb2_grpc.add_AdminServiceServicer_to_server(servicer, server)

    return Service("fedcoin.v1.AdminService", add)
