"""Which clients may take part in a campaign: the list, its changes, and a task's proofs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fedcoin.contract.actions.campaigns import (
    check_client_list,
    check_open,
    check_requester,
    read_campaign,
)
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.contract.tasks.registered_receipts import check_settled
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import is_admitted
from fedcoin.data.messages.transactions import Transaction
from fedcoin.data.messages.updates import Update
from fedcoin.v1.state_pb2 import CampaignState
from fedcoin.v1.task_pb2 import Admission, ClientList, OpenTask

_MAX_PATH: Final = 32
"""The largest number of hashes in the proof of a client."""


def set_clients(context: ExecutionContext, transaction: Transaction) -> None:
    """Replace the list of a campaign's clients. It holds for tasks that are opened later.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: BAD_CLIENT_LIST; UNKNOWN_CAMPAIGN; NOT_THE_REQUESTER; CAMPAIGN_CLOSED;
            RECEIPTS_UNSETTLED while registered receipts wait for their round's task.
    """
    action = transaction.body.set_clients
    check_client_list(action.clients)
    campaign = read_campaign(context, action.campaign_id)
    check_requester(campaign, transaction.sender)
    check_open(campaign)
    check_settled(context, campaign)
    campaign.clients.CopyFrom(action.clients)
    records.CAMPAIGNS.put(context.state, action.campaign_id, record=campaign)


def check_admissions(terms: OpenTask, updates: Sequence[Update], campaign: CampaignState) -> None:
    """Check that the campaign's list holds each client of a task.

    Args:
        terms: The task's terms.
        updates: Its updates, in order.
        campaign: The campaign.

    Raises:
        RefusalError: CLIENT_NOT_LISTED, or TOO_MANY_EXAMPLES when a client claims more than the
            list allows.
    """
    wanted = len(updates) if campaign.clients.root else 0
    if len(terms.admissions) != wanted:
        raise RefusalError(
            LedgerCode.CLIENT_NOT_LISTED,
            f"there are {len(terms.admissions)} admissions; this campaign needs {wanted}, one for"
            " each update when it has a list of clients, else none",
            field="admissions",
            limit=str(wanted),
        )
    for i, (update, admission) in enumerate(zip(updates, terms.admissions, strict=False)):
        check_admission(admission, update, campaign.clients, f"admissions[{i}]", f"updates[{i}]")


def check_admission(
    admission: Admission,
    update: Update,
    clients: ClientList,
    field: str,
    update_field: str = "update",
) -> None:
    """Check that a campaign's list holds one client.

    Args:
        admission: The proof.
        update: The client's update.
        clients: The campaign's list.
        field: The field of the transaction that holds the proof, for the refusal.
        update_field: The field that holds the update.

    Raises:
        RefusalError: CLIENT_NOT_LISTED or TOO_MANY_EXAMPLES.
    """
    if len(admission.path) > _MAX_PATH or not is_admitted(admission, update.address, clients):
        raise RefusalError(
            LedgerCode.CLIENT_NOT_LISTED,
            f"{field} does not prove that the client of {update_field} is on the campaign's list",
            field=field,
        )
    if update.num_samples > admission.max_samples:
        raise RefusalError(
            LedgerCode.TOO_MANY_EXAMPLES,
            f"{update_field} claims {update.num_samples} examples; the campaign's list allows"
            f" {admission.max_samples}",
            field=f"{update_field}.num_samples",
            limit=str(admission.max_samples),
        )
