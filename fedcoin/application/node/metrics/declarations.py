"""All metrics of a node: name, kind, meaning, and where the value comes from.

Names and units follow Prometheus' rules: base units (seconds, bytes), `_total` for counters, and
`fedcoin_` in front. Amounts are in sap, the network's smallest unit. `docs/OPERATIONS.md` has the
table that `make metrics-table` writes from here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from fedcoin import __version__
from fedcoin.application.node.chain import Chain, NewBlock
from fedcoin.application.node.node_facts import Facts
from fedcoin.application.node.transaction_intake import TransactionIntake
from fedcoin.consensus.validators import Validator
from fedcoin.contract.tasks import lifecycle
from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.data.messages.transactions import Transaction
from fedcoin.learning.workers.pool import WorkerPool
from fedcoin.network.peers.peer_network import PeerNetwork
from fedcoin.v1 import block_pb2

PREFIX: Final = "fedcoin_"
"""What the names of all metrics of this program begin with; `process_` ones are standard."""

Labelled = Mapping[str, float]
"""A value for each value of the metric's label."""


class EventCounts:
    """Counts events since the node started."""

    def __init__(self) -> None:
        self.blocks = 0
        """Blocks that became final."""
        self.transactions = 0
        """Transactions in these blocks."""
        self.settled_tasks = 0
        """Tasks that these blocks settled and paid."""
        self.admitted = 0
        """Transactions that came into the mempool."""

    def note_block(self, new: NewBlock) -> None:
        """Count a block that is final.

        Args:
            new: The block and its execution.
        """
        self.blocks += 1
        self.transactions += len(new.block.transactions)
        self.settled_tasks += new.execution.settlement is not None

    def note_admitted(self, transaction: Transaction) -> None:
        """Count a transaction that came into the mempool.

        Args:
            transaction: A decoded and verified transaction, which waits now.
        """
        self.admitted += 1


@dataclass(frozen=True, slots=True)
class ObservedNode:
    """The parts of a node that its metrics read, on the node's event loop."""

    chain: Chain
    """The chain of final blocks."""
    pool: TransactionIntake
    """The mempool."""
    network: PeerNetwork
    """The peers."""
    artifacts: ArtifactStore
    """The artifacts on disk."""
    workers: WorkerPool
    """The worker processes."""
    facts: Facts
    """What the node knows about itself."""
    database: Path
    """The file of the chain's database, whose disk is looked at."""
    events: EventCounts
    """The events that were counted."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric."""

    name: str
    """The name in Prometheus; that of a counter ends in `_total`."""
    kind: Literal["gauge", "counter"]
    """A gauge goes up and down; a counter only up, and starts at 0 with the process."""
    help: str
    """One sentence on what it measures, with the unit where the name has none."""
    read: Callable[[ObservedNode], float | Labelled | None]
    """Reads the value; None when there is none now. With a label, a value for each label value."""
    label: str = ""
    """The name of its label; empty for none."""


def _own_validator(node: ObservedNode) -> Validator | None:
    return node.chain.ledger.validators().by_address(node.facts.address)


def _read_power(node: ObservedNode) -> Labelled:
    return {
        "total": node.chain.ledger.validators().total_power,
        "connected": node.facts.connected_power(),
    }


def _read_peers(node: ObservedNode) -> Labelled:
    counts = Counter("out" if peer.outbound else "in" for peer in node.network.peers())
    return {direction: counts[direction] for direction in ("in", "out")}


def _read_open_tasks(node: ObservedNode) -> Labelled:
    names = block_pb2.TaskPhase
    counts = Counter(task.phase for _, task in lifecycle.open_tasks(node.chain.ledger.reader))
    return {
        names.Name(phase).removeprefix("TASK_PHASE_").lower(): count
        for phase, count in counts.items()
    }


def _read_bond(node: ObservedNode) -> float:
    own = _own_validator(node)
    return 0 if own is None else own.power


def _read_clock(node: ObservedNode) -> float | None:
    ahead_ms = node.facts.clock_difference_ms()
    return None if ahead_ms is None else ahead_ms / 1000


def _read_vote_time(node: ObservedNode) -> float | None:
    votes = node.facts.own_votes()
    return votes.last_ms / 1000 if votes.last_ms else None


def _read_tls_expiry(node: ObservedNode) -> float | None:
    expiry_ms = node.facts.tls_expiry_ms()
    return expiry_ms / 1000 if expiry_ms else None


def _read_free_disk(node: ObservedNode) -> float:
    found = os.statvfs(node.database.parent)
    return found.f_bavail * found.f_frsize


def _read_database_bytes(node: ObservedNode) -> float:
    files = (node.database, node.database.with_name(f"{node.database.name}-wal"))
    return sum(path.stat().st_size for path in files if path.exists())


RESPONDING: Final = Metric(
    "fedcoin_responding",
    "gauge",
    "1; it is 0 when the node did not answer for five seconds, and then the others are missing.",
    lambda node: 1,
)
"""Whether the node's event loop answers."""

METRICS: Final = (
    RESPONDING,
    Metric(
        "fedcoin_build_info",
        "gauge",
        "Always 1; its label is the version of the program.",
        lambda node: {__version__: 1},
        "version",
    ),
    # The chain.
    Metric(
        "fedcoin_chain_height",
        "gauge",
        "Height of the last final block.",
        lambda node: node.chain.height(),
    ),
    Metric(
        "fedcoin_chain_block_time_seconds",
        "gauge",
        "Time of the last final block, in Unix seconds.",
        lambda node: node.chain.time_ms() / 1000,
    ),
    Metric(
        "fedcoin_chain_blocks_total",
        "counter",
        "Blocks that became final here.",
        lambda node: node.events.blocks,
    ),
    Metric(
        "fedcoin_chain_transactions_total",
        "counter",
        "Transactions in the blocks that became final here.",
        lambda node: node.events.transactions,
    ),
    Metric(
        "fedcoin_chain_settled_tasks_total",
        "counter",
        "Tasks that these blocks settled and paid.",
        lambda node: node.events.settled_tasks,
    ),
    Metric(
        "fedcoin_chain_open_tasks",
        "gauge",
        "Open tasks, by phase.",
        _read_open_tasks,
        "phase",
    ),
    Metric(
        "fedcoin_chain_catching_up",
        "gauge",
        "1 while the node fetches blocks that its peers have and it lacks, else 0.",
        lambda node: node.chain.catching_up,
    ),
    Metric(
        "fedcoin_chain_burned_sap",
        "gauge",
        "All coins that were burned, in sap.",
        lambda node: node.chain.ledger.totals().burned,
    ),
    # Voting.
    Metric(
        "fedcoin_consensus_validator",
        "gauge",
        "1 when the node's address is a validator of the next height, else 0.",
        lambda node: _own_validator(node) is not None,
    ),
    Metric(
        "fedcoin_consensus_voting_power_sap",
        "gauge",
        "Voting power of all validators (total) and of those that the node can reach "
        "(connected), in sap.",
        _read_power,
        "validators",
    ),
    Metric(
        "fedcoin_consensus_last_vote_height",
        "gauge",
        "Height of the last vote that the node cast since it started; 0 before.",
        lambda node: node.facts.own_votes().last_height,
    ),
    Metric(
        "fedcoin_consensus_last_vote_time_seconds",
        "gauge",
        "When it cast that vote, in Unix seconds; missing before.",
        _read_vote_time,
    ),
    Metric(
        "fedcoin_consensus_vote_overdue",
        "gauge",
        "1 while the node owes a vote for so long that its health says NOT_SERVING, else 0.",
        lambda node: node.facts.own_votes().is_overdue,
    ),
    # Mempool and peers.
    Metric(
        "fedcoin_mempool_transactions",
        "gauge",
        "Transactions that wait for a block.",
        lambda node: node.pool.num_transactions,
    ),
    Metric(
        "fedcoin_mempool_bytes",
        "gauge",
        "Size of the transactions that wait for a block.",
        lambda node: node.pool.num_bytes,
    ),
    Metric(
        "fedcoin_mempool_admitted_total",
        "counter",
        "Transactions that came into the mempool.",
        lambda node: node.events.admitted,
    ),
    Metric(
        "fedcoin_peers_connected",
        "gauge",
        "Connected peers: dialled by this node (out) and by them (in).",
        _read_peers,
        "direction",
    ),
    Metric(
        "fedcoin_clock_difference_seconds",
        "gauge",
        "How far the peers' clocks are ahead of the node's (their median); missing before a peer "
        "has told its time.",
        _read_clock,
    ),
    Metric(
        "fedcoin_tls_expiry_time_seconds",
        "gauge",
        "When the first of the node's TLS certificates expires, in Unix seconds; missing without.",
        _read_tls_expiry,
    ),
    # The own account.
    Metric(
        "fedcoin_account_balance_sap",
        "gauge",
        "Balance of the node's address, in sap.",
        lambda node: node.chain.ledger.account(node.facts.address).balance,
    ),
    Metric(
        "fedcoin_account_bond_sap",
        "gauge",
        "Bond of the node's address as a validator, in sap.",
        _read_bond,
    ),
    # Mining and disk.
    Metric(
        "fedcoin_worker_deaths_total",
        "counter",
        "Worker processes that died while they had a request; each was replaced.",
        lambda node: node.workers.num_deaths,
    ),
    Metric(
        "fedcoin_worker_evaluations_total",
        "counter",
        "Coalitions that the worker processes evaluated.",
        lambda node: node.workers.num_evaluations,
    ),
    Metric(
        "fedcoin_artifacts_bytes",
        "gauge",
        "Size of the artifacts on disk.",
        lambda node: node.artifacts.used_bytes(),
    ),
    Metric(
        "fedcoin_artifacts_limit_bytes",
        "gauge",
        "The largest size of all artifacts together (limits.artifacts_total_bytes).",
        lambda node: node.artifacts.max_bytes_total,
    ),
    Metric(
        "fedcoin_database_bytes",
        "gauge",
        "Size of the chain's database with its write-ahead log.",
        _read_database_bytes,
    ),
    Metric(
        "fedcoin_disk_free_bytes",
        "gauge",
        "Free space on the disk of the node's home.",
        _read_free_disk,
    ),
    Metric(
        "fedcoin_start_seconds",
        "gauge",
        "How long the start took, until the node served.",
        lambda node: node.facts.start_ms / 1000,
    ),
)
"""All metrics, in the order in which they are shown."""


def read_metrics(node: ObservedNode) -> Iterator[tuple[Metric, Labelled]]:
    """Read all metrics. Call it on the node's event loop; it takes less than a few ms.

    Args:
        node: The parts of the node that metrics read.

    Yields:
        Each metric that has a value now, with its value for each label value; "" stands for none.
    """
    for metric in METRICS:
        value = metric.read(node)
        if value is not None:
            yield metric, value if isinstance(value, Mapping) else {"": float(value)}
