"""Watches the chain for tasks that lack an update for which their server has signed.

The coordinator cannot be asked: it is the one that would leave the update out. When a node says
that the server's task of the round does not hold it, the client's receipt is registered at once,
while the task is open: then its training price is burned (`contract.actions.left_out_receipts`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from fedcoin.application.client.receipt_claims import build_registration
from fedcoin.application.client.receipt_folder import KeptReceipt
from fedcoin.application.wallet.wallet import Wallet
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.crypto.keys import KeyPair
from fedcoin.data.messages.chain_identity import ChainIdentity
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.block_pb2 import TASK_PHASE_GAVE_WAY, TASK_PHASE_SETTLED
from fedcoin.v1.views_pb2 import TaskView

POLL_SECONDS: Final = 1.0
"""How often the chain is looked at, in seconds."""
_TASKS: Final = 20
"""How many of a campaign's latest tasks are looked at."""


class LeftOutGuard:
    """Follows the rounds for which one client has receipts, until their tasks are settled.

    Args:
        node: The node to ask, and to submit to.
        key: The client's key.
        genesis_hash: The genesis hash of the network, 32 bytes.
        report: Gets a line about each thing that happens.
    """

    def __init__(
        self, node: NodeClient, key: KeyPair, genesis_hash: bytes, report: Callable[[str], None]
    ) -> None:
        self._node = node
        self._key = key
        self._genesis_hash = genesis_hash
        self._report = report
        self._waiting: dict[tuple[bytes, int], KeptReceipt] = {}

    def add(self, kept: KeptReceipt) -> None:
        """Follow the round of a receipt.

        Args:
            kept: The receipt, with its update.
        """
        self._waiting[kept.update.campaign_id, kept.update.round] = kept

    async def run(self) -> None:
        """Follow the rounds until cancelled. A node that cannot be reached is asked again."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            for kept in list(self._waiting.values()):
                try:
                    await self.check(kept)
                except RpcError as error:
                    if not error.is_transient:
                        raise

    async def report_unsettled(self) -> None:
        """Report the rounds whose tasks are not settled when the coordinator has ended.

        The chain is looked at once more, since the last round may just have been settled.
        """
        for kept in list(self._waiting.values()):
            with suppress(RpcError):
                await self.check(kept)
        for kept in self._waiting.values():
            campaign_id = kept.update.campaign_id.hex()
            self._report(
                f"round {kept.update.round}: the coordinator ended, and the chain has not settled"
                " the round: look at it with `fedcoin-node task list`, and register the receipt"
                f" with `fedcoin-node task receipts register {campaign_id}`"
            )

    async def check(self, kept: KeptReceipt) -> None:
        """Look at the task of one receipt's round, and register the receipt if it is left out.

        Args:
            kept: The receipt, which is followed no more when its round is settled or was claimed.

        Raises:
            RpcError: The node cannot be reached, or does not know the campaign.
        """
        update = kept.update
        campaign = await self._node.get_campaign(update.campaign_id)
        if not campaign.open_task_id and campaign.last_round < update.round:
            return
        tasks = await self._node.list_tasks(update.campaign_id, limit=_TASKS)
        task = next((task for task in tasks if task.round == update.round), None)
        if task is None or task.phase == TASK_PHASE_GAVE_WAY:
            return
        if _holds(task, kept):
            if task.phase == TASK_PHASE_SETTLED:
                self._stop(kept)
            return
        self._stop(kept)
        if not task.opener:
            await self._claim(kept, task, has_list=bool(campaign.clients_root))

    def _stop(self, kept: KeptReceipt) -> None:
        self._waiting.pop((kept.update.campaign_id, kept.update.round), None)

    async def _claim(self, kept: KeptReceipt, task: TaskView, *, has_list: bool) -> None:
        """Register the receipt, which needs coins for a fee; else say how to do it."""
        number, campaign_id = kept.update.round, kept.update.campaign_id.hex()
        self._report(f"round {number}: the server left this client's update out of its task")
        command = f"fedcoin-node task receipts register {campaign_id} --task {task.task_id}"
        if has_list:
            self._report(f"round {number}: register its receipt: {command} --clients FILE")
            return
        status = await self._node.get_status()
        wallet = Wallet(self._node, self._key, ChainIdentity(status.chain_id, self._genesis_hash))
        action = build_registration(kept, (), bytes.fromhex(task.task_id))
        try:
            await wallet.execute(action)
        except RpcError as error:
            self._report(
                f"round {number}: its receipt could not be registered ({error}); try {command}"
            )
        else:
            self._report(
                f"round {number}: its receipt is registered: the round's training price is burned,"
                " and the campaign ends"
            )


def _holds(task: TaskView, kept: KeptReceipt) -> bool:
    update = kept.update
    wanted = (format_address(update.address), update.update.hex(), update.num_samples)
    return any((c.address, c.update, c.num_samples) == wanted for c in task.clients)
