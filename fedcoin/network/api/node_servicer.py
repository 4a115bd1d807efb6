"""NodeService: the node's status, blocks, accounts, validators and events."""

from __future__ import annotations

import asyncio
import resource
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import fedcoin
from fedcoin.contract.blocks.validator_history import ValidatorHistory, ValidatorSetChange
from fedcoin.contract.queries import account_queries, block_queries, payment_queries, task_queries
from fedcoin.contract.snapshots.writer import validator_change_message
from fedcoin.data.crypto.addresses import format_address, parse_address
from fedcoin.data.crypto.hashing import sha256
from fedcoin.data.errors import RefusalError
from fedcoin.data.protocol import PROTOCOL_VERSION
from fedcoin.network.api import paging
from fedcoin.network.api.address_filter import AddressFilter
from fedcoin.network.api.backend import NodeFacts
from fedcoin.network.api.chain_watching import watch_heights
from fedcoin.network.api.request_fields import (
    MAX_HEIGHT,
    MAX_NAMED,
    check_height,
    choose_page_size,
    parse_address_field,
    parse_hash_range,
    refuse_several,
)
from fedcoin.network.api.supply_count import SupplyCount
from fedcoin.network.errors import NetworkCode
from fedcoin.network.interceptors import CallContext
from fedcoin.network.kept_history import check_kept
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.peers_port import Peers, SyncProgress
from fedcoin.network.ports.transaction_port import TransactionPort
from fedcoin.v1 import node_service_pb2 as pb
from fedcoin.v1.block_pb2 import Block, Receipt
from fedcoin.v1.node_service_pb2_grpc import NodeServiceServicer
from fedcoin.v1.snapshot_pb2 import ValidatorChange
from fedcoin.v1.views_pb2 import BlockView, TaskView, ValidatorView

VALIDATORS_PAGE: Final = 100
"""The number of validators in a page, by default and at most."""
CHANGES_PAGE: Final = 100
"""The number of validator changes in a page, by default and at most."""
BLOCKS_PAGE: Final = 20
"""The number of blocks in a page by default."""
MAX_BLOCKS_PAGE: Final = 100
"""The largest number of blocks in a page."""

MAX_AHEAD: Final = 10_000
"""How many heights above the chain a stream of events may begin: this node may be catching up."""


class NodeServicer(NodeServiceServicer):
    """Serves `node_service.proto`, which states each method's limits and errors."""

    def __init__(
        self, chain: ChainPort, pool: TransactionPort, peers: Peers, node: NodeFacts
    ) -> None:
        """Serve a node.

        Args:
            chain: The chain of final blocks.
            pool: The node's mempool.
            peers: The node's peers.
            node: Facts about this node.
        """
        self._chain = chain
        self._pool = pool
        self._peers = peers
        self._node = node
        self._supply = SupplyCount(chain)
        self._history = ValidatorHistory(chain.store, chain.genesis)

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: CallContext
    ) -> pb.GetStatusResponse:
        """Report the node's identity, height, peers and memory."""
        counted = await self._supply.read()
        chain, ledger = self._chain, self._chain.ledger
        height = chain.height()
        header = chain.store.header(height)
        hash = chain.genesis.hash if header is None else _hash_at(chain, height)
        votes = self._node.own_votes()
        totals, validators = ledger.totals(), ledger.validators()
        sync = self._peers.sync_progress() or SyncProgress(0, 0.0, None)
        return pb.GetStatusResponse(
            chain_id=chain.genesis.chain_id,
            genesis_hash=chain.genesis.hash.hex(),
            node_key=self._node.node_key.hex(),
            address=format_address(self._node.address),
            height=height,
            block_hash=hash.hex(),
            app_hash=(ledger.app_hash if header is None else header.app_hash).hex(),
            block_time_ms=chain.genesis.time_ms if header is None else header.time_ms,
            peers=len(self._peers.peers()),
            pending_transactions=len(self._pool.pending()),
            catching_up=chain.catching_up,
            validator=validators.by_address(self._node.address) is not None,
            mining=self._node.mining,
            rss_bytes=_resident_bytes(),
            start_ms=self._node.start_ms,
            supply=totals.supply,
            burned=totals.burned,
            counted_supply=counted,
            peer_address=self._peers.address,
            first_height=chain.store.base_height() + 1,
            total_power=validators.total_power,
            connected_power=self._node.connected_power(),
            worker_sandbox=self._node.worker_sandbox,
            max_artifact_bytes=self._node.max_artifact_bytes,
            last_vote_height=votes.last_height,
            last_vote_ms=votes.last_ms,
            vote_overdue=votes.is_overdue,
            clock_difference_ms=self._node.clock_difference_ms(),
            tls_expiry_ms=self._node.tls_expiry_ms(),
            sync_target_height=sync.target_height,
            sync_blocks_per_second=sync.blocks_per_second,
            sync_seconds_left=sync.seconds_left,
        )

    async def GetVersion(
        self, request: pb.GetVersionRequest, context: CallContext
    ) -> pb.GetVersionResponse:
        """Report the versions of the program and of the peers' protocol."""
        return pb.GetVersionResponse(version=fedcoin.__version__, protocol_version=PROTOCOL_VERSION)

    async def GetAccount(
        self, request: pb.GetAccountRequest, context: CallContext
    ) -> pb.GetAccountResponse:
        """Show an account; its nonce counts the transactions in the mempool.

        Raises:
            RefusalError: MALFORMED when the address is empty, BAD_ADDRESS when it is wrong.
        """
        address = parse_address_field(request.address, "address")
        account = account_queries.get_account(self._chain.ledger, address)
        account.nonce = max(account.nonce, self._pool.pending_nonce(address))
        return pb.GetAccountResponse(account=account)

    async def ListValidators(
        self, request: pb.ListValidatorsRequest, context: CallContext
    ) -> pb.ListValidatorsResponse:
        """List a page of the validators of the next height, by address.

        Raises:
            RefusalError: BAD_PAGE_TOKEN when this list did not make the page token.
        """
        size = choose_page_size(request.page_size, default=VALIDATORS_PAGE, maximum=VALIDATORS_PAGE)
        after = paging.decode_token("validators", request.page_token) or b""
        validators = account_queries.list_validators(self._chain.ledger, self._chain.height() + 1)
        rest = [view for view in validators if _raw_address(view) > after]
        views, last = paging.fit_page(rest, size)
        token = "" if last is None else paging.encode_token("validators", _raw_address(last))
        return pb.ListValidatorsResponse(validators=views, next_page_token=token)

    async def ListValidatorChanges(
        self, request: pb.ListValidatorChangesRequest, context: CallContext
    ) -> pb.ListValidatorChangesResponse:
        """List a page of the blocks that changed the validator set, the lowest first.

        Raises:
            RefusalError: BAD_PAGE_TOKEN when this list did not make the page token.
        """
        list_name = f"validator changes {request.below_height}"
        size = choose_page_size(request.page_size, default=CHANGES_PAGE, maximum=CHANGES_PAGE)
        position = paging.decode_token(list_name, request.page_token)
        last_height = 0 if position is None else int.from_bytes(position, "big")
        below = min(request.below_height or MAX_HEIGHT, self._chain.height() + 1)

        def read() -> tuple[list[ValidatorChange], ValidatorSetChange | None]:
            changes = (c for c in self._history.changes(below) if c.height > last_height)
            return paging.fill_page(
                changes, size, lambda change: validator_change_message(self._chain.store, change)
            )

        changes, last = await asyncio.to_thread(read)
        token = ""
        if last is not None:
            token = paging.encode_token(list_name, last.height.to_bytes(8, "big"))
        return pb.ListValidatorChangesResponse(changes=changes, next_page_token=token)

    async def GetBlock(
        self, request: pb.GetBlockRequest, context: CallContext
    ) -> pb.GetBlockResponse:
        """Show a block and its payments.

        Raises:
            RefusalError: BAD_SELECTOR when the request names no block; MALFORMED when height or
                hash is invalid, or several begin with its digits; BLOCK_NOT_FOUND when the chain
                has no such block; HISTORY_NOT_KEPT when the node no longer keeps the block.
        """
        height = await self._selected_height(request)
        check_kept(self._chain.store, height, request.WhichOneof("selector") or "height")
        response = await asyncio.to_thread(self._block, height)
        if response is None:
            raise _no_block(f"block {height}", self._chain)
        return response

    async def ListBlocks(
        self, request: pb.ListBlocksRequest, context: CallContext
    ) -> pb.ListBlocksResponse:
        """List a page of blocks, the latest first.

        Raises:
            RefusalError: BAD_PAGE_TOKEN when this list did not make the page token.
        """
        size = choose_page_size(request.page_size, default=BLOCKS_PAGE, maximum=MAX_BLOCKS_PAGE)
        position = paging.decode_token("blocks", request.page_token)
        highest = self._chain.height()
        if position is not None:
            highest = min(highest, int.from_bytes(position, "big") - 1)

        def view_of(height: int) -> BlockView:
            view = block_queries.get_block(self._chain.store, height)
            assert view is not None, "a final block is missing in the store"
            return view

        views, last = await asyncio.to_thread(
            paging.fill_page, range(highest, self._chain.store.base_height(), -1), size, view_of
        )
        token = "" if last is None else paging.encode_token("blocks", last.to_bytes(8, "big"))
        return pb.ListBlocksResponse(blocks=views, next_page_token=token)

    async def GetFees(self, request: pb.GetFeesRequest, context: CallContext) -> pb.GetFeesResponse:
        """Show the fees, deposits and limits that transactions have to keep to."""
        parameters, rates = self._chain.genesis.parameters, self._pool.fee_rates()
        return pb.GetFeesResponse(
            base_fee=parameters.base_fee,
            fee_per_kib=parameters.fee_per_kib,
            max_expiry_blocks=parameters.max_expiry_blocks,
            commit_deposit=parameters.commit_deposit,
            min_bond=parameters.min_bond,
            mempool_fee_rate=rates.mempool,
            next_block_fee_rate=rates.next_block,
            pending_transactions=len(self._pool.pending()),
            pending_bytes=rates.pending_bytes,
            state_fee=parameters.state_fee,
            task_deposit=parameters.task_deposit,
        )

    async def ListConnectedPeers(
        self, request: pb.ListConnectedPeersRequest, context: CallContext
    ) -> pb.ListConnectedPeersResponse:
        """List the connected peers, by address."""
        return pb.ListConnectedPeersResponse(
            peers=[
                pb.ConnectedPeer(
                    node_key=peer.node_key.hex(),
                    address=peer.address,
                    outbound=peer.outbound,
                    height=peer.height,
                    score=peer.score,
                    agent=peer.agent,
                    clock_difference_ms=peer.clock_difference_ms,
                    inbound=peer.inbound,
                )
                for peer in sorted(self._peers.peers(), key=lambda peer: peer.address)
            ]
        )

    async def WatchEvents(
        self, request: pb.WatchEventsRequest, context: CallContext
    ) -> AsyncGenerator[pb.WatchEventsResponse, None]:
        """Stream each block's events in order, from a height on.

        Raises:
            RefusalError: OUT_OF_RANGE when the height is more than `MAX_AHEAD` above the chain;
                HISTORY_NOT_KEPT when the node no longer keeps that block; MALFORMED or BAD_ADDRESS
                for the addresses.
        """
        chosen = AddressFilter(request.addresses)
        reached = self._chain.height()
        first = request.from_height or reached + 1
        if not 1 <= first <= min(reached + MAX_AHEAD, MAX_HEIGHT):
            raise RefusalError(
                NetworkCode.OUT_OF_RANGE,
                f"from_height is {first}; at most {reached + MAX_AHEAD} is allowed, because the "
                f"chain has reached {reached}",
                field="from_height",
                limit=str(reached + MAX_AHEAD),
            )
        check_kept(self._chain.store, first, "from_height")
        async for height in watch_heights(self._chain, first):
            events = await asyncio.to_thread(self._events, height, chosen)
            if events is not None:
                yield events

    def _events(self, height: int, chosen: AddressFilter) -> pb.WatchEventsResponse | None:
        store = self._chain.store
        # The chain may have begun from a snapshot while this height was waited for.
        check_kept(store, height, "from_height")
        events = pb.WatchEventsResponse(
            block=block_queries.get_block(store, height),
            payments=payment_queries.list_block_payments(store, height),
            tasks=_tasks_at(self._chain, height),
        )
        if not chosen.addresses:
            return events
        stored = store.block(height)
        return chosen.apply(events, Block.FromString(stored.raw).transactions if stored else ())

    async def _selected_height(self, request: pb.GetBlockRequest) -> int:
        selector = request.WhichOneof("selector")
        if selector == "height":
            return check_height(request.height, "height")
        if selector != "hash":
            raise RefusalError(
                NetworkCode.BAD_SELECTOR,
                "the request names no block; give either height or hash",
                field="selector",
            )
        lowest, highest = parse_hash_range(request.hash, "hash")
        height = await asyncio.to_thread(self._find_height, request.hash, lowest, highest)
        if height is None:
            raise _no_block(f"block {request.hash.lower()}", self._chain, field="hash")
        return height

    def _find_height(self, digits: str, lowest: bytes, highest: bytes) -> int | None:
        store = self._chain.store
        found = store.list_hashes_between(lowest, highest, MAX_NAMED)
        if len(found) > 1:
            raise refuse_several("blocks", digits, found)
        return store.block_height(found[0]) if found else None

    def _block(self, height: int) -> pb.GetBlockResponse | None:
        view = block_queries.get_block(self._chain.store, height)
        if view is None:
            return None
        payments = payment_queries.list_block_payments(self._chain.store, height)
        return pb.GetBlockResponse(block=view, payments=payments)


def _resident_bytes() -> int:
    """Measure the resident memory of this process; its peak where the system tells no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        # `ru_maxrss` is in KiB, but on macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return pages * resource.getpagesize()


def _hash_at(chain: ChainPort, height: int) -> bytes:
    raw = chain.store.header_bytes(height)
    return b"" if raw is None else sha256(raw)


def _tasks_at(chain: ChainPort, height: int) -> list[TaskView]:
    """Show the tasks that a block changed, in the phase that they entered with it."""
    receipts = (Receipt.FromString(raw) for raw in chain.store.receipts(height))
    entered = {r.task.task_id.hex(): r.task for r in receipts if r.HasField("task")}
    views = task_queries.list_block_tasks(chain.store, chain.store, height)
    for view in views:
        view.phase = entered[view.task_id].phase
        view.attempt = entered[view.task_id].attempt
    return views


def _raw_address(view: ValidatorView) -> bytes:
    # Validators are sorted by the bytes of their addresses; bech32m sorts in another order.
    return parse_address(view.address)


def _no_block(name: str, chain: ChainPort, field: str = "height") -> RefusalError:
    height, first = chain.height(), chain.store.base_height() + 1
    since = f", and is kept here from {first} on" if first > 1 else ""
    return RefusalError(
        NetworkCode.BLOCK_NOT_FOUND,
        f"there is no {name}; the chain has reached height {height}{since}",
        field=field,
        limit=str(height),
    )
