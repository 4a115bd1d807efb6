"""The file that names the clients of a campaign, and how many examples each may claim."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from fedcoin.application.coordinator.campaign import Campaign
from fedcoin.application.errors import ApplicationCode
from fedcoin.application.wallet.delivery import Delivery
from fedcoin.contract.errors import LedgerCode
from fedcoin.data.crypto.addresses import parse_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient, build_client_list
from fedcoin.data.plurals import format_count
from fedcoin.network.client.node_client import NodeClient
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1.transaction_pb2 import SetClients

_SETTING = "coordinator.clients_file"

# Codes of refusals that end by themselves, or that other people have to end.
_WAITING_CODES = frozenset(
    {
        LedgerCode.RECEIPTS_UNSETTLED.name,
        LedgerCode.TOO_MANY_LISTS.name,
        # The requester is several people, who replace the list themselves.
        LedgerCode.NOT_THE_REQUESTER.name,
    }
)


def read_clients_file(path: str, *, field: str = _SETTING) -> tuple[ListedClient, ...]:
    """Read a list of clients: an address and a number of examples on each line.

    Empty lines and lines that begin with `#` are left out.

    Args:
        path: The file; an empty path lets anybody take part.
        field: The setting or argument that names the file, for the refusal.

    Returns:
        The clients by address; none when anybody may take part.

    Raises:
        RefusalError: BAD_CONFIG when the file cannot be read, names no client or names an address
            twice, or a line is not an address and a number from 1 to 4,294,967,295.
    """
    if not path:
        return ()
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _bad(field, path, f"it cannot be read: {error}") from error
    clients: dict[bytes, ListedClient] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        client = _read_line(field, path, number, line)
        if client.address in clients:
            raise _bad(field, path, f"line {number} names an address again")
        clients[client.address] = client
    if not clients:
        raise _bad(field, path, "it names no client")
    return tuple(sorted(clients.values()))


def _read_line(field: str, path: str, number: int, line: str) -> ListedClient:
    words = line.split()
    is_header = number == 1 and "file" in line.replace(";", ",").replace("\t", ",").split(",")
    if is_header:
        raise _bad(
            field,
            path,
            "it looks like a table of the clients' files, which `task publish` takes as --table; "
            "here each line is an address and the largest number of examples that it may claim",
        )
    if len(words) != 2:
        problem = f"it has {format_count(len(words), 'word')}"
    elif not words[1].isdecimal() or not 1 <= int(words[1]) < 2**32:
        problem = f"the number is {words[1]}, not one from 1 to {2**32 - 1}"
    else:
        try:
            return ListedClient(parse_address(words[0]), int(words[1]))
        except RefusalError as refusal:
            problem = refusal.message
    raise _bad(
        field,
        path,
        f"line {number} is not an address and the largest number of examples that it may claim: "
        f"{problem}",
    )


def _bad(field: str, path: str, problem: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_CONFIG,
        f"{field} is {path}, but {problem}",
        field=field,
    )


async def follow_clients_file(
    path: str,
    campaign: Campaign,
    node: NodeClient,
    delivery: Delivery,
    report: Callable[[str], None],
) -> bool:
    """Have the chain and a campaign follow the file that lists the clients.

    A file that cannot be read changes nothing.

    Args:
        path: The file; empty lets anybody take part.
        campaign: The open campaign, whose list is replaced.
        node: A node of the campaign's network.
        delivery: Delivers the list's hash to the chain.
        report: Takes one line of text for each change, and for a file that cannot be read.

    Returns:
        Whether the campaign has changed, so that it has to be saved.

    Raises:
        RpcError: The chain refuses the list, or the node does not know the campaign.
    """
    try:
        listed = await asyncio.to_thread(read_clients_file, path)
    except RefusalError as refusal:
        report(f"the list of clients stays as it is: {refusal}")
        return False
    view = await delivery.retry_while_away(lambda: node.get_campaign(campaign.campaign_id))
    wanted = build_client_list(listed)
    if wanted.root.hex() != view.clients_root:
        change = SetClients(campaign_id=campaign.campaign_id, clients=wanted)
        # Not saved as pending: after a restart, the roots tell whether it is final.
        try:
            await delivery.deliver(change, b"", _save_nothing)
        except RpcError as refusal:
            if refusal.code not in _WAITING_CODES:
                raise
            report(f"the list of clients stays as it is for this round: {refusal}")
            return False
        count = format_count(len(listed), "client") if listed else "anybody"
        report(f"the list of clients is replaced: {count} may take part")
    if listed == campaign.listed:
        return False
    campaign.replace_list(listed)
    return True


async def _save_nothing(raw: bytes) -> None:
    """Save no pending transaction."""
