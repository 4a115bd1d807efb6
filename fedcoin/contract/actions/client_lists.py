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
from fedcoin.contract.actions.reader_lists import check_private_list
from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.block_room import FORMER_LIST_ENTRIES
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

MAX_FORMER_LISTS: Final = 64
"""The most lists of a campaign that were replaced within the receipt window."""


def set_clients(context: ExecutionContext, transaction: Transaction) -> None:
    """Replace the list of a campaign's clients. It holds for tasks that are opened later.

    Clients of the old list may still register receipts for the length of the receipt window, so
    that a requester cannot take a client's update and then the client off the list.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: BAD_CLIENT_LIST when root and count of the new list are not well-formed;
            BAD_READERS when a private campaign would be left without a list; UNKNOWN_CAMPAIGN when
            there is no campaign of this id; NOT_THE_REQUESTER when another key opened it;
            CAMPAIGN_CLOSED when it is over; RECEIPTS_UNSETTLED while registered receipts wait for
            their round's task; TOO_MANY_LISTS when `MAX_FORMER_LISTS` were replaced within the
            receipt window; INSUFFICIENT_BALANCE when the sender cannot pay for the entry of the
            old list; BLOCK_FULL when the block has no room for it.
    """
    action = transaction.body.set_clients
    check_client_list(action.clients)
    campaign = read_campaign(context, action.campaign_id)
    check_requester(campaign, transaction.sender)
    check_open(campaign)
    check_settled(context, campaign)
    if campaign.HasField("readers"):
        check_private_list(action.clients)
    if campaign.terms.receipt_window_ms and action.clients != campaign.clients:
        _keep_former_list(context, transaction.sender, campaign)
    campaign.clients.CopyFrom(action.clients)
    records.CAMPAIGNS.put(context.state, action.campaign_id, record=campaign)


def _keep_former_list(context: ExecutionContext, requester: bytes, campaign: CampaignState) -> None:
    now_ms = context.block.time_ms
    while campaign.former_lists and campaign.former_lists[0].until_ms <= now_ms:
        del campaign.former_lists[0]
    if len(campaign.former_lists) >= MAX_FORMER_LISTS:
        until_ms = campaign.former_lists[0].until_ms
        raise RefusalError(
            LedgerCode.TOO_MANY_LISTS,
            f"the list was replaced {MAX_FORMER_LISTS} times within the receipt window: wait until"
            f" Unix time {until_ms} ms",
            field="clients",
            limit=str(MAX_FORMER_LISTS),
        )
    context.charge_state(requester, 1, "clients")
    context.room.take_entries(FORMER_LIST_ENTRIES - 1)
    campaign.former_lists.add(
        clients=campaign.clients, until_ms=now_ms + campaign.terms.receipt_window_ms
    )


def check_admissions(
    context: ExecutionContext, terms: OpenTask, updates: Sequence[Update], campaign: CampaignState
) -> None:
    """Check that the campaign's list holds each client of a task.

    Registered updates need no proof: it was checked when they were registered.

    Args:
        context: The execution of the block.
        terms: The task's terms.
        updates: The task's updates, in the order of the terms.
        campaign: The record of the task's campaign, which holds the list's root.

    Raises:
        RefusalError: CLIENT_NOT_LISTED when a client's proof fails; TOO_MANY_EXAMPLES when a client
            claims more than the list allows.
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
    registered = {
        receipt.update.body
        for _, receipt in records.RECEIPTS.scan(context.state, terms.campaign_id)
    }
    for i, (update, admission) in enumerate(zip(updates, terms.admissions, strict=False)):
        if update.envelope.body not in registered:
            where = f"admissions[{i}]", f"updates[{i}]"
            check_admission(admission, update, campaign.clients, *where)


def check_registrable(
    context: ExecutionContext, admission: Admission, update: Update, campaign: CampaignState
) -> None:
    """Check that a client is on the campaign's list, or was within the receipt window.

    Args:
        context: The execution of the block.
        admission: The proof for one of these lists; not looked at when one of them lets anybody
            take part.
        update: The client's update.
        campaign: The record of the update's campaign.

    Raises:
        RefusalError: CLIENT_NOT_LISTED when the proof fails; TOO_MANY_EXAMPLES when the update
            claims more than the list allows.
    """
    now_ms = context.block.time_ms
    former = [former.clients for former in campaign.former_lists if former.until_ms > now_ms]
    if not all(clients.root for clients in (campaign.clients, *former)):
        return
    if any(_is_listed(admission, update, clients) for clients in former):
        return
    check_admission(admission, update, campaign.clients, "admission")


def check_admission(
    admission: Admission,
    update: Update,
    clients: ClientList,
    field: str,
    update_field: str = "update",
) -> None:
    """Check that a campaign's list holds one client.

    Args:
        admission: The client's leaf in the list and the path from it to the root.
        update: The client's update.
        clients: Root and number of leaves of the campaign's list.
        field: The field of the transaction that holds the proof, for the refusal.
        update_field: The field of the transaction that holds the update, for the refusal.

    Raises:
        RefusalError: CLIENT_NOT_LISTED when the proof fails; TOO_MANY_EXAMPLES when the update
            claims more than the list allows.
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


def _is_listed(admission: Admission, update: Update, clients: ClientList) -> bool:
    try:
        check_admission(admission, update, clients, "admission")
    except RefusalError:
        return False
    return True
