"""ShapleyTaskService: campaigns, tasks and what they paid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, TypeVar

from google.protobuf.message import Message

from fedcoin.contract.queries import block_queries, payment_queries, task_queries
from fedcoin.contract.queries.pages import Page
from fedcoin.data.errors import RefusalError
from fedcoin.network.api import paging
from fedcoin.network.api.chain_watching import watch_changes
from fedcoin.network.api.request_fields import choose_page_size, parse_address_field, parse_hash
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.kept_history import history_refusal
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.v1 import shapley_task_service_pb2 as pb
from fedcoin.v1.block_pb2 import TASK_PHASE_FAILED, TASK_PHASE_GAVE_WAY, TASK_PHASE_SETTLED
from fedcoin.v1.shapley_task_service_pb2_grpc import ShapleyTaskServiceServicer
from fedcoin.v1.views_pb2 import CampaignView, TaskView

M = TypeVar("M", bound=Message)

PAGE: Final = 50
"""The number of tasks or campaigns in a page by default."""
MAX_PAGE: Final = 100
"""The largest number of tasks or campaigns in a page."""

_OVER: Final = frozenset({TASK_PHASE_SETTLED, TASK_PHASE_FAILED, TASK_PHASE_GAVE_WAY})


class TaskServicer(ShapleyTaskServiceServicer):
    """Serves `shapley_task_service.proto`, which states each method's limits and errors."""

    def __init__(self, chain: ChainPort) -> None:
        """Serve a chain.

        Args:
            chain: The chain of final blocks.
        """
        self._chain = chain

    async def ListTasks(
        self, request: pb.ListTasksRequest, context: CallContext
    ) -> pb.ListTasksResponse:
        """List a page of tasks, the latest first.

        Raises:
            RefusalError: MALFORMED when the campaign id is invalid; BAD_PAGE_TOKEN when this list
                did not make the page token.
        """
        campaign_id = (
            parse_hash(request.campaign_id, "campaign_id") if request.campaign_id else None
        )
        list_name = f"tasks {request.campaign_id.lower()} {request.open_only}"
        size = choose_page_size(request.page_size, default=PAGE, maximum=MAX_PAGE)
        before = paging.decode_location_token(list_name, request.page_token)

        def read() -> tuple[list[TaskView], str]:
            page = task_queries.list_tasks(
                self._chain.store,
                size,
                before,
                campaign_id=campaign_id,
                open_only=request.open_only,
            )
            return _fitting(list_name, page)

        tasks, token = await asyncio.to_thread(read)
        return pb.ListTasksResponse(tasks=tasks, next_page_token=token)

    async def GetTask(self, request: pb.GetTaskRequest, context: CallContext) -> pb.GetTaskResponse:
        """Show a task as it is now.

        Raises:
            RefusalError: MALFORMED when the id is invalid; TASK_NOT_FOUND when there is no such
                task.
        """
        return pb.GetTaskResponse(task=await self._task(parse_hash(request.task_id, "task_id")))

    async def WatchTask(
        self, request: pb.WatchTaskRequest, context: CallContext
    ) -> AsyncGenerator[pb.WatchTaskResponse, None]:
        """Stream a task at once and after each change, until it is closed.

        Raises:
            RefusalError: MALFORMED when the id is invalid; TASK_NOT_FOUND when there is no such
                task.
        """
        task_id = parse_hash(request.task_id, "task_id")
        last: TaskView | None = None
        async for _ in watch_changes(self._chain):
            task = await self._task(task_id)
            if task != last:
                last = task
                yield pb.WatchTaskResponse(task=task)
            if task.phase in _OVER:
                return

    async def ListCampaigns(
        self, request: pb.ListCampaignsRequest, context: CallContext
    ) -> pb.ListCampaignsResponse:
        """List a page of campaigns, the latest first.

        Raises:
            RefusalError: BAD_PAGE_TOKEN when this list did not make the page token.
        """
        size = choose_page_size(request.page_size, default=PAGE, maximum=MAX_PAGE)
        before = paging.decode_location_token("campaigns", request.page_token)

        def read() -> tuple[list[CampaignView], str]:
            page = task_queries.list_campaigns(self._chain.store, size, before)
            return _fitting("campaigns", page)

        campaigns, token = await asyncio.to_thread(read)
        return pb.ListCampaignsResponse(campaigns=campaigns, next_page_token=token)

    async def GetCampaign(
        self, request: pb.GetCampaignRequest, context: CallContext
    ) -> pb.GetCampaignResponse:
        """Show a campaign as it is now.

        Raises:
            RefusalError: MALFORMED when the id is invalid; CAMPAIGN_NOT_FOUND when there is no such
                campaign.
        """
        campaign_id = parse_hash(request.campaign_id, "campaign_id")
        campaign = await asyncio.to_thread(
            task_queries.get_campaign, self._chain.store, campaign_id
        )
        if campaign is None:
            raise _missing(NetworkCode.CAMPAIGN_NOT_FOUND, "campaign", campaign_id)
        return pb.GetCampaignResponse(campaign=campaign)

    async def GetNextRound(
        self, request: pb.GetNextRoundRequest, context: CallContext
    ) -> pb.GetNextRoundResponse:
        """Show what the task of a campaign's next round must hold.

        Raises:
            RefusalError: MALFORMED when the id is invalid; CAMPAIGN_NOT_FOUND when there is no such
                campaign.
        """
        campaign_id = parse_hash(request.campaign_id, "campaign_id")
        found = await asyncio.to_thread(task_queries.get_next_round, self._chain.store, campaign_id)
        if found is None:
            raise _missing(NetworkCode.CAMPAIGN_NOT_FOUND, "campaign", campaign_id)
        return found

    async def ListPayments(
        self, request: pb.ListPaymentsRequest, context: CallContext
    ) -> pb.ListPaymentsResponse:
        """List a task's payments, in the order of its receipts.

        Raises:
            RefusalError: MALFORMED when the id is invalid; TASK_NOT_FOUND when there is no such
                task; HISTORY_NOT_KEPT when the task was closed in a block that the node no longer
                keeps.
        """
        task_id = parse_hash(request.task_id, "task_id")
        self._check_payments_kept(await self._task(task_id))
        payments = await asyncio.to_thread(
            payment_queries.list_task_payments, self._chain.store, task_id
        )
        return pb.ListPaymentsResponse(payments=payments)

    async def GetEvidence(
        self, request: pb.GetEvidenceRequest, context: CallContext
    ) -> pb.GetEvidenceResponse:
        """Show the transaction in which a miner revealed its evidence.

        Raises:
            RefusalError: MALFORMED or BAD_ADDRESS when id or address are invalid; TASK_NOT_FOUND
                when there is no such task; EVIDENCE_NOT_FOUND when the miner revealed none;
                HISTORY_NOT_KEPT when the node no longer keeps the block.
        """
        task_id = parse_hash(request.task_id, "task_id")
        miner = parse_address_field(request.miner, "miner")
        task = await self._task(task_id)
        reveal = await asyncio.to_thread(
            block_queries.find_reveal_transaction, self._chain.store, task_id, miner
        )
        if reveal is None:
            if task.opened_height <= self._chain.store.base_height():
                subject = f"evidence of {request.miner}, if there is any, is not here"
                raise history_refusal(self._chain.store, subject, field="task_id")
            raise RefusalError(
                NetworkCode.EVIDENCE_NOT_FOUND,
                f"miner {request.miner} has not revealed evidence for task {task_id.hex()}",
                field="miner",
            )
        transaction, height = reveal
        return pb.GetEvidenceResponse(transaction=transaction, height=height)

    async def GetPaymentProof(
        self, request: pb.GetPaymentProofRequest, context: CallContext
    ) -> pb.GetPaymentProofResponse:
        """Prove a task's payments to an address.

        Raises:
            RefusalError: MALFORMED or BAD_ADDRESS when id or address are invalid; TASK_NOT_FOUND
                when there is no such task; PAYMENT_NOT_FOUND when the task paid this address
                nothing; HISTORY_NOT_KEPT when the node no longer keeps the block.
        """
        task_id = parse_hash(request.task_id, "task_id")
        address = parse_address_field(request.address, "address")
        self._check_payments_kept(await self._task(task_id))
        proofs = await asyncio.to_thread(
            payment_queries.build_payment_proofs, self._chain.store, task_id, address
        )
        if not proofs:
            raise RefusalError(
                NetworkCode.PAYMENT_NOT_FOUND,
                f"task {task_id.hex()} has not paid {request.address}",
                field="address",
            )
        return pb.GetPaymentProofResponse(proofs=proofs)

    async def _task(self, task_id: bytes) -> TaskView:
        task = await asyncio.to_thread(task_queries.get_task, self._chain.store, task_id)
        if task is None:
            raise _missing(NetworkCode.TASK_NOT_FOUND, "task", task_id)
        return task

    def _check_payments_kept(self, task: TaskView) -> None:
        """Raise HISTORY_NOT_KEPT for a task that was over before the blocks that are kept."""
        store = self._chain.store
        if task.closed_height and task.closed_height <= store.base_height():
            subject = (
                f"the payments of task {task.task_id} in block {task.closed_height} are not here"
            )
            raise history_refusal(store, subject, field="task_id")


def _fitting(list_name: str, page: Page[M]) -> tuple[list[M], str]:
    """Cut a page to what fits into a reply, and make the token of the next one."""
    views, last = paging.fit_page(page.items, len(page.items))
    location = page.next if last is None else page.locations[len(views) - 1]
    return views, paging.encode_location_token(list_name, location)


def _missing(code: NetworkCode, kind: str, id: bytes) -> RefusalError:
    return RefusalError(code, f"there is no {kind} {id.hex()}", field=f"{kind}_id")
