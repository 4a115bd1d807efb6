"""What each node of a network answers through its public API once all faults are over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.block_pb2 import TaskPhase
from fedcoin.v1.views_pb2 import TRANSACTION_STATUS_FINAL

_POLL_SECONDS = 0.25
_PAGE_BLOCKS = 100


@dataclass(frozen=True, slots=True)
class TaskAnswer:
    """What a node says of one task."""

    # The phase, such as TASK_PHASE_SETTLED.
    phase: str
    # Each payment in the serialised form of PaymentView, sorted.
    payments: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class NodeAnswers:
    """What one node says of the chain."""

    # The node's name.
    node: str
    height: int
    # In hex.
    app_hash: str
    # The supply by the books, and as counted over all accounts, in sap.
    supply: int
    counted_supply: int
    # The memory of the node's main process, in bytes.
    rss_bytes: int
    # The hash of each block in hex, by height.
    blocks: Mapping[int, str] = field(default_factory=dict)
    # The height of each transfer that was asked for, by its hash; None when it is not final.
    transfers: Mapping[str, int | None] = field(default_factory=dict)
    # What the collector of the transfers has, in sap.
    collected: int = 0
    # Each validator's bond in sap, by its public key in hex.
    bonds: Mapping[str, int] = field(default_factory=dict)
    # By the task's id in hex.
    tasks: Mapping[str, TaskAnswer] = field(default_factory=dict)


async def ask_node(
    node: str, api: str, transfers: Iterable[str], collector: bytes, tasks: Sequence[str]
) -> NodeAnswers:
    """Ask one node for everything that nodes must agree on.

    Args:
        node: The node's name.
        api: Where its API is, as host:port.
        transfers: The hashes of the transfers to ask for, in hex.
        collector: The address that the transfers paid, 20 bytes.
        tasks: The ids of the tasks to ask for, in hex.

    Returns:
        Its answers.

    Raises:
        RpcError: The node does not answer.
    """
    async with NodeClient(api) as client:
        status = await client.get_status()
        return NodeAnswers(
            node=node,
            height=status.height,
            app_hash=status.app_hash,
            supply=status.supply,
            counted_supply=status.counted_supply,
            rss_bytes=status.rss_bytes,
            blocks=await _list_blocks(client),
            transfers={hash_: await _find_height(client, hash_) for hash_ in transfers},
            collected=(await client.get_account(collector)).balance,
            bonds={one.public_key: one.bond for one in await client.list_validators()},
            tasks={task: await _ask_task(client, task) for task in tasks},
        )


async def _list_blocks(client: NodeClient) -> dict[int, str]:
    blocks: dict[int, str] = {}
    token = ""
    while True:
        page = await client.list_block_page(token, _PAGE_BLOCKS)
        blocks.update({block.height: block.hash for block in page.blocks})
        token = page.next_page_token
        if not token:
            return blocks


async def _find_height(client: NodeClient, hash_: str) -> int | None:
    try:
        view = await client.get_transaction(hash_)
    except RpcError:
        return None
    return view.height if view.status == TRANSACTION_STATUS_FINAL else None


async def _ask_task(client: NodeClient, task: str) -> TaskAnswer:
    view = await client.get_task(task)
    payments = await client.list_payments(task)
    return TaskAnswer(
        TaskPhase.Name(view.phase),
        tuple(sorted(payment.SerializeToString(deterministic=True) for payment in payments)),
    )


async def wait_for_agreement(apis: Mapping[str, str], seconds: float) -> bool:
    """Wait until all nodes have the same state and no transaction waits for a block.

    Args:
        apis: Where the nodes' APIs are, as host:port, by name.
        seconds: How long to wait, in seconds.

    Returns:
        False when the time was over first.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while loop.time() < deadline:
        found = await asyncio.gather(*(_read_state(api) for api in apis.values()))
        if None not in found and len(set(found)) == 1:
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False


async def _read_state(api: str) -> tuple[int, str] | None:
    try:
        async with NodeClient(api, timeout=3.0) as client:
            status = await client.get_status()
    except RpcError:
        return None
    return None if status.pending_transactions else (status.height, status.app_hash)
