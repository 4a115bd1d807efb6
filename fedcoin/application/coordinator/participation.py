"""Which clients a campaign takes updates of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedcoin.application.coordinator.round_record import RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient
from fedcoin.incentive.training_reward import UNIT_NANO
from fedcoin.learning.evaluation.lone_updates import LoneUpdate

MIN_REFUSED_HARM = 0.2
"""The smallest harm for which an update is refused, as a part of the largest utility. By chance, an
honest update may cost half of a base model that is worth little or is measured on few examples."""


def find_max_examples(listed: Sequence[ListedClient], address: bytes) -> int | None:
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


@dataclass(slots=True)
class HarmBalance:
    """What each client's values below zero cost, less its part in what the model gained.

    A client's harm in a round is how far its value was below zero; in a round whose model is not
    adopted it counts for at most what others gained, since no more was paid for undoing it. So a
    rejected round in which no client gained counts against none. Where the model is adopted, as
    after each settled round under `PROPORTIONAL`, all harm counts: later rounds begin with it.

    Harm is made up for by real gains only: by how far a round took the model above the best one so
    far, of which each client has a part by its value above zero. So an honest client, whose values
    near the end are above zero as often as below, is not left out for what adds up over many
    rounds; two accomplices that undo each other's harm gain nothing real by it.
    """

    nano: dict[bytes, int] = field(default_factory=dict)
    """Each client's harm less its part of real gains, in nano-utility, by address; below 0 for a
    client that gained more."""
    best_nano: int | None = None
    """The utility of the best model that was adopted, in nano-utility; None before a round."""

    def add(self, record: RoundRecord) -> None:
        """Count a round that is over. One that was not settled changes nothing.

        Args:
            record: The outcome of the round after those that were counted.
        """
        if not record.settled:
            return
        gained = sum(max(0, client.shapley_nano) for client in record.clients)
        real = self._count_real_gain(record)
        for client in record.clients:
            sunk = -client.shapley_nano
            counted = sunk if record.adopted else min(sunk, gained)
            if sunk < 0:
                counted = -(-sunk * real // gained)
            if counted:
                self.nano[client.address] = self.nano.get(client.address, 0) + counted

    def _count_real_gain(self, record: RoundRecord) -> int:
        """Return how far a round took the model above the best one so far, in nano-utility."""
        gain = sum(client.shapley_nano for client in record.clients)
        utility = round(record.fraction * UNIT_NANO)
        best = utility - gain if self.best_nano is None else self.best_nano
        self.best_nano = max(best, utility) if record.adopted else best
        return max(0, min(gain, utility - best)) if record.adopted else 0


def check_harmless(harm: int, max_harm_nano: int) -> None:
    """Check that a client's updates have not done much harm.

    Args:
        harm: The harm of the client in all rounds less what it made up for, in nano-utility
            (`HarmBalance.nano`).
        max_harm_nano: The largest harm, in nano-utility (`chain_messages.compute_max_harm`).

    Raises:
        RefusalError: LEFT_OUT when the harm is larger than `max_harm_nano`.
    """
    if harm > max_harm_nano:
        raise RefusalError(
            ApplicationCode.LEFT_OUT,
            f"this client's values below zero, less its part in what the model gained, count as"
            f" {-harm / 1e9:g}; the campaign leaves out clients below {-max_harm_nano / 1e9:g}",
            field="address",
            limit=str(-max_harm_nano),
        )


def check_lone_update(update: LoneUpdate, largest: int, max_harm: float) -> None:
    """Check that an update alone does not ruin the model.

    Args:
        update: The utilities of the update and of the round's base model.
        largest: The largest utility of the measure, on the whole evaluation set.
        max_harm: The largest part of the base model's utility that the update may cost, 0 to 1; 1
            lets every update pass.

    Raises:
        RefusalError: HARMFUL_UPDATE when it costs more than that, and more than `MIN_REFUSED_HARM`
            of the largest utility.
    """
    harm = update.base - update.alone
    if max_harm >= 1 or harm <= max(max_harm * update.base, MIN_REFUSED_HARM * largest):
        return
    raise RefusalError(
        ApplicationCode.HARMFUL_UPDATE,
        f"the model of this update alone is {100 * harm / update.base:.0f} % worse than the round's"
        f" base model, and the campaign takes none that is over {100 * max_harm:g} % worse: look at"
        " your data's labels and scale, or hand in a smaller change (fewer epochs, a lower learning"
        " rate)",
        field="update.update",
        limit=f"{max_harm:g}",
    )
