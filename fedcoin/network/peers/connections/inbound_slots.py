"""Which peers get the places of those that dialled this node: validators first, few from one host.

Pure: it decides about lists of peers, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.host_groups import HostGroups
from fedcoin.network.peers.connections.peer import Peer


@dataclass(frozen=True, slots=True)
class InboundSlots:
    """The limits of the peers that dialled this node."""

    max_peers: int
    """The largest number of peers that dialled this node."""
    max_peers_of_host: int
    """The largest number of them from one host that is not exempt."""
    hosts: HostGroups
    """Which hosts share a limit."""
    power_of: Callable[[bytes], int]
    """Gives the voting power of a node key, in sap; 0 when it is not a validator's."""

    def choose_leaver(
        self, inbound: Sequence[Peer], node_key: bytes, host: str, now: float
    ) -> Peer | None:
        """Find the peer that must leave for a newcomer.

        Args:
            inbound: The peers that dialled this node; the newcomer is not among them.
            node_key: The newcomer's key, 32 bytes.
            host: The host that it comes from; empty when unknown.
            now: The present time in seconds on the monotonic clock.

        Returns:
            A silent peer, or one with less voting power than the newcomer; None when there is room.

        Raises:
            RefusalError: NO_ROOM when no peer is silent or has less power than the newcomer.
        """
        neighbours = self._neighbours(inbound, host)
        if len(neighbours) >= self.max_peers_of_host:
            limit, where = self.max_peers_of_host, f" of {self.hosts.group_of(host)}"
            rivals: Sequence[Peer] = neighbours
        elif len(inbound) >= self.max_peers:
            limit, where, rivals = self.max_peers, "", inbound
        else:
            return None
        silent = [peer for peer in rivals if peer.is_silent(now)]
        weakest = min(
            silent or rivals,
            key=lambda peer: (self.power_of(peer.key), peer.useful_blocks),
            default=None,
        )
        if weakest is not None and (silent or self.power_of(weakest.key) < self.power_of(node_key)):
            return weakest
        raise RefusalError(
            NetworkCode.NO_ROOM,
            f"this node has its {limit} inbound peers{where}; try another node",
            limit=str(limit),
        )

    def _neighbours(self, inbound: Sequence[Peer], host: str) -> list[Peer]:
        if self.hosts.is_exempt(host):
            return []
        group = self.hosts.group_of(host)
        return [peer for peer in inbound if self.hosts.group_of(peer.caller_host) == group]
