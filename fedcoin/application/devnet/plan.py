"""Decide who takes part in a devnet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fedcoin.application.configuration.home import Home
from fedcoin.application.devnet.child_processes import COMMAND_LINE
from fedcoin.application.errors import ApplicationCode
from fedcoin.data.errors import RefusalError
from fedcoin.data.messages.amounts import MAX_AMOUNT, SAP_PER_FDC, format_amount
from fedcoin.data.plurals import format_count
from fedcoin.learning.training.partition_spec import Partition
from fedcoin.learning.training.training_plan import MAX_EPOCHS

HONEST = "honest"
"""The role of a client that trains on its own data."""
MISLABELLED = "mislabelled"
"""The role of a client with wrong labels."""
FREE_RIDER = "free rider"
"""The role of a client that returns the base weights."""

MAX_CLIENTS = 128
"""The largest number of clients."""
MAX_OWN_PROCESSES = 12
"""The largest number of clients that each get a process (half a gigabyte with TensorFlow)."""

MAX_TRAINING_PROCESSES = 256
"""The largest number of training processes."""
MAX_MINERS = 32
"""The largest number of miners."""
MAX_ROUNDS = 1_000
"""The largest number of rounds."""
MAX_BUDGET = 100_000_000 * SAP_PER_FDC
"""The largest budget, in sap."""
assert MAX_BUDGET < MAX_AMOUNT


@dataclass(frozen=True, slots=True)
class DevnetOptions:
    """The options of `fedcoin-node devnet`."""

    # The number of miners.
    miners: int
    # The number of clients.
    clients: int
    # The number of training rounds.
    rounds: int
    # "digits", "mnist" or the path of an .npz file.
    dataset: str
    # The budget of all rounds together, in sap.
    budget: int
    # The seed of keys, data shares and initial weights.
    seed: int
    # Kinds of dishonest miners (`dishonest_miners.json`), and how many of each; they are the last.
    adversaries: tuple[tuple[str, int], ...] = ()
    # Passes over a client's data in each round: few by default, so that the model still learns in
    # later ones.
    epochs: int = 2
    # Test examples that utilities are counted on; 0 for all.
    evaluation_size: int = 0
    # The name of the measure, one of `learning.measures.terms.NAMES`.
    utility: str = "accuracy"
    # How many processes all clients share for training; 0: each client has a process of its own up
    # to `MAX_OWN_PROCESSES` clients, beyond that they share one for each core.
    training_processes: int = 0
    # How the data are divided among honest clients; None: `linear`, with clients of other roles.
    partition: Partition | None = None
    # Whether an explorer shows the first miner's chain while the devnet runs.
    has_explorer: bool = False
    # More settings of the coordinator, by their names in its `config.toml`.
    coordinator_settings: tuple[tuple[str, object], ...] = ()

    @property
    def has_client_host(self) -> bool:
        """Whether all clients run in one process, which trains in worker processes."""
        return self.training_processes > 0 or self.clients > MAX_OWN_PROCESSES

    @property
    def miner_kinds(self) -> tuple[str, ...]:
        """The kind of each dishonest miner, after an empty string for each honest miner."""
        dishonest = [kind for kind, count in self.adversaries for _ in range(count)]
        return (*[""] * (self.miners - len(dishonest)), *dishonest)

    def check(self) -> None:
        """Check all options together.

        Raises:
            RefusalError: BAD_ARGUMENT when a number is out of its range, or no miner is
                honest.
        """
        for name, value, low, high in (
            ("miners", self.miners, 1, MAX_MINERS),
            ("clients", self.clients, 1, MAX_CLIENTS),
            ("rounds", self.rounds, 1, MAX_ROUNDS),
            ("epochs", self.epochs, 1, MAX_EPOCHS),
            ("training-processes", self.training_processes, 0, MAX_TRAINING_PROCESSES),
        ):
            if not low <= value <= high:
                raise _out_of_range(name, str(value), str(low), str(high))
        # Each round's price is at least one sap.
        if not self.rounds <= self.budget <= MAX_BUDGET:
            bounds = (format_amount(amount) for amount in (self.rounds, MAX_BUDGET))
            raise _out_of_range("budget", format_amount(self.budget), *bounds)
        dishonest = sum(count for _, count in self.adversaries)
        if dishonest >= self.miners:
            raise RefusalError(
                ApplicationCode.BAD_ARGUMENT,
                f"--adversary asks for {format_count(dishonest, 'dishonest miner')} of "
                f"{format_count(self.miners, 'miner')}, but at least one must be honest",
                field="adversary",
                limit=str(self.miners - 1),
            )

    def check_evaluation(self, num_test_examples: int) -> None:
        """Check the evaluation set's size, which depends on the data set.

        Args:
            num_test_examples: How many test examples the data set has.

        Raises:
            RefusalError: BAD_ARGUMENT when more are asked for.
        """
        if self.evaluation_size > num_test_examples:
            size, most = str(self.evaluation_size), str(num_test_examples)
            raise _out_of_range("evaluation-size", size, "0", most)


def _out_of_range(name: str, value: str, low: str, high: str) -> RefusalError:
    return RefusalError(
        ApplicationCode.BAD_ARGUMENT,
        f"--{name} is {value}, but it must be from {low} to {high}",
        field=name,
        limit=f"{low} to {high}",
    )


@dataclass(frozen=True, slots=True)
class Program:
    """The command that starts one process of a devnet."""

    # Names the process and its log file.
    name: str
    # The command line behind the module's name.
    arguments: tuple[str, ...]
    module: str = COMMAND_LINE


@dataclass(frozen=True, slots=True)
class Member:
    """One participant of a devnet, with its own key."""

    # Its name, such as `miner-1`, and its home folder.
    name: str
    home: Home
    # 20 bytes.
    address: bytes
    # The process that runs it; several clients may share one.
    program: Program


@dataclass(frozen=True, slots=True)
class MinerMember:
    """A miner of a devnet: a node that computes values and votes."""

    # The miner's name, home, address and process.
    member: Member
    # Where its API listens, as host:port.
    api: str
    # The kind of a dishonest miner; empty for an honest one.
    adversary: str = ""


@dataclass(frozen=True, slots=True)
class ClientMember:
    """A client of a devnet, which trains on its own data."""

    # The client's name, home, address and process.
    member: Member
    # HONEST, MISLABELLED or FREE_RIDER.
    role: str
    # How many training examples it has.
    samples: int


@dataclass(frozen=True, slots=True)
class DevnetPlan:
    """A devnet whose homes are on disk, ready to be started."""

    # What the user asked for.
    options: DevnetOptions
    # The folder that holds the homes.
    root: Path
    # The network's name.
    chain_id: str
    # All coins of the genesis, in sap.
    supply: int
    miners: tuple[MinerMember, ...]
    coordinator: Member
    # Where the coordinator listens for clients, as host:port.
    server: str
    clients: tuple[ClientMember, ...]
    # The explorer's process, and where it listens, as host:port; None without one.
    explorer: Program | None = None
    explorer_listener: str = ""

    @property
    def training_programs(self) -> tuple[Program, ...]:
        """The processes of the coordinator and of the clients, each once."""
        members = (self.coordinator, *(client.member for client in self.clients))
        return tuple(dict.fromkeys(member.program for member in members))

    @property
    def roles(self) -> dict[bytes, str]:
        """The role of each client, by its address."""
        return {client.member.address: client.role for client in self.clients}

    @property
    def adversaries(self) -> dict[bytes, str]:
        """The kind of each dishonest miner, by its address."""
        return {m.member.address: m.adversary for m in self.miners if m.adversary}

    @property
    def members(self) -> tuple[Member, ...]:
        """All participants: the miners, the coordinator, then the clients."""
        nodes = tuple(miner.member for miner in self.miners)
        return (*nodes, self.coordinator, *(client.member for client in self.clients))


def assign_roles(clients: int, partition: Partition | None = None) -> list[str]:
    """Choose a role for each client.

    From two clients on, one is mislabelled; from four on, one is a free rider. Neither is the last
    client, which has the largest share of the data. Where a partition was asked for, all clients
    are honest, so that they differ in nothing but their data.

    Args:
        clients: How many clients there are.
        partition: The partition that the user asked for, if any.

    Returns:
        One of HONEST, MISLABELLED and FREE_RIDER for each client.
    """
    roles = [HONEST] * clients
    if partition is not None:
        return roles
    if clients >= 2:
        roles[(clients - 1) // 3] = MISLABELLED
    if clients >= 4:
        roles[2 * clients // 3] = FREE_RIDER
    return roles
