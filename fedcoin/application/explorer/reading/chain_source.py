"""The calls of a node's public API that the explorer makes."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from fedcoin.v1 import node_service_pb2, shapley_task_service_pb2
from fedcoin.v1.shapley_task_service_pb2 import PaymentProof
from fedcoin.v1.snapshot_pb2 import ValidatorChange
from fedcoin.v1.views_pb2 import (
    AccountView,
    CampaignView,
    PaymentView,
    TaskView,
    TransactionView,
    ValidatorView,
)


class ChainSource(Protocol):
    """A chain that can be read and followed; `NodeClient` is one.

    All hashes and addresses are text, amounts are in sap. Every failure is an `RpcError`,
    except where a method says otherwise.
    """

    async def get_status(self) -> node_service_pb2.GetStatusResponse:
        """Ask for the node's identity, height, supply and power.

        Returns:
            The status.
        """
        ...

    async def get_fees(self) -> node_service_pb2.GetFeesResponse:
        """Ask for fees, deposits and how full the mempool is.

        Returns:
            Fees in sap.
        """
        ...

    async def get_account(self, address: str) -> AccountView:
        """Ask for one account; BAD_ADDRESS for text that is no address.

        Args:
            address: In bech32m.

        Returns:
            The account, amounts in sap.
        """
        ...

    async def list_validators(self, limit: int = 1_000) -> list[ValidatorView]:
        """List the validators of the next height, by address.

        Args:
            limit: How many are read at most.

        Returns:
            The validators, bonds in sap.
        """
        ...

    async def list_block_page(
        self, token: str = "", size: int = 20
    ) -> node_service_pb2.ListBlocksResponse:
        """List one page of blocks, the latest first.

        Args:
            token: `next_page_token` of the page before; empty for the first page.
            size: How many items a page has at most: 1 to 100.

        Returns:
            The page; its `next_page_token` is empty on the last one.
        """
        ...

    async def get_block(self, which: int | str) -> node_service_pb2.GetBlockResponse:
        """Ask for one block by its height or hash, and for its payments.

        Args:
            which: Its height, or its hash in hex.

        Returns:
            The block and its payments.
        """
        ...

    async def get_transaction(self, hash: str) -> TransactionView:
        """Ask for one transaction, pending or in a block.

        Args:
            hash: Its hash in hex.

        Returns:
            The transaction and its state.
        """
        ...

    async def list_pending_transactions(self, limit: int = 500) -> list[TransactionView]:
        """List the transactions that wait for a block, in the order of their arrival.

        Args:
            limit: How many are read at most.

        Returns:
            The transactions.
        """
        ...

    async def list_campaign_page(
        self, token: str = "", size: int = 50
    ) -> shapley_task_service_pb2.ListCampaignsResponse:
        """List one page of campaigns, the latest first.

        Args:
            token: `next_page_token` of the page before; empty for the first page.
            size: How many items a page has at most: 1 to 100.

        Returns:
            The page; its `next_page_token` is empty on the last one.
        """
        ...

    async def get_campaign(self, campaign_id: str) -> CampaignView:
        """Ask for one campaign.

        Args:
            campaign_id: The campaign's id in hex.

        Returns:
            The campaign, amounts in sap.
        """
        ...

    async def list_task_page(
        self,
        campaign: str | None = None,
        *,
        open_only: bool = False,
        token: str = "",
        size: int = 50,
    ) -> shapley_task_service_pb2.ListTasksResponse:
        """List one page of tasks, the latest first.

        Args:
            campaign: Only the tasks of this campaign, by its id in hex; None means of all.
            open_only: Only tasks that are neither settled nor failed.
            token: `next_page_token` of the page before; empty for the first page.
            size: How many items a page has at most: 1 to 100.

        Returns:
            The page; its `next_page_token` is empty on the last one.
        """
        ...

    async def get_task(self, task_id: str) -> TaskView:
        """Ask for one task.

        Args:
            task_id: The task's id in hex.

        Returns:
            The task, amounts in sap.
        """
        ...

    async def list_payments(self, task_id: str) -> list[PaymentView]:
        """List the payments of a task, in the order of its receipts.

        Args:
            task_id: The task's id in hex.

        Returns:
            The payments, amounts in sap.
        """
        ...

    async def get_evidence(
        self, task_id: str, miner: str
    ) -> shapley_task_service_pb2.GetEvidenceResponse:
        """Ask for the transaction in which a miner revealed its evidence.

        Args:
            task_id: The task's id in hex.
            miner: The miner's address, in bech32m.

        Returns:
            The signed transaction and its block's height.
        """
        ...

    async def download_artifact(self, artifact: str, *, max_bytes: int) -> bytes:
        """Fetch an artifact that the node gives to everybody.

        Args:
            artifact: The artifact's id in hex.
            max_bytes: The longest content that is accepted, in bytes.

        Returns:
            The content, whose hash is the artifact's id.

        Raises:
            RefusalError: TOO_LARGE when it is longer; BAD_ARTIFACT or BAD_CHUNK when the node sent
                something else.
        """
        ...

    async def get_payment_proofs(
        self, task_id: bytes | str, address: bytes | str
    ) -> list[PaymentProof]:
        """Ask for the proofs of a task's payments to an address.

        Args:
            task_id: The task's id in hex.
            address: In bech32m.

        Returns:
            One proof for each payment.
        """
        ...

    async def list_validator_changes(self, below_height: int = 0) -> list[ValidatorChange]:
        """List the changes of the validator set below a height; 0 means all.

        Args:
            below_height: Only changes below this height; 0 means all.

        Returns:
            The changes, the lowest first.
        """
        ...

    def watch_events(
        self, from_height: int = 0, *, patience: float = 0.0
    ) -> AsyncGenerator[node_service_pb2.WatchEventsResponse, None]:
        """Watch the events of each block, without gaps.

        Args:
            from_height: The first block; 0 means the next one.
            patience: For how many seconds a lost stream is opened again.

        Yields:
            One message for each block.
        """
        ...
