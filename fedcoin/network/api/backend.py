"""The interfaces through which the API uses the node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from fedcoin.data.artifacts.store import ArtifactStore
from fedcoin.network.ports.chain_port import ChainPort
from fedcoin.network.ports.peers_port import Peers
from fedcoin.network.ports.transaction_port import TransactionPort


@dataclass(frozen=True, slots=True)
class OwnVotes:
    """The votes that a node has cast as a validator since it started."""

    last_height: int = 0
    """The height of the last one; 0 when there is none."""
    last_ms: int = 0
    """When it was cast, in Unix ms; 0 when there is none."""
    is_overdue: bool = False
    """Whether the node has owed a vote for so long that its health says NOT_SERVING."""


class NodeFacts(Protocol):
    """Facts about this node that are neither the chain's nor the peers'; read for each call."""

    @property
    def node_key(self) -> bytes:
        """The Ed25519 public key that identifies this node to its peers, 32 bytes."""
        ...

    @property
    def address(self) -> bytes:
        """The address of the account whose bond and rewards are this node's, 20 bytes."""
        ...

    @property
    def mining(self) -> bool:
        """Whether it computes Shapley values."""
        ...

    @property
    def start_ms(self) -> int:
        """The time from the start of the process until it served, in ms."""
        ...

    @property
    def worker_sandbox(self) -> str:
        """The sandbox of its worker processes: `bubblewrap`, or `none: ` and the reason."""
        ...

    @property
    def max_artifact_bytes(self) -> int:
        """The largest artifact that it stores, in bytes."""
        ...

    def connected_power(self) -> int:
        """Return the voting power of the validators that this node can reach, in sap.

        A node that is a validator counts itself.
        """
        ...

    def clock_difference_ms(self) -> int | None:
        """Return how far the peers' clocks are ahead of this node's, in ms: their median.

        None while no peer has told its time.
        """
        ...

    def tls_expiry_ms(self) -> int:
        """Return when the first of the node's TLS certificates expires, in Unix ms; 0 without."""
        ...

    def own_votes(self) -> OwnVotes:
        """Return what this node knows of its own votes."""
        ...


class OperatorPort(Protocol):
    """The requests that only the operator may make."""

    def set_log_level(self, level: int) -> None:
        """Change how much the node logs.

        Args:
            level: A level of the `logging` module.
        """
        ...

    def drain(self) -> int:
        """Have the miner finish what it has committed to, and then stop the node.

        Returns:
            How many commitments and transactions are still to be finished.
        """
        ...

    def stop(self) -> None:
        """Begin to stop the node, and return at once."""
        ...


@dataclass(frozen=True, slots=True)
class ApiBackend:
    """The parts of a node that the API's servicers use."""

    chain: ChainPort
    """The chain of final blocks."""
    pool: TransactionPort
    """The mempool."""
    peers: Peers
    """The node's peers."""
    artifacts: ArtifactStore
    """The store for uploads and downloads of artifacts."""
    node: NodeFacts
    """Facts about this node."""
    operator: OperatorPort
    """The requests that only the operator may make."""
