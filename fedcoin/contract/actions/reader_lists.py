"""Who may fetch the artifacts of a private campaign: the list of readers, and its changes."""

from __future__ import annotations

from typing import Final

from fedcoin.contract.errors import LedgerCode
from fedcoin.contract.state import records
from fedcoin.contract.state.execution_context import ExecutionContext
from fedcoin.data.crypto.addresses import ADDRESS_BYTES
from fedcoin.data.crypto.hashing import HASH_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.data.field_checks import check_length
from fedcoin.data.messages.transactions import Transaction
from fedcoin.v1.task_pb2 import ClientList, OpenCampaign, ReaderList

MAX_READERS: Final = 64
"""The largest number of readers that a campaign names."""


def check_terms_of_readers(terms: OpenCampaign) -> None:
    """Check the readers of a campaign's terms, if it is private.

    Args:
        terms: The campaign's terms.

    Raises:
        RefusalError: BAD_READERS as in `check_readers` and `check_private_list`.
    """
    if not terms.HasField("readers"):
        return
    check_readers(terms.readers)
    check_private_list(terms.clients)


def check_private_list(clients: ClientList) -> None:
    """Check that a private campaign has a list of clients.

    Args:
        clients: The list of its clients.

    Raises:
        RefusalError: BAD_READERS when it lets anybody take part: anybody could join as a client
            and be sent the model.
    """
    if not clients.root:
        raise RefusalError(
            LedgerCode.BAD_READERS,
            "a private campaign needs a list of clients: else anybody may join as a client, and is"
            " sent the model and the base weights",
            field="clients",
        )


def check_readers(readers: ReaderList) -> None:
    """Check the form of a list of readers.

    Args:
        readers: The list; it may be empty.

    Raises:
        RefusalError: BAD_READERS when there are more than `MAX_READERS`, an address does not have
            20 bytes, or they are not in strictly ascending order.
    """
    addresses = readers.addresses
    if len(addresses) > MAX_READERS:
        raise RefusalError(
            LedgerCode.BAD_READERS,
            f"there are {len(addresses)} readers; at most {MAX_READERS} are allowed",
            field="readers.addresses",
            limit=str(MAX_READERS),
        )
    for index, address in enumerate(addresses):
        field = f"readers.addresses[{index}]"
        check_length(address, ADDRESS_BYTES, field, code=LedgerCode.BAD_READERS)
        if index and address <= addresses[index - 1]:
            raise RefusalError(
                LedgerCode.BAD_READERS,
                f"{field} is not above the one before: sort the addresses, each once",
                field=field,
            )


def set_readers(context: ExecutionContext, transaction: Transaction) -> None:
    """Replace the readers of a private campaign, also after it is over.

    Args:
        context: The execution of the block.
        transaction: The decoded transaction; its body holds the action.

    Raises:
        RefusalError: BAD_READERS as in `check_readers`; UNKNOWN_CAMPAIGN when there is no campaign
            of this id; NOT_THE_REQUESTER when another key opened it; NOT_PRIVATE when it was
            opened without readers: what everybody could fetch cannot be taken back.
    """
    action = transaction.body.set_readers
    check_readers(action.readers)
    campaign = records.CAMPAIGNS.get(context.state, action.campaign_id)
    if campaign is None:
        raise RefusalError(
            LedgerCode.UNKNOWN_CAMPAIGN,
            f"there is no campaign {action.campaign_id[:HASH_BYTES].hex()}",
            field="campaign_id",
        )
    if campaign.requester != transaction.sender:
        raise RefusalError(
            LedgerCode.NOT_THE_REQUESTER,
            "only the requester that opened the campaign may replace its readers",
            field="campaign_id",
        )
    if not campaign.HasField("readers"):
        raise RefusalError(
            LedgerCode.NOT_PRIVATE,
            "the campaign was opened for everybody to read, so that it has no readers to replace",
            field="campaign_id",
        )
    campaign.readers.CopyFrom(action.readers)
    records.CAMPAIGNS.put(context.state, action.campaign_id, record=campaign)
