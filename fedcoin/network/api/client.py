"""The other end of the API: a typed client for a node, and one for its operator.

Hashes and addresses may be given as bytes or as people write them, and come back as the
views have them. Every failure is an :class:`~fedcoin.network.api.failure.RpcFailure` that
names the host.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import TypeAlias

import grpc
from grpc import StatusCode

from fedcoin.data.crypto.addresses import format_address
from fedcoin.network.api.artifact_client import ArtifactClient
from fedcoin.network.api.failure import RpcError
from fedcoin.network.api.link import Link, resumed
from fedcoin.network.tasks import within
from fedcoin.v1 import (
    admin_service_pb2,
    admin_service_pb2_grpc,
    node_service_pb2,
    node_service_pb2_grpc,
    shapley_task_service_pb2,
    shapley_task_service_pb2_grpc,
    transaction_service_pb2,
    transaction_service_pb2_grpc,
    views_pb2,
)
from fedcoin.v1.snapshot_pb2 import ValidatorChange

Hash: TypeAlias = bytes | str
"""32 bytes, or 64 hex digits."""

Address: TypeAlias = bytes | str
"""20 bytes, or bech32m."""

PATIENCE = 30.0
"""How long, in seconds, a stream that was lost is opened again before it fails."""

AUDIT_SECONDS = 60.0
"""A node may look into a transaction (recompute a task's leaves) before it takes it."""


class NodeClient(Link):
    """Everything that a node's API offers; see `Link` for its arguments.

    >>> async with NodeClient("127.0.0.1:7051") as node:
    ...     print((await node.status()).height)
    """

    def __init__(
        self,
        target: str,
        *,
        timeout: float = 15.0,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        super().__init__(target, timeout=timeout, credentials=credentials)
        self._node = node_service_pb2_grpc.NodeServiceStub(self.channel)
        self._tasks = shapley_task_service_pb2_grpc.ShapleyTaskServiceStub(self.channel)
        self._transactions = transaction_service_pb2_grpc.TransactionServiceStub(self.channel)
        self._artifacts = ArtifactClient(self)

    # --- the node and its chain ---

    async def status(self) -> node_service_pb2.GetStatusResponse:
        """The node: identity, height, peers, memory."""
        return await self.call(self._node.GetStatus, node_service_pb2.GetStatusRequest())

    async def version(self) -> node_service_pb2.GetVersionResponse:
        """The program's and the protocol's version."""
        return await self.call(self._node.GetVersion, node_service_pb2.GetVersionRequest())

    async def account(self, address: Address) -> views_pb2.AccountView:
        """One account; its nonce is that of the next transaction, pending ones counted."""
        request = node_service_pb2.GetAccountRequest(address=written_address(address))
        return (await self.call(self._node.GetAccount, request)).account

    async def validators(self, limit: int = 1_000) -> list[views_pb2.ValidatorView]:
        """The validators of the next height, by address."""
        request = node_service_pb2.ListValidatorsRequest()
        return await self.pages(self._node.ListValidators, request, "validators", limit)

    async def validator_changes(
        self, below_height: int = 0, limit: int = 1_000_000
    ) -> list[ValidatorChange]:
        """The blocks (below a height) after which others decided; `api.proof_file` checks them."""
        request = node_service_pb2.ListValidatorChangesRequest(below_height=below_height)
        return await self.pages(self._node.ListValidatorChanges, request, "changes", limit)

    async def block(self, which: int | Hash) -> node_service_pb2.GetBlockResponse:
        """One block by its height or hash, with what it paid. RpcFailure BLOCK_NOT_FOUND."""
        request = (
            node_service_pb2.GetBlockRequest(height=which)
            if isinstance(which, int)
            else node_service_pb2.GetBlockRequest(hash=written_hash(which))
        )
        return await self.call(self._node.GetBlock, request)

    async def blocks(self, limit: int = 20) -> list[views_pb2.BlockView]:
        """The latest blocks, the latest first."""
        request = node_service_pb2.ListBlocksRequest()
        return await self.pages(self._node.ListBlocks, request, "blocks", limit)

    async def fees(self) -> node_service_pb2.GetFeesResponse:
        """What a transaction has to pay."""
        return await self.call(self._node.GetFees, node_service_pb2.GetFeesRequest())

    async def peers(self) -> list[node_service_pb2.ConnectedPeer]:
        """The peers of the node, by address."""
        request = node_service_pb2.ListConnectedPeersRequest()
        return list((await self.call(self._node.ListConnectedPeers, request)).peers)

    async def events(
        self, from_height: int = 0, *, patience: float = PATIENCE
    ) -> AsyncGenerator[node_service_pb2.WatchEventsResponse, None]:
        """Each block's events from a height on, without end and without a gap.

        0 means from the next block on. Goes on by itself where a lost connection left off.
        """
        wanted = from_height or (await self.status()).height + 1

        def again() -> AsyncGenerator[node_service_pb2.WatchEventsResponse, None]:
            request = node_service_pb2.WatchEventsRequest(from_height=wanted)
            return self.stream(self._node.WatchEvents, request)

        async for event in resumed(again, patience):
            wanted = event.block.height + 1
            yield event

    # --- transactions ---

    async def submit(self, raw: bytes) -> str:
        """Hand in a serialised SignedTransaction; its hash in hex.

        Saying it twice is the same as once. RpcFailure with the ledger's code when it is
        refused, MALFORMED when the bytes are no SignedTransaction.
        """
        request = transaction_service_pb2.SubmitTransactionRequest(transaction=raw)
        reply = await self.call(
            self._transactions.SubmitTransaction, request, timeout=AUDIT_SECONDS
        )
        return reply.hash

    async def transaction(self, hash: Hash) -> views_pb2.TransactionView:
        """One transaction, pending or in a block. RpcFailure TRANSACTION_NOT_FOUND."""
        request = transaction_service_pb2.GetTransactionRequest(hash=written_hash(hash))
        return (await self.call(self._transactions.GetTransaction, request)).transaction

    async def pending(self, limit: int = 500) -> list[views_pb2.TransactionView]:
        """What waits for a block, in the order of arrival."""
        request = transaction_service_pb2.ListPendingTransactionsRequest()
        method = self._transactions.ListPendingTransactions
        return await self.pages(method, request, "transactions", limit)

    async def watch_transaction(
        self, hash: Hash, *, patience: float = PATIENCE
    ) -> AsyncGenerator[views_pb2.TransactionView, None]:
        """A transaction at once and on each change, until it is final or dropped."""
        request = transaction_service_pb2.WatchTransactionRequest(hash=written_hash(hash))

        def again() -> AsyncGenerator[transaction_service_pb2.WatchTransactionResponse, None]:
            return self.stream(self._transactions.WatchTransaction, request)

        async for reply in resumed(again, patience):
            yield reply.transaction

    async def wait_final(self, hash: Hash, timeout: float = 60.0) -> views_pb2.TransactionView:
        """Wait until a transaction is in a final block, across lost connections.

        RpcFailure: DROPPED with the reason when it can no longer become final, TIMED_OUT
        after `timeout` seconds.
        """
        try:
            last = await within(timeout, self._last_state(hash, timeout))
        except asyncio.TimeoutError:
            message = f"transaction {written_hash(hash)} is not final after {timeout:g} s"
            raise RpcError(
                StatusCode.DEADLINE_EXCEEDED, "TIMED_OUT", message, target=self.target
            ) from None
        if last.status != views_pb2.TRANSACTION_STATUS_FINAL:
            message = f"transaction {last.hash} was dropped: {last.reason}"
            raise RpcError(StatusCode.FAILED_PRECONDITION, "DROPPED", message, target=self.target)
        return last

    async def _last_state(self, hash: Hash, patience: float) -> views_pb2.TransactionView:
        last = views_pb2.TransactionView(hash=written_hash(hash))
        async for view in self.watch_transaction(hash, patience=patience):
            last = view
        return last

    # --- campaigns, tasks and what they paid ---

    async def tasks(
        self, campaign: Hash | None = None, *, open_only: bool = False, limit: int = 50
    ) -> list[views_pb2.TaskView]:
        """Tasks, the latest first; of one campaign, or of all."""
        request = shapley_task_service_pb2.ListTasksRequest(
            campaign_id="" if campaign is None else written_hash(campaign), open_only=open_only
        )
        return await self.pages(self._tasks.ListTasks, request, "tasks", limit)

    async def task(self, task_id: Hash) -> views_pb2.TaskView:
        """One task as it stands. RpcFailure TASK_NOT_FOUND."""
        request = shapley_task_service_pb2.GetTaskRequest(task_id=written_hash(task_id))
        return (await self.call(self._tasks.GetTask, request)).task

    async def watch_task(
        self, task_id: Hash, *, patience: float = PATIENCE
    ) -> AsyncGenerator[views_pb2.TaskView, None]:
        """A task at once and after each change, until it is settled or failed."""
        request = shapley_task_service_pb2.WatchTaskRequest(task_id=written_hash(task_id))

        def again() -> AsyncGenerator[shapley_task_service_pb2.WatchTaskResponse, None]:
            return self.stream(self._tasks.WatchTask, request)

        async for reply in resumed(again, patience):
            yield reply.task

    async def campaigns(self, limit: int = 50) -> list[views_pb2.CampaignView]:
        """Campaigns, the latest first."""
        request = shapley_task_service_pb2.ListCampaignsRequest()
        return await self.pages(self._tasks.ListCampaigns, request, "campaigns", limit)

    async def campaign(self, campaign_id: Hash) -> views_pb2.CampaignView:
        """One campaign as it stands. RpcFailure CAMPAIGN_NOT_FOUND."""
        request = shapley_task_service_pb2.GetCampaignRequest(campaign_id=written_hash(campaign_id))
        return (await self.call(self._tasks.GetCampaign, request)).campaign

    async def payments(self, task_id: Hash) -> list[views_pb2.PaymentView]:
        """What a task paid, in order; empty before it is settled or failed."""
        request = shapley_task_service_pb2.ListPaymentsRequest(task_id=written_hash(task_id))
        return list((await self.call(self._tasks.ListPayments, request)).payments)

    async def payment_proof(
        self, task_id: Hash, address: Address
    ) -> list[shapley_task_service_pb2.PaymentProof]:
        """One proof for each payment of a task to an address; `api.proofs` checks them."""
        request = shapley_task_service_pb2.GetPaymentProofRequest(
            task_id=written_hash(task_id), address=written_address(address)
        )
        return list((await self.call(self._tasks.GetPaymentProof, request)).proofs)

    async def evidence(
        self, task_id: Hash, miner: Address
    ) -> shapley_task_service_pb2.GetEvidenceResponse:
        """The transaction in which a miner revealed its evidence, and its height."""
        request = shapley_task_service_pb2.GetEvidenceRequest(
            task_id=written_hash(task_id), miner=written_address(miner)
        )
        return await self.call(self._tasks.GetEvidence, request)

    # --- artifacts ---

    async def upload(self, data: bytes | Path) -> bytes:
        """Store some bytes, or a file's, in the node; their artifact id (32 bytes).

        Goes on where an earlier upload broke off, and sends nothing when it is there already.
        """
        return await self._artifacts.upload(data)

    async def download(self, artifact: Hash, *, max_bytes: int = 1 << 30) -> bytes:
        """The bytes of an artifact, each chunk checked as it arrives."""
        return await self._artifacts.download(bytes.fromhex(written_hash(artifact)), max_bytes)

    async def has_artifact(self, artifact: Hash) -> bool:
        """True when the node holds the whole artifact."""
        return await self._artifacts.has(bytes.fromhex(written_hash(artifact)))


class AdminClient(Link):
    """What the operator asks of a node over its Unix socket (``unix:/path``)."""

    def __init__(self, target: str, *, timeout: float = 60.0) -> None:
        super().__init__(target, timeout=timeout)
        self._admin = admin_service_pb2_grpc.AdminServiceStub(self.channel)

    async def add_peer(self, address: str) -> str:
        """Dial host:port and keep it in the address book; its node key in hex."""
        request = admin_service_pb2.AddPeerRequest(address=address)
        return (await self.call(self._admin.AddPeer, request)).node_key

    async def drop_peer(self, node_key: Hash) -> None:
        """Hang up on a peer. RpcFailure PEER_NOT_CONNECTED."""
        request = admin_service_pb2.DropPeerRequest(node_key=written_hash(node_key))
        await self.call(self._admin.DropPeer, request)

    async def ban_peer(self, node_key: Hash, seconds: int = 0) -> None:
        """Hang up on a peer and refuse it for a time; 0 means an hour."""
        request = admin_service_pb2.BanPeerRequest(node_key=written_hash(node_key), seconds=seconds)
        await self.call(self._admin.BanPeer, request)

    async def set_log_level(self, level: str) -> None:
        """One of "debug", "info", "warning", "error"."""
        request = admin_service_pb2.SetLogLevelRequest(level=level)
        await self.call(self._admin.SetLogLevel, request)

    async def backup(self, path: Path) -> admin_service_pb2.BackupResponse:
        """Copy the chain's database to a file on the node's machine; its height and size."""
        request = admin_service_pb2.BackupRequest(path=str(path))
        return await self.call(self._admin.Backup, request, timeout=600.0)

    async def stop(self) -> None:
        """Stop the node cleanly; returns once it has begun."""
        await self.call(self._admin.Stop, admin_service_pb2.StopRequest())


def written_hash(value: Hash) -> str:
    """A hash or key as the API takes it: lower-case hex."""
    return value.hex() if isinstance(value, bytes) else value.strip().lower()


def written_address(value: Address) -> str:
    """An address as the API takes it: bech32m."""
    return format_address(value) if isinstance(value, bytes) else value.strip()
