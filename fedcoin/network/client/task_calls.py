"""Calls of ShapleyTaskService: campaigns, tasks and what they paid."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from functools import cached_property
from typing import TYPE_CHECKING

from fedcoin.network.client.chain_calls import (
    PATIENCE_S,
    Address,
    Hash,
    address_text,
    hash_text,
)
from fedcoin.network.client.grpc_client import GrpcClient, resume_stream
from fedcoin.v1 import shapley_task_service_pb2 as pb
from fedcoin.v1.shapley_task_service_pb2_grpc import ShapleyTaskServiceStub
from fedcoin.v1.views_pb2 import CampaignView, PaymentView, TaskView

if TYPE_CHECKING:
    from fedcoin.v1.shapley_task_service_pb2_grpc import ShapleyTaskServiceAsyncStub


class TaskCalls(GrpcClient):
    """The part of `NodeClient` that reads and follows campaigns and tasks."""

    @cached_property
    def _tasks(self) -> ShapleyTaskServiceAsyncStub:
        return ShapleyTaskServiceStub(self.channel)

    async def list_tasks(
        self, campaign: Hash | None = None, *, open_only: bool = False, limit: int = 50
    ) -> list[TaskView]:
        """List tasks, the latest first.

        Args:
            campaign: Only the tasks of this campaign; None means of all.
            open_only: Only tasks that are neither settled nor failed.
            limit: How many to read at most.

        Returns:
            The tasks, amounts in sap.

        Raises:
            RpcError: The call failed.
        """
        request = pb.ListTasksRequest(
            campaign_id="" if campaign is None else hash_text(campaign), open_only=open_only
        )
        return await self.list_all(self._tasks.ListTasks, request, "tasks", limit)

    async def list_task_page(
        self,
        campaign: Hash | None = None,
        *,
        open_only: bool = False,
        token: str = "",
        size: int = 50,
    ) -> pb.ListTasksResponse:
        """List one page of tasks, the latest first.

        Args:
            campaign: Only the tasks of this campaign; None means of all.
            open_only: Only tasks that are neither settled nor failed.
            token: `next_page_token` of the page before; empty for the first page.
            size: How many tasks a page has at most: 1 to 100. Large ones may be fewer.

        Returns:
            The page, amounts in sap; its `next_page_token` is empty on the last one.

        Raises:
            RpcError: BAD_PAGE_TOKEN when this list did not give the token, or the call failed.
        """
        request = pb.ListTasksRequest(
            campaign_id="" if campaign is None else hash_text(campaign),
            open_only=open_only,
            page_token=token,
            page_size=size,
        )
        return await self.call(self._tasks.ListTasks, request)

    async def get_task(self, task_id: Hash) -> TaskView:
        """Ask for one task.

        Args:
            task_id: The hash of the transaction that opened it.

        Returns:
            The task as it is now.

        Raises:
            RpcError: TASK_NOT_FOUND when there is no such task, or the call failed.
        """
        request = pb.GetTaskRequest(task_id=hash_text(task_id))
        return (await self.call(self._tasks.GetTask, request)).task

    async def watch_task(
        self, task_id: Hash, *, patience: float = PATIENCE_S
    ) -> AsyncGenerator[TaskView, None]:
        """Watch a task until it is settled or failed.

        Args:
            task_id: The hash of the transaction that opened it.
            patience: For how many seconds without a reply a lost stream is opened again.

        Yields:
            The task as it is now, then after each change.

        Raises:
            RpcError: TASK_NOT_FOUND when there is no such task, or the node could not be reached
                for `patience` seconds.
        """
        request = pb.WatchTaskRequest(task_id=hash_text(task_id))

        def open_stream() -> AsyncGenerator[pb.WatchTaskResponse, None]:
            return self.stream(self._tasks.WatchTask, request)

        async for reply in resume_stream(open_stream, patience):
            yield reply.task

    async def list_campaigns(self, limit: int = 50) -> list[CampaignView]:
        """List campaigns, the latest first.

        Args:
            limit: How many to read at most.

        Returns:
            The campaigns, budgets in sap.

        Raises:
            RpcError: The call failed.
        """
        request = pb.ListCampaignsRequest()
        return await self.list_all(self._tasks.ListCampaigns, request, "campaigns", limit)

    async def list_campaign_page(self, token: str = "", size: int = 50) -> pb.ListCampaignsResponse:
        """List one page of campaigns, the latest first.

        Args:
            token: `next_page_token` of the page before; empty for the first page.
            size: How many campaigns a page has at most: 1 to 100.

        Returns:
            The page, budgets in sap; its `next_page_token` is empty on the last one.

        Raises:
            RpcError: BAD_PAGE_TOKEN when this list did not give the token, or the call failed.
        """
        request = pb.ListCampaignsRequest(page_token=token, page_size=size)
        return await self.call(self._tasks.ListCampaigns, request)

    async def get_campaign(self, campaign_id: Hash) -> CampaignView:
        """Ask for one campaign.

        Args:
            campaign_id: The hash of the transaction that opened it.

        Returns:
            The campaign as it is now, its budget in sap.

        Raises:
            RpcError: CAMPAIGN_NOT_FOUND when there is no such campaign, or the call failed.
        """
        request = pb.GetCampaignRequest(campaign_id=hash_text(campaign_id))
        return (await self.call(self._tasks.GetCampaign, request)).campaign

    async def get_next_round(self, campaign_id: Hash) -> pb.GetNextRoundResponse:
        """Ask what the task of a campaign's next round must hold.

        Args:
            campaign_id: The hash of the transaction that opened the campaign.

        Returns:
            Registered updates, prices in sap, and the last evaluation shard.

        Raises:
            RpcError: CAMPAIGN_NOT_FOUND when there is no such campaign, or the call failed.
        """
        request = pb.GetNextRoundRequest(campaign_id=hash_text(campaign_id))
        return await self.call(self._tasks.GetNextRound, request)

    async def list_payments(self, task_id: Hash) -> list[PaymentView]:
        """List the payments of a task, in the order of its receipts.

        Args:
            task_id: The hash of the transaction that opened the task.

        Returns:
            The payments, amounts in sap; none before the task is settled or failed.

        Raises:
            RpcError: TASK_NOT_FOUND when there is no such task; HISTORY_NOT_KEPT when the task was
                over before the snapshot that the node began from; or the call failed.
        """
        request = pb.ListPaymentsRequest(task_id=hash_text(task_id))
        return list((await self.call(self._tasks.ListPayments, request)).payments)

    async def get_payment_proofs(self, task_id: Hash, address: Address) -> list[pb.PaymentProof]:
        """Ask for the proofs of a task's payments to an address.

        Args:
            task_id: The hash of the transaction that opened the task.
            address: The account that was paid.

        Returns:
            One proof for each payment. `application.verification.payment_proof` checks them.

        Raises:
            RpcError: PAYMENT_NOT_FOUND when the task paid this address nothing; TASK_NOT_FOUND when
                there is no such task; HISTORY_NOT_KEPT when the node does not keep the block; or
                the call failed.
        """
        request = pb.GetPaymentProofRequest(
            task_id=hash_text(task_id), address=address_text(address)
        )
        return list((await self.call(self._tasks.GetPaymentProof, request)).proofs)

    async def get_evidence(self, task_id: Hash, miner: Address) -> pb.GetEvidenceResponse:
        """Ask for the transaction in which a miner revealed its evidence.

        Args:
            task_id: The hash of the transaction that opened the task.
            miner: The miner's address.

        Returns:
            The signed transaction and its block's height.

        Raises:
            RpcError: EVIDENCE_NOT_FOUND when the miner did not reveal; TASK_NOT_FOUND when there is
                no such task; HISTORY_NOT_KEPT when the node does not keep the block; or the call
                failed.
        """
        request = pb.GetEvidenceRequest(task_id=hash_text(task_id), miner=address_text(miner))
        return await self.call(self._tasks.GetEvidence, request)
