"""The audit of a node that does not vote."""

from __future__ import annotations

from collections.abc import Sequence

from fedcoin.application.node.block_auditor import Auditor
from fedcoin.data.messages.transactions import Transaction, action_name


class ObserverAudit:
    """The audit of a node that does not vote: it checks tasks and skips reveals.

    Args:
        auditor: Checks the tasks.
    """

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor

    async def check_transaction(self, transaction: Transaction) -> None:
        """Implement `TransactionAudit.check_transaction`: audit tasks only.

        Transactions of any other type pass without a check.
        """
        if action_name(transaction.body) == "open_task":
            await self._auditor.check_transaction(transaction)

    async def check_block(self, transactions: Sequence[Transaction]) -> None:
        """Implement `BlockAudit.check_block`; a node that does not vote never calls it."""
