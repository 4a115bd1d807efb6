"""Which clients a campaign takes updates of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fedcoin.application.coordinator.round_record import RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient


def find_most_examples(listed: Sequence[ListedClient], address: bytes) -> int | None:
    """Look up how many examples a client may claim.

    Args:
        listed: The campaign's list of clients; an empty one lets anybody take part.
        address: The client's address, 20 bytes.

    Returns:
        The largest number of examples; None for any.

    Raises:
        RefusalError: NOT_LISTED when there is a list without this client.
    """
    if not listed:
        return None
    for client in listed:
        if client.address == address:
            return client.max_samples
    raise RefusalError(
        ApplicationCode.NOT_LISTED,
        f"{format_address(address)} is not on the campaign's list of clients: ask the coordinator's"
        " operator to list it",
        field="address",
    )


def check_harmless(history: Iterable[RoundRecord], address: bytes, max_harm_nano: int) -> None:
    """Check that no update of a client has done much harm.

    Args:
        history: The rounds that are over.
        address: The client's address, 20 bytes.
        max_harm_nano: How far below zero a client's value may be, in nano-utility.

    Raises:
        RefusalError: LEFT_OUT when a value of the client is lower.
    """
    for record in history:
        for client in record.clients:
            if client.address == address and client.shapley_nano < -max_harm_nano:
                raise RefusalError(
                    ApplicationCode.LEFT_OUT,
                    f"this client's value in round {record.round} was"
                    f" {client.shapley_nano / 1e9:.4f}; the campaign leaves out clients below"
                    f" {-max_harm_nano / 1e9:g}",
                    field="address",
                    limit=str(-max_harm_nano),
                )
