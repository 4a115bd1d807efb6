"""The peers of a node, as the API and the operator see and change them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PeerInfo:
    """One connected peer, as the API shows it."""

    node_key: bytes
    """Ed25519 public key, 32 bytes."""

    address: str
    """The address on which it can be dialled, as key@host:port; empty when there is none."""

    outbound: bool
    """True when this node dialled it."""

    height: int
    """The last height that it reported."""

    score: int
    """The peer's points for misbehaviour: 100 lead to a ban, and they halve every minute."""

    agent: str
    """The peer's program and version."""

    clock_difference_ms: int | None = None
    """How far its clock is ahead of this node's, in ms; None before it told its time."""

    inbound: bool = False
    """True when it has dialled this node, also beside a connection that this node dialled."""


@dataclass(frozen=True, slots=True)
class SyncProgress:
    """The progress of a node that fetches the blocks which its peers have and it lacks."""

    target_height: int
    """The height up to which it fetches: the median of the heights of the peers that are ahead."""

    blocks_per_second: float
    """How many blocks a second it appended recently; 0 when that is not known yet."""

    seconds_left: float | None
    """The time that the remaining blocks take at this rate; None when the rate is not known."""


class Peers(Protocol):
    """The peers of this node, for the API and the operator."""

    def sync_progress(self) -> SyncProgress | None:
        """Return the progress of fetching blocks from peers; None while none are fetched."""
        ...

    @property
    def address(self) -> str:
        """The address that peers dial, as key@host:port."""
        ...

    def peers(self) -> Sequence[PeerInfo]:
        """List the connected peers, sorted by address."""
        ...

    async def add(self, address: str) -> bytes:
        """Dial a peer and keep its address in the address book.

        Args:
            address: The address as key@host:port, or as host:port to accept the key that answers.

        Returns:
            The peer's node key, 32 bytes.

        Raises:
            RefusalError: BAD_HOST when the address is malformed; PEER_UNREACHABLE when nothing
                answers; another code of `open_link` when the handshake failed.
        """
        ...

    async def drop(self, node_key: bytes) -> None:
        """Disconnect a peer. It may connect again, and a seed is dialled again.

        Args:
            node_key: The peer's node key, 32 bytes.

        Raises:
            RefusalError: PEER_NOT_CONNECTED when there is no such peer.
        """
        ...

    async def ban(self, node_key: bytes, seconds: float) -> None:
        """Ban a node key, and disconnect its peer.

        Args:
            node_key: The node key, 32 bytes.
            seconds: The length of the ban, in seconds; 0 means an hour.
        """
        ...

    async def ban_host(self, host: str, seconds: float) -> None:
        """Ban a host, and disconnect the peers that dialled this node from it.

        Args:
            host: The IP address. With an IPv6 address, its /64 network is banned.
            seconds: The length of the ban, in seconds; 0 means an hour.

        Raises:
            RefusalError: BAD_HOST when it is not an IP address.
        """
        ...
