"""The actions of transactions, and which function carries out each.

An action checks one transaction, whose fee is taken already, and either changes the state or raises
`RefusalError`; the caller drops the changes that it made before. It decides what a transaction may
do, not when windows close or who is paid for a task (`tasks`).

* `transfers`, `bonds`, `equivocation`: coins, bonds, and the penalty for conflicting votes.
* `campaigns`, `client_lists`, `open_tasks`: budgets, who may take part, and the tasks of rounds;
  `reader_lists`: who may fetch the artifacts of a private campaign.
* `client_receipts`: what servers owe to clients whose updates they took; `left_out_receipts`:
  what it costs to leave one out; `receipt_terms`: what tasks may then ask for.
* `update_groups`: updates that share one value.
* `mining`: commitments and reveals of miners, and that one cannot take part.

A new action gets a message in `transaction.proto`, a function here, and an entry in `ACTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from fedcoin.contract.actions import (
    bonds,
    campaigns,
    client_lists,
    client_receipts,
    equivocation,
    mining,
    open_tasks,
    reader_lists,
    transfers,
)
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.messages.transactions import Transaction

Action = Callable[[ExecutionContext, Transaction], None]
"""Carries out a transaction in an execution context; raises `RefusalError`."""

ACTIONS: Final[Mapping[str, Action]] = MappingProxyType(
    {
        "transfer": transfers.transfer,
        "bond": bonds.bond,
        "unbond": bonds.unbond,
        "open_campaign": campaigns.open_campaign,
        "open_task": open_tasks.open_task,
        "close_campaign": campaigns.close_campaign,
        "commit_shapley": mining.commit_shapley,
        "reveal_shapley": mining.reveal_shapley,
        "report_equivocation": equivocation.report_equivocation,
        "set_clients": client_lists.set_clients,
        "set_readers": reader_lists.set_readers,
        "decline_task": mining.decline_task,
        "register_receipt": client_receipts.register_receipt,
    }
)
"""The function for each action, by the name of its field in `TransactionBody`."""
