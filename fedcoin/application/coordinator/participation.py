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


def sum_harm(history: Iterable[RoundRecord]) -> dict[bytes, int]:
    """Add up how far below zero each client's values were.

    In a round whose model is not adopted it counts for at most what others gained: no more was paid
    for undoing harm. So such a round that is worse for everybody counts against nobody. Where the
    model is adopted, as after each settled round under `PROPORTIONAL`, all harm counts: later
    rounds begin with it. A client's own values above zero do not make up for its harm: they were
    paid.

    Args:
        history: The rounds that are over.

    Returns:
        The sum of each client that did harm, in nano-utility, above 0, by address.
    """
    harm: dict[bytes, int] = {}
    for record in history:
        gained = sum(max(0, client.shapley_nano) for client in record.clients)
        for client in record.clients:
            sunk = -client.shapley_nano
            counted = sunk if record.adopted else min(sunk, gained)
            if counted > 0:
                harm[client.address] = harm.get(client.address, 0) + counted
    return harm


def check_harmless(harm: int, max_harm_nano: int) -> None:
    """Check that a client's updates have not done much harm.

    Args:
        harm: The harm of the client in all rounds, in nano-utility, at least 0 (`sum_harm`).
        max_harm_nano: The largest harm, in nano-utility (`chain_messages.compute_max_harm`).

    Raises:
        RefusalError: LEFT_OUT when the harm is larger than `max_harm_nano`.
    """
    if harm > max_harm_nano:
        raise RefusalError(
            ApplicationCode.LEFT_OUT,
            f"this client's values below zero count as {-harm / 1e9:g}; the campaign leaves out"
            f" clients below {-max_harm_nano / 1e9:g}",
            field="address",
            limit=str(-max_harm_nano),
        )
