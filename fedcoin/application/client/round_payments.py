"""What becomes of a client's updates: paid, late, left out, or in a task that failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.messages.amounts import format_amount
from fedcoin.data.messages.updates import Update
from fedcoin.network.client.rpc_error import RpcError
from fedcoin.v1 import federated_learning_service_pb2 as pb

LATE_CODES: Final = frozenset(
    {
        ApplicationCode.ROUND_NOT_OPEN.name,
        ApplicationCode.WRONG_ROUND.name,
        ApplicationCode.WRONG_BASE.name,
        ApplicationCode.WRONG_CAMPAIGN.name,
        ApplicationCode.NOT_ANNOUNCED.name,
    }
)
"""Codes with which a coordinator refuses an update that comes too late for its round."""


MAX_HARMFUL_ROUNDS: Final = 2
"""After this many rounds in which all was refused as harmful, a client leaves: its data do not fit,
or the coordinator keeps the weights for nothing."""


class RoundStatus(str, Enum):
    """What became of a client's update of a round."""

    PAID = "paid"
    """The task valued it; the payment may be 0."""
    FAILED = "task failed"
    """The task that held it failed, so that nobody was paid."""
    LATE = "late"
    """It came after the round's deadline, and has no value."""
    LEFT_OUT = "left out"
    """The coordinator accepted it, and did not put it into the task."""


@dataclass(frozen=True, slots=True)
class RoundPayment:
    """The payment of one round to this client."""

    round: int
    """The round's number, from 1."""
    task_id: bytes
    """The hash of the transaction that opened the round's task, 32 bytes."""
    num_samples: int
    """The number of examples that the client trained on."""
    payout: int
    """The payment in sap; 0 when the update was worth nothing."""
    shapley_nano: int
    """The update's Shapley value, in billionths of the utility."""
    status: RoundStatus = RoundStatus.PAID
    """What became of the update."""


class RoundPayments:
    """Records the outcome of each round, and reports it in a sentence.

    Args:
        report: Gets the sentences.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._begun: set[int] = set()
        self._num_harmful = 0
        self._payments: dict[int, RoundPayment] = {}

    def listed(self) -> tuple[RoundPayment, ...]:
        """Return what became of the client's updates so far, in the order of the rounds."""
        return tuple(self._payments[number] for number in sorted(self._payments))

    def begin(self, number: int) -> None:
        """Remember that the client trains for a round.

        Args:
            number: The round's number, from 1.
        """
        self._begun.add(number)

    def note_refusal(self, error: RpcError, number: int, num_samples: int) -> None:
        """Note that the coordinator did not take an update.

        Args:
            error: The coordinator's refusal.
            number: The round's number, from 1.
            num_samples: The number of examples that the client trained on.

        Raises:
            RpcError: `error` again, when it is for another reason than that the update came too
                late or was submitted before, or is too harmful for the first time.
        """
        is_harmful = error.code == ApplicationCode.HARMFUL_UPDATE.name
        self._num_harmful += is_harmful
        if is_harmful and self._num_harmful >= MAX_HARMFUL_ROUNDS:
            raise error
        if is_harmful or error.code == ApplicationCode.ALREADY_SUBMITTED.name:
            self._report(f"round {number}: not accepted: {error.message}")
        elif error.code in LATE_CODES:
            self.note_late(number, num_samples, error.message)
        else:
            raise error

    def note_late(self, number: int, num_samples: int, why: str) -> None:
        """Note that an update came too late; does nothing when the round's outcome is known.

        Args:
            number: The round's number, from 1.
            num_samples: The number of examples that the client trained on; 0 when it did not end.
            why: What happened, as the end of a sentence.
        """
        if number not in self._payments:
            self._report(f"round {number}: late, so that it has no value: {why}")
            self._payments[number] = RoundPayment(number, b"", num_samples, 0, 0, RoundStatus.LATE)

    def note_end(self, change: pb.WatchRoundsResponse, update: Update | None) -> bool:
        """Note the end of a round.

        Args:
            change: What the coordinator says of the round, and of this client's part in it.
            update: The update that the client handed in; None when it handed none in, or did so
                before it was started again.

        Returns:
            Whether the outcome was not known before.
        """
        number, known = change.round, self._payments.get(change.round)
        if not change.num_samples and (update is None or known is not None):
            if number in self._begun and known is None:
                self.note_late(number, 0, "the round ended without an update of this client")
            return False
        if known is not None and known.status is not RoundStatus.LATE:
            return False
        status = RoundStatus.FAILED if change.failed else RoundStatus.PAID
        num_samples = change.num_samples
        if update is not None and not num_samples:
            status, num_samples = RoundStatus.LEFT_OUT, update.num_samples
        self._payments[number] = RoundPayment(
            number, change.task_id, num_samples, change.payout, change.shapley_nano, status
        )
        if status is not RoundStatus.PAID:
            self._report(f"round {number}: {status.value}; nothing is paid")
            return True
        self._report(
            f"round {number}: paid {format_amount(change.payout)} for a value of "
            f"{change.shapley_nano / 1e9:+.4f}"
        )
        return True
