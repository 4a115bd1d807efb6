"""The actions of a transaction, one module a family, and which rule applies each.

A rule gets the scope of the block and the transaction, whose fee is taken already, and either
changes the state or raises a `Refusal`; what it did before it raised is dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from fedcoin.contract.actions import bonds, campaigns, equivocation, mining, open_tasks, transfers
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.messages.transactions import Transaction

Rule = Callable[[ExecutionContext, Transaction], None]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        "transfer": transfers.transfer,
        "bond": bonds.bond,
        "unbond": bonds.unbond,
        "open_campaign": campaigns.open_campaign,
        "open_task": open_tasks.open_task,
        "close_campaign": campaigns.close_campaign,
        "commit_shapley": mining.commit,
        "reveal_shapley": mining.reveal,
        "report_equivocation": equivocation.report,
    }
)
"""By the name of the action's field in ``TransactionBody``."""
