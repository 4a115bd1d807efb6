"""The content of a test network's file: nodes, links, load, tasks, and faults by time.

All times are seconds from the moment at which all nodes know each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from fedcoin.data.messages.amounts import SAP_PER_FDC

VALIDATOR, CANDIDATE, FOLLOWER = "validator", "candidate", "follower"
ROLES = (VALIDATOR, CANDIDATE, FOLLOWER)
"""A validator has a bond in the genesis, votes and mines; a candidate does so once it has a bond; a
follower keeps the chain."""

DEFAULT_BOND = 1_000 * SAP_PER_FDC
"""A validator's bond where the file names none, in sap."""

DEFAULT_PARAMETERS = {
    "max_block_interval_ms": 3_600_000,
    "propose_timeout_ms": 500,
    "vote_timeout_ms": 250,
    "min_bond": SAP_PER_FDC,
}
"""Network parameters where the file names none: no empty blocks, and short waits for a validator
that is down."""

STOPPING = ("kill", "pause", "restart", "disk-full")
"""Faults during which a node does not serve."""
FAULTS = (*STOPPING, "lock", "clock", "partition", "slow", "reset", "bond", "unbond")
"""The kinds of faults:

* `kill`: SIGKILL; the nodes start again after `seconds`;
* `pause`: SIGSTOP; SIGCONT after `seconds`;
* `restart`: SIGTERM and a clean end; the nodes start again after `seconds`;
* `disk-full`: no file grows any more; a node that ends starts again after `seconds`;
* `lock`: another process holds the database's write lock for `seconds`;
* `clock`: the wall clock jumps by `jump_ms`, and back after `seconds`;
* `partition`: no byte passes between `groups` for `seconds`;
* `slow`: bytes between the two nodes of `between` arrive `delay_ms` later for `seconds`;
* `reset`: all connections between peers of the nodes end at once;
* `bond`, `unbond`: the nodes change their bonds by `amount`, and so the validator set.
"""

_OF_PROCESSES = frozenset((*STOPPING, "lock", "clock", "bond", "unbond"))
"""Faults that need the node's process, or its answers."""


@dataclass(frozen=True, slots=True)
class PlannedNode:
    """One node of a test network."""

    # Its name, which names its home, its log and its key.
    name: str
    # One of ROLES.
    role: str = VALIDATOR
    # The bond in the genesis, in sap; 0 unless it is a validator.
    bond: int = DEFAULT_BOND
    # A kind of `fedcoin.testing.dishonest`; empty for an honest node.
    dishonest: str = ""

    @property
    def is_honest(self) -> bool:
        """Whether the checks hold for this node."""
        return not self.dishonest


@dataclass(frozen=True, slots=True)
class PlannedLink:
    """The connection of two nodes, where it is not as good as loopback."""

    # The names of both nodes.
    between: frozenset[str]
    # How much later each byte arrives, in each direction, in ms.
    delay_ms: int


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault, or one change of the validator set."""

    # One of FAULTS.
    kind: str
    # When it begins, in seconds.
    at: float
    # How long it lasts, in seconds; 0 for what happens at once.
    seconds: float = 0.0
    # The nodes it happens to; both ends of a slow link.
    nodes: tuple[str, ...] = ()
    # Of a partition: every node in one group.
    groups: tuple[frozenset[str], ...] = ()
    # Of a clock, in ms; may be negative.
    jump_ms: int = 0
    # Of a slow link, in ms.
    delay_ms: int = 0
    # Of a bond, in sap.
    amount: int = 0

    @property
    def end(self) -> float:
        """When it is over, in seconds."""
        return self.at + self.seconds


def collide(first: PlannedFault, second: PlannedFault) -> bool:
    """Tell whether two faults undo each other: a node that is down cannot be stopped again.

    Args:
        first: A fault.
        second: Another one of the same network.

    Returns:
        True when a network must not have both.
    """
    if first.end < second.at or second.end < first.at:
        return False
    if first.kind == second.kind == "partition":
        return True
    if first.kind == second.kind == "slow":
        return set(first.nodes) == set(second.nodes)
    both = {first.kind, second.kind}
    if not both <= _OF_PROCESSES or set(first.nodes).isdisjoint(second.nodes):
        return False
    return len(both) == 1 or not both.isdisjoint(STOPPING)


@dataclass(frozen=True, slots=True)
class PlannedTask:
    """One Shapley task, published while the network runs."""

    # When it is published, in seconds.
    at: float
    # How many clients' updates it values.
    clients: int


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One test network."""

    # The file's name without its ending.
    name: str
    nodes: tuple[PlannedNode, ...]
    # How long load and faults last, in seconds.
    seconds: float
    links: tuple[PlannedLink, ...] = ()
    # In the order of their times.
    faults: tuple[PlannedFault, ...] = ()
    tasks: tuple[PlannedTask, ...] = ()
    # Network parameters by name, beside DEFAULT_PARAMETERS.
    parameters: tuple[tuple[str, int], ...] = ()
    # How many transfers are tried in a second, all payers together.
    transfers_per_second: float = 10.0
    # How long the network may take to agree once all faults are over, in seconds.
    settle_seconds: float = 60.0
    # The largest memory of a node's main process at the end, in MiB.
    max_memory_mib: int = 512
    # Log lines with an error that contain one of these are expected.
    expected_errors: tuple[str, ...] = ()

    def node(self, name: str) -> PlannedNode:
        """Look up a node.

        Args:
            name: The name of one of `nodes`.

        Returns:
            The node.
        """
        return next(node for node in self.nodes if node.name == name)

    def delay_ms(self, first: str, second: str) -> int:
        """Look up how much later bytes between two nodes arrive.

        Args:
            first: The name of a node.
            second: The name of another node.

        Returns:
            The delay in each direction in ms; 0 where the file names no link.
        """
        pair = frozenset((first, second))
        return sum(link.delay_ms for link in self.links if link.between == pair)
