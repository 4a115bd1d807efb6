"""What the API's servicers learn from the node itself, and what its operator may ask of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from fedcoin.application.mining.draining import Draining
from fedcoin.application.node.watching.certificate_watch import CertificateWatch
from fedcoin.application.node.watching.validator_presence import ValidatorPresence
from fedcoin.application.node.watching.vote_watch import VoteWatch
from fedcoin.network.api.backend import OwnVotes


@dataclass(slots=True)
class Facts:
    """What the node knows about itself: `network.api.backend.NodeFacts`."""

    node_key: bytes
    """The node's public key, 32 bytes."""
    address: bytes
    """The address of the miner's key, or of the node's key when it does not mine; 20 bytes."""
    mining: bool
    """True when the node mines."""
    presence: ValidatorPresence
    """The connected validators."""
    votes: VoteWatch
    """This node's own votes."""
    read_clocks: Callable[[], int | None]
    """Returns how far the peers' clocks are ahead, in ms: the median; None when none is known."""
    certificates: CertificateWatch | None
    """The TLS certificates; None without TLS."""
    worker_sandbox: str
    """The sandbox of the worker processes: `bubblewrap`, or `none: ` and the reason."""
    max_artifact_bytes: int
    """The largest artifact that the node stores, in bytes."""
    start_ms: int = 0
    """How long the start took, in ms; 0 before it is complete."""

    def connected_power(self) -> int:
        """Implement `NodeFacts.connected_power`: add up the reachable validators' bonds, in sap."""
        return self.presence.connected_power()

    def clock_difference_ms(self) -> int | None:
        """Implement `NodeFacts.clock_difference_ms`: compare the clocks, in ms."""
        return self.read_clocks()

    def tls_expiry_ms(self) -> int:
        """Implement `NodeFacts.tls_expiry_ms`: the end of the first TLS certificate, in Unix ms."""
        watch = self.certificates
        return 0 if watch is None or watch.expiry_ms is None else watch.expiry_ms

    def own_votes(self) -> OwnVotes:
        """Implement `NodeFacts.own_votes`: describe the last vote that this node cast."""
        return self.votes.own_votes()


@dataclass(frozen=True, slots=True)
class NodeOperator:
    """Carries out the operator's requests from the API: an `OperatorPort`."""

    stopping: asyncio.Event
    """Set when the node should stop."""
    find_draining: Callable[[], Draining | None]
    """Returns the draining of the node's miner; None when the node does not mine."""

    def drain(self) -> int:
        """Implement `OperatorPort.drain`: finish what is committed; the node then stops."""
        draining = self.find_draining()
        if draining is None:
            self.stopping.set()
            return 0
        draining.ask()
        return draining.at_stake

    def set_log_level(self, level: int) -> None:
        """Implement `OperatorPort.set_log_level`: change how much the node logs."""
        logging.getLogger("fedcoin").setLevel(level)

    def stop(self) -> None:
        """Implement `OperatorPort.stop`: begin to stop the node, and return at once."""
        self.stopping.set()
