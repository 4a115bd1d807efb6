"""What the API needs from the node beyond the network's own ports."""

from __future__ import annotations

from typing import Protocol


class NodeFacts(Protocol):
    """What a node knows of itself; read anew for each call."""

    @property
    def node_key(self) -> bytes:
        """Its identity among peers: Ed25519 public key, 32 bytes."""
        ...

    @property
    def address(self) -> bytes:
        """Whose bond and payments are this node's, 20 bytes."""
        ...

    @property
    def mining(self) -> bool:
        """True if it computes Shapley values."""
        ...

    def connected_power(self) -> int:
        """Return the voting power of the validators that this node can reach, in sap.

        A node that is a validator counts itself.
        """
        ...

    @property
    def start_ms(self) -> int:
        """From the process' start until it served, in ms."""
        ...


class OperatorPort(Protocol):
    """What only the operator may ask for."""

    def set_log_level(self, level: int) -> None:
        """Log this much from now on; a level of the logging module."""
        ...

    def stop(self) -> None:
        """Begin to stop the node, and return at once."""
        ...
