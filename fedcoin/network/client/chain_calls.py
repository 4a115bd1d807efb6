"""Calls of NodeService: the node and its chain."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from fedcoin.data.crypto.addresses import format_address
from fedcoin.network.client.grpc_client import GrpcClient, resume_stream
from fedcoin.v1 import node_service_pb2 as pb
from fedcoin.v1.node_service_pb2_grpc import NodeServiceStub
from fedcoin.v1.snapshot_pb2 import ValidatorChange
from fedcoin.v1.views_pb2 import AccountView, BlockView, ValidatorView

if TYPE_CHECKING:
    from fedcoin.v1.node_service_pb2_grpc import NodeServiceAsyncStub

Hash: TypeAlias = bytes | str
"""A SHA-256 hash or Ed25519 public key: 32 bytes, or 64 hex digits."""

Address: TypeAlias = bytes | str
"""An account's address: 20 bytes, or bech32m."""

PATIENCE_S = 30.0
"""For how many seconds without a reply a lost stream is opened again."""


class ChainCalls(GrpcClient):
    """The part of `NodeClient` that reads the node and its chain."""

    @cached_property
    def _node(self) -> NodeServiceAsyncStub:
        return NodeServiceStub(self.channel)

    async def get_status(self) -> pb.GetStatusResponse:
        """Ask for the node's identity, height, peers and memory.

        Returns:
            The status; its fields are described in `node_service.proto`.

        Raises:
            RpcError: The call failed.
        """
        return await self.call(self._node.GetStatus, pb.GetStatusRequest())

    async def get_version(self) -> pb.GetVersionResponse:
        """Ask for the versions of the program and of the peers' protocol.

        Returns:
            Both versions.

        Raises:
            RpcError: The call failed.
        """
        return await self.call(self._node.GetVersion, pb.GetVersionRequest())

    async def get_account(self, address: Address) -> AccountView:
        """Ask for one account.

        Args:
            address: Any address; one that never received anything has zeros.

        Returns:
            The account, amounts in sap. Its nonce is that of the next transaction, the pending
            ones counted.

        Raises:
            RpcError: BAD_ADDRESS for text that is no address, or the call failed.
        """
        request = pb.GetAccountRequest(address=address_text(address))
        return (await self.call(self._node.GetAccount, request)).account

    async def list_validators(self, limit: int = 1_000) -> list[ValidatorView]:
        """List the validators of the next height, by address.

        Args:
            limit: How many to read at most.

        Returns:
            The validators, bonds in sap.

        Raises:
            RpcError: The call failed.
        """
        request = pb.ListValidatorsRequest()
        return await self.list_all(self._node.ListValidators, request, "validators", limit)

    async def list_validator_changes(
        self, below_height: int = 0, limit: int = 1_000_000
    ) -> list[ValidatorChange]:
        """List the blocks that changed the validator set, the lowest first.

        Args:
            below_height: Only blocks below this height; 0 means all.
            limit: How many to read at most.

        Returns:
            Each block's header and certificate with the new validators, from which a light client
            checks any later block.

        Raises:
            RpcError: The call failed.
        """
        request = pb.ListValidatorChangesRequest(below_height=below_height)
        return await self.list_all(self._node.ListValidatorChanges, request, "changes", limit)

    async def get_block(self, which: int | Hash) -> pb.GetBlockResponse:
        """Ask for one block and the payments that it made.

        Args:
            which: Its height, or its hash (32 bytes, or at least the first 8 hex digits).

        Returns:
            The block, amounts in sap.

        Raises:
            RpcError: BLOCK_NOT_FOUND when the chain has no such block; HISTORY_NOT_KEPT below the
                snapshot that the node began from; or the call failed.
        """
        request = (
            pb.GetBlockRequest(height=which)
            if isinstance(which, int)
            else pb.GetBlockRequest(hash=hash_text(which))
        )
        return await self.call(self._node.GetBlock, request)

    async def list_blocks(self, limit: int = 20) -> list[BlockView]:
        """List the latest blocks, the latest first.

        Args:
            limit: How many to read at most.

        Returns:
            The blocks, amounts in sap.

        Raises:
            RpcError: The call failed.
        """
        request = pb.ListBlocksRequest()
        return await self.list_all(self._node.ListBlocks, request, "blocks", limit)

    async def list_block_page(self, token: str = "", size: int = 20) -> pb.ListBlocksResponse:
        """List one page of blocks, the latest first.

        Args:
            token: `next_page_token` of the page before; empty for the first page.
            size: How many blocks a page has at most: 1 to 100.

        Returns:
            The page, amounts in sap; its `next_page_token` is empty on the last one.

        Raises:
            RpcError: BAD_PAGE_TOKEN when this list did not give the token, or the call failed.
        """
        request = pb.ListBlocksRequest(page_size=size, page_token=token)
        return await self.call(self._node.ListBlocks, request)

    async def get_fees(self) -> pb.GetFeesResponse:
        """Ask for the fees, deposits and limits that a transaction has to keep to.

        Returns:
            The fees and deposits in sap, and the limits.

        Raises:
            RpcError: The call failed.
        """
        return await self.call(self._node.GetFees, pb.GetFeesRequest())

    async def list_peers(self) -> list[pb.ConnectedPeer]:
        """List the node's connected peers, by address.

        Returns:
            Of each peer its address, height, direction and score for misbehaviour.

        Raises:
            RpcError: The call failed.
        """
        request = pb.ListConnectedPeersRequest()
        return list((await self.call(self._node.ListConnectedPeers, request)).peers)

    async def watch_events(
        self,
        from_height: int = 0,
        *,
        addresses: Sequence[str] = (),
        patience: float = PATIENCE_S,
    ) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        """Watch the events of each block, without gaps, until the caller stops.

        A lost stream is opened again at the next height.

        Args:
            from_height: The first block; 0 means the next one.
            addresses: At most 16 addresses in bech32m; when there are any, only their events are
                yielded, and each hundredth block.
            patience: For how many seconds without a reply a lost stream is opened again.

        Yields:
            One message for each block: the block, its payments and the tasks that it changed.

        Raises:
            RpcError: OUT_OF_RANGE when the height is more than 10,000 above the chain;
                HISTORY_NOT_KEPT below the snapshot that the node began from; or the node cannot be
                reached any more.
        """
        wanted = from_height or (await self.get_status()).height + 1

        def open_stream() -> AsyncGenerator[pb.WatchEventsResponse, None]:
            request = pb.WatchEventsRequest(from_height=wanted, addresses=addresses)
            return self.stream(self._node.WatchEvents, request)

        async for event in resume_stream(open_stream, patience):
            wanted = event.block.height + 1
            yield event


def hash_text(value: Hash) -> str:
    """Format a hash or public key for a request to the API.

    Args:
        value: 32 bytes, or hex digits in either case.

    Returns:
        Lower-case hex digits. Text is not checked here: the server checks it.
    """
    return value.hex() if isinstance(value, bytes) else value.strip().lower()


def address_text(value: Address) -> str:
    """Format an address for a request to the API.

    Args:
        value: 20 bytes, or bech32m.

    Returns:
        bech32m. Text is not checked here: the server checks it.
    """
    return format_address(value) if isinstance(value, bytes) else value.strip()
