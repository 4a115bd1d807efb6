"""The state of a campaign as its coordinator knows it: clients, present round, updates, history.

A pure state machine: no clock, no disk, no network. A method either changes the state as it says,
or raises a RefusalError and changes nothing. The rounds of a campaign go

    WAITING -> TRAINING -> SETTLING -> (the next round's) WAITING -> ... -> FINISHED

and from TRAINING back to WAITING when no client submitted an update.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from fedcoin.application.coordinator.participation import (
    HarmBalance,
    check_harmless,
    find_max_examples,
)
from fedcoin.application.coordinator.round_record import RoundRecord
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.crypto.addresses import derive_address, format_address
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.client_list import ListedClient
from fedcoin.data.messages.updates import Update
from fedcoin.data.plurals import format_count
from fedcoin.incentive.training_reward import UNIT_NANO


class CampaignPhase(str, Enum):
    """The phase of the present round, or that the campaign is over."""

    WAITING = "waiting"
    """For clients to register, before the round is announced."""
    TRAINING = "training"
    """Clients train and submit their updates."""
    SETTLING = "settling"
    """The updates are averaged and valued, and the round is paid."""
    FINISHED = "finished"
    """There are no more rounds."""


@dataclass(frozen=True, slots=True)
class EvaluationShard:
    """One shard of the evaluation set."""

    artifact: bytes
    """Artifact id, 32 bytes."""
    size: int
    """Number of examples."""


@dataclass(slots=True)
class RegisteredClient:
    """A client that joined the campaign."""

    public_key: bytes
    """The Ed25519 public key, 32 bytes."""
    missed: bool = False
    """True when the client submitted no update in the last round that was open to it, and has not
    registered again since."""


@dataclass(slots=True)
class Campaign:
    """The whole state of a campaign. Hashes and ids have 32 bytes; empty means none yet."""

    chain_id: str
    """The network's name."""
    genesis_hash: bytes
    """The genesis hash of the network, which every signature covers, 32 bytes."""
    rounds: int
    """The number of rounds."""
    max_clients: int
    """The largest number of registered clients."""
    model: bytes
    """Artifact id of the ModelSpec."""
    base: bytes
    """Artifact id of the weights from which the present round starts."""
    shards: tuple[EvaluationShard, ...]
    """The shards of the evaluation set, valued on in turn."""
    initial: bytes = b""
    """Artifact id of the weights from which the first round started."""
    frozen: bytes = b""
    """Artifact id of the model's frozen weights; empty when all are trained."""
    campaign_id: bytes = b""
    """The hash of the transaction that opened the campaign."""
    phase: CampaignPhase = CampaignPhase.WAITING
    """What the coordinator waits for in the present round."""
    round: int = 1
    """The present round, from 1."""
    deadline_ms: int = 0
    """The time until which updates of the present round are accepted, Unix ms."""
    listed: tuple[ListedClient, ...] = ()
    """The clients that may take part, by address; none lets anybody take part."""
    max_harm_nano: int = UNIT_NANO
    """A client whose harm (`HarmBalance`) is more is left out of later rounds, in nano-utility.
    From the settings; the campaign's file does not hold it."""
    harm: HarmBalance = field(default_factory=HarmBalance)
    """What each client's values below zero cost in all rounds. Follows from the history, so that
    the campaign's file does not hold it."""
    settings: dict[str, str] = field(default_factory=dict)
    """The settings that the campaign fixes, as TOML by name; none where nothing compares them."""
    other_settings: dict[str, str] = field(default_factory=dict)
    """The coordinator's other settings that were no defaults when the campaign was prepared, as
    TOML by name: a start that does not give them goes on with them."""
    clients: dict[bytes, RegisteredClient] = field(default_factory=dict)
    """The registered clients by address, 20 bytes."""
    announced: dict[bytes, Update] = field(default_factory=dict)
    """The update that each client announced last in the present round, by address, in order."""
    updates: dict[bytes, Update] = field(default_factory=dict)
    """The present round's updates by address."""
    aggregate: bytes = b""
    """Artifact id of the present round's averaged weights."""
    utility: int = 0
    """Utility of the aggregated model on the present round's shard."""
    pending: bytes = b""
    """The serialised transaction that has been signed but is not known to be final (it opens the
    campaign or a task, or closes the campaign). After a restart the same bytes are submitted."""
    history: list[RoundRecord] = field(default_factory=list)
    """The rounds that are over, in order."""

    @property
    def shard_index(self) -> int:
        """The index of the shard of the evaluation set that the present round is valued on."""
        return (self.round - 1) % len(self.shards)

    @property
    def shard(self) -> EvaluationShard:
        """The shard that the present round is valued on."""
        return self.shards[self.shard_index]

    def register(self, public_key: bytes) -> bytes:
        """Register a client. A client that is registered may do so again, even at the end.

        Args:
            public_key: The client's Ed25519 key, 32 bytes.

        Returns:
            The client's address, 20 bytes.

        Raises:
            RefusalError: NOT_LISTED when the campaign has a list without this client; LEFT_OUT
                when it did harm in an earlier round; CAMPAIGN_FINISHED when there are no more
                rounds; CAMPAIGN_FULL when `max_clients` are registered.
        """
        address = derive_address(public_key)
        self._check_may_take_part(address)
        client = self.clients.get(address)
        if client is not None:
            client.missed = False
        elif self.phase is CampaignPhase.FINISHED:
            raise RefusalError(
                ApplicationCode.CAMPAIGN_FINISHED,
                "the campaign is over; it registers no more clients",
            )
        elif len(self.clients) >= self.max_clients:
            raise RefusalError(
                ApplicationCode.CAMPAIGN_FULL,
                f"the campaign has {format_count(self.max_clients, 'client')}, which is its limit",
                limit=str(self.max_clients),
            )
        else:
            self.clients[address] = RegisteredClient(public_key)
        return address

    def replace_list(self, listed: tuple[ListedClient, ...]) -> None:
        """Replace the list of clients; no round waits for a client that is no longer on it.

        Args:
            listed: The clients that may take part, by address; none lets anybody take part.
        """
        self.listed = listed
        allowed = {client.address for client in listed}
        for address, client in self.clients.items():
            if listed and address not in allowed:
                client.missed = True

    def check_registered(self, address: bytes) -> None:
        """Check that a client has registered.

        Args:
            address: The client's address, 20 bytes.

        Raises:
            RefusalError: NOT_REGISTERED when it has not.
        """
        if address not in self.clients:
            raise RefusalError(
                ApplicationCode.NOT_REGISTERED,
                f"{format_address(address)} is not a client of this campaign; register first",
                field="address",
            )

    def begin_training(self, deadline_ms: int) -> None:
        """Open the round for updates. Updates that came before a restart are kept.

        Args:
            deadline_ms: Until when clients may submit, Unix ms.
        """
        self.phase = CampaignPhase.TRAINING
        self.deadline_ms = deadline_ms

    def announce(self, update: Update) -> int:
        """Register an update before its weights are uploaded.

        A client's later announcement of another update replaces the earlier one, and counts from
        then on.

        Args:
            update: The update, its signature checked.

        Returns:
            Its position in the order of the round's announcements, from 1.

        Raises:
            RefusalError: NOT_REGISTERED when the client has not joined; WRONG_CAMPAIGN, WRONG_ROUND
                or WRONG_BASE when the update was signed for another one; ROUND_NOT_OPEN when the
                round accepts no updates; ALREADY_SUBMITTED when the client has submitted another
                update for it.
        """
        self._check_expected(update)
        if self.announced.get(update.address) != update:
            self.announced.pop(update.address, None)
            self.announced[update.address] = update
        return list(self.announced).index(update.address) + 1

    def check_upload(self, artifact: bytes) -> None:
        """Check that weights may be uploaded now.

        Args:
            artifact: The artifact id of the weights, 32 bytes.

        Raises:
            RefusalError: NOT_ANNOUNCED when no client has announced them for the present round.
        """
        is_announced = any(update.update == artifact for update in self.announced.values())
        if self.phase is not CampaignPhase.TRAINING or not is_announced:
            raise RefusalError(
                ApplicationCode.NOT_ANNOUNCED,
                f"no client has announced the weights {artifact.hex()} for an open round; announce "
                "the signed update first",
                field="manifest.id",
            )

    def check_update(self, update: Update) -> bool:
        """Check whether an update can be accepted now.

        Args:
            update: The update, its signature checked.

        Returns:
            True for a new update; False for one that was accepted before.

        Raises:
            RefusalError: NOT_REGISTERED when the client has not joined; WRONG_CAMPAIGN, WRONG_ROUND
                or WRONG_BASE when it was signed for another one; ROUND_NOT_OPEN when the round
                accepts no updates; ALREADY_SUBMITTED when the client has submitted another update
                for this round; NOT_ANNOUNCED when it is not the one that the client announced last.
        """
        is_new = self._check_expected(update)
        if is_new and self.announced.get(update.address) != update:
            raise RefusalError(
                ApplicationCode.NOT_ANNOUNCED,
                f"this client has not announced the update {update.update.hex()}; announce it "
                "before uploading its weights",
                field="update.update",
            )
        return is_new

    def accept_update(self, update: Update) -> None:
        """Add an update to the present round, in place of the client's announcement.

        Args:
            update: An update for which `check_update` returned True.
        """
        self.updates[update.address] = update
        self.clients[update.address].missed = False

    def awaited_clients(self) -> frozenset[bytes]:
        """List the clients whose updates the round waits for.

        Returns:
            The addresses of those that have not submitted and did not miss the round before.
        """
        return frozenset(
            address
            for address, client in self.clients.items()
            if not client.missed and address not in self.updates
        )

    def end_training(self) -> tuple[Update, ...]:
        """Stop accepting updates of the present round, and go on to its settlement.

        If no client submitted an update, the campaign waits for clients again.

        Returns:
            The round's updates, sorted by address.
        """
        for address, client in self.clients.items():
            client.missed = address not in self.updates
        self.phase = CampaignPhase.SETTLING if self.updates else CampaignPhase.WAITING
        return self.sorted_updates()

    def sorted_updates(self) -> tuple[Update, ...]:
        """List the present round's updates in the order in which its task lists them.

        Returns:
            The updates, sorted by address.
        """
        return tuple(self.updates[address] for address in sorted(self.updates))

    def total_payouts(self) -> int:
        """Add up what the clients were paid in all rounds so far.

        Returns:
            The sum in sap.
        """
        return sum(client.payout for record in self.history for client in record.clients)

    def end_round(self, record: RoundRecord) -> None:
        """Add a round to the history and go on to the next one.

        Args:
            record: The outcome of the present round.
        """
        self.history.append(record)
        self.harm.add(record)
        for address, client in self.clients.items():
            # No round waits for a client that is left out.
            if self.harm.nano.get(address, 0) > self.max_harm_nano:
                client.missed = True
        if record.adopted:
            self.base = self.aggregate
        self.announced = {}
        self.updates = {}
        self.aggregate = b""
        self.utility = 0
        if record.round >= self.rounds:
            self.phase = CampaignPhase.FINISHED
        else:
            self.phase = CampaignPhase.WAITING
            self.round = record.round + 1

    def _check_may_take_part(self, address: bytes) -> int | None:
        """Return how many examples a client may claim, None for any; refuses who is left out."""
        check_harmless(self.harm.nano.get(address, 0), self.max_harm_nano)
        return find_max_examples(self.listed, address)

    def _check_expected(self, update: Update) -> bool:
        """Check all but the announcement; returns False for an update that was accepted before."""
        self.check_registered(update.address)
        most = self._check_may_take_part(update.address)
        if most is not None and update.num_samples > most:
            raise RefusalError(
                ApplicationCode.NOT_LISTED,
                f"the update claims {update.num_samples} examples; the campaign's list allows this "
                f"client {most}",
                field="update.num_samples",
                limit=str(most),
            )
        if update.campaign_id != self.campaign_id:
            raise _signed_for_another(
                ApplicationCode.WRONG_CAMPAIGN, "campaign_id", self.campaign_id.hex()
            )
        accepted = self.updates.get(update.address)
        if accepted is not None and accepted == update:
            return False
        if update.round != self.round:
            raise _signed_for_another(ApplicationCode.WRONG_ROUND, "round", str(self.round))
        if self.phase is not CampaignPhase.TRAINING:
            raise RefusalError(
                ApplicationCode.ROUND_NOT_OPEN,
                f"round {self.round} accepts no updates while it is {self.phase.value}",
                field="update.round",
            )
        if update.base != self.base:
            raise _signed_for_another(ApplicationCode.WRONG_BASE, "base", self.base.hex())
        if accepted is not None:
            raise RefusalError(
                ApplicationCode.ALREADY_SUBMITTED,
                f"this client has submitted another update for round {self.round}",
                field="update.update",
            )
        return True


def _signed_for_another(code: ApplicationCode, name: str, expected: str) -> RefusalError:
    return RefusalError(
        code,
        f"the update was signed for another {name}; the present one is {expected}",
        field=f"update.{name}",
        limit=expected,
    )
