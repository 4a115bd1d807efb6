"""Where a campaign stands, as its coordinator knows it: who joined, which round, what came in.

Pure: no clock, no disk, no network. Each method either changes the state as it says or raises a
Refusal and changes nothing. The rounds of a campaign go

    WAITING -> TRAINING -> SETTLING -> (the next round's) WAITING -> ... -> FINISHED

and back from TRAINING to WAITING when nobody handed in anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import derive_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.updates import Update
from fedcoin.data.plurals import format_count


class Phase(str, Enum):
    """Where the present round stands."""

    WAITING = "waiting"
    TRAINING = "training"
    SETTLING = "settling"
    FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class EvaluationShard:
    """One shard of the evaluation set: its artifact id and how many examples it holds."""

    artifact: bytes
    size: int


@dataclass(slots=True)
class RegisteredClient:
    """Who joined. ``missed``: it handed in nothing when it was last waited for."""

    public_key: bytes
    missed: bool = False


@dataclass(frozen=True, slots=True)
class ClientOutcome:
    """What one client got out of a round: payout in sap, value in nano-utility."""

    address: bytes
    num_samples: int
    shapley_nano: int
    payout: int


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """A round that is over. ``settled`` is False when the task failed and nobody was paid.

    ``right_answers`` are the aggregate's on the ``evaluation_size`` examples of the round's shard.
    """

    round: int
    task_id: bytes
    settled: bool
    right_answers: int
    evaluation_size: int
    clients: tuple[ClientOutcome, ...]


@dataclass(slots=True)
class Campaign:
    """The whole state; what ``model``, ``base``, ``aggregate`` name are artifacts.

    ``pending`` is the serialised transaction that is on its way to the chain (it opens the
    campaign, a task, or closes the campaign), kept so that a restart can hand in the very same.
    """

    chain_id: str
    rounds: int
    max_clients: int
    model: bytes
    base: bytes
    shards: tuple[EvaluationShard, ...]
    initial: bytes = b""
    campaign_id: bytes = b""
    phase: Phase = Phase.WAITING
    round: int = 1
    deadline_ms: int = 0
    clients: dict[bytes, RegisteredClient] = field(default_factory=dict)
    updates: dict[bytes, Update] = field(default_factory=dict)
    aggregate: bytes = b""
    right_answers: int = 0
    pending: bytes = b""
    history: list[RoundRecord] = field(default_factory=list)

    @property
    def shard_index(self) -> int:
        """Which shard the present round is valued on: each in turn."""
        return (self.round - 1) % len(self.shards)

    @property
    def shard(self) -> EvaluationShard:
        """That shard."""
        return self.shards[self.shard_index]

    def register(self, public_key: bytes) -> bytes:
        """Let a client join; its address. Twice is the same as once, at the end too.

        Raises Refusal CAMPAIGN_FINISHED, CAMPAIGN_FULL.
        """
        address = derive_address(public_key)
        known = self.clients.get(address)
        if known is not None:
            known.missed = False
        elif self.phase is Phase.FINISHED:
            raise RefusalError(
                ApplicationCode.CAMPAIGN_FINISHED, "the campaign is over; nobody can join any more"
            )
        elif len(self.clients) >= self.max_clients:
            raise RefusalError(
                ApplicationCode.CAMPAIGN_FULL,
                f"the campaign has its {format_count(self.max_clients, 'client')} already",
                limit=str(self.max_clients),
            )
        else:
            self.clients[address] = RegisteredClient(public_key)
        return address

    def check_registered(self, address: bytes) -> None:
        """Raise Refusal NOT_REGISTERED for one who did not join."""
        if address not in self.clients:
            raise RefusalError(
                ApplicationCode.NOT_REGISTERED,
                f"{address.hex()} has not joined this campaign; register first",
                field="address",
            )

    def begin_training(self, deadline_ms: int) -> None:
        """Open the round, or open it again after a restart: what came in before counts."""
        self.phase = Phase.TRAINING
        self.deadline_ms = deadline_ms

    def check_update(self, update: Update) -> bool:
        """Would this update be taken? False when the very same was taken before.

        Raises Refusal NOT_REGISTERED, WRONG_CAMPAIGN, WRONG_ROUND, ROUND_NOT_OPEN, WRONG_BASE,
        ALREADY_SUBMITTED.
        """
        self.check_registered(update.address)
        if update.campaign_id != self.campaign_id:
            raise _other(ApplicationCode.WRONG_CAMPAIGN, "campaign_id", self.campaign_id.hex())
        taken = self.updates.get(update.address)
        if taken is not None and taken == update:
            return False
        if update.round != self.round:
            raise _other(ApplicationCode.WRONG_ROUND, "round", str(self.round))
        if self.phase is not Phase.TRAINING:
            raise RefusalError(
                ApplicationCode.ROUND_NOT_OPEN,
                f"round {self.round} takes no updates now: it is {self.phase.value}",
                field="update.round",
            )
        if update.base != self.base:
            raise _other(ApplicationCode.WRONG_BASE, "base", self.base.hex())
        if taken is not None:
            raise RefusalError(
                ApplicationCode.ALREADY_SUBMITTED,
                f"this client has handed in another update for round {self.round}",
                field="update.update",
            )
        return True

    def take(self, update: Update) -> None:
        """Take an update that ``check_update`` said True to."""
        self.updates[update.address] = update
        self.clients[update.address].missed = False

    def awaited(self) -> frozenset[bytes]:
        """Who has not handed in and did not miss the round before either."""
        return frozenset(
            address
            for address, client in self.clients.items()
            if not client.missed and address not in self.updates
        )

    def end_training(self) -> tuple[Update, ...]:
        """Close the round to updates; those that came, by address. None: WAITING again."""
        for address, client in self.clients.items():
            client.missed = address not in self.updates
        self.phase = Phase.SETTLING if self.updates else Phase.WAITING
        return tuple(self.updates[address] for address in sorted(self.updates))

    def end_round(self, record: RoundRecord) -> None:
        """Write a round down and go on to the next. Unpaid work is not built upon."""
        self.history.append(record)
        if record.settled:
            self.base = self.aggregate
        self.updates = {}
        self.aggregate = b""
        self.right_answers = 0
        if record.round >= self.rounds:
            self.phase = Phase.FINISHED
        else:
            self.phase = Phase.WAITING
            self.round = record.round + 1


def _other(code: ApplicationCode, name: str, expected: str) -> RefusalError:
    return RefusalError(
        code,
        f"the update was signed for another {name} than the present one, {expected}",
        field=f"update.{name}",
        limit=expected,
    )
