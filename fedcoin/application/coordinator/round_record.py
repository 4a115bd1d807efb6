"""The outcome of a campaign's round."""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.data.messages.amounts import format_amount
from fedcoin.learning.measures.terms import NAMES, largest_utility


@dataclass(frozen=True, slots=True)
class ClientOutcome:
    """One client's Shapley value and payout in a round."""

    address: bytes
    """The client's address, 20 bytes."""
    num_samples: int
    """The number of examples that the client trained on."""
    shapley_nano: int
    """Shapley value in nano-utility (1e-9 of the utility's unit)."""
    payout: int
    """The client's payment in sap."""
    name: str = ""
    """What the client calls itself; empty when it gave no name."""


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """The results of a round that is over, kept in the campaign's history."""

    round: int
    """The round's number, from 1."""
    task_id: bytes
    """The round's Shapley task, 32 bytes."""
    settled: bool
    """False when the task failed and no client was paid."""
    adopted: bool
    """Whether the next round starts from this round's aggregated model, and not from its base."""
    utility: int
    """Utility of the aggregated model on the round's evaluation shard: with the accuracy, its right
    answers."""
    evaluation_size: int
    """Number of examples in that shard."""
    clients: tuple[ClientOutcome, ...]
    """What each client that took part was worth and was paid."""
    announced: tuple[bytes, ...] = ()
    """The addresses of the clients that announced an update, in that order."""
    measure: str = "accuracy"
    """The name of what `utility` measures, one of `learning.measures.terms.NAMES`."""

    @property
    def fraction(self) -> float:
        """The utility as a part of its largest value, 0 to 1."""
        return self.utility / largest_utility(NAMES[self.measure], self.evaluation_size)


def summarise(record: RoundRecord) -> str:
    """Say in one line how a round ended.

    Args:
        record: The outcome of the round.

    Returns:
        The line, for the log.
    """
    if not record.settled:
        return f"round {record.round}: the task failed; no client is paid, and the base stays"
    paid = sum(client.payout for client in record.clients)
    kept = "" if record.adopted else "; it gained nothing, and the base stays"
    return f"round {record.round}: settled; the clients are paid {format_amount(paid)}{kept}"
