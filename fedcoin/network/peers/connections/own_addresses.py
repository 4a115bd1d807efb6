"""The addresses at which this node answers, and for which it signs handshakes.

Without TLS, the address that a caller dialled is all that ties a handshake to a connection. If a
node signed for any address, a machine elsewhere could pass a caller's handshake on to it, and then
speak in the name of both.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import Endpoint, is_loopback


@dataclass(frozen=True, slots=True)
class OwnAddresses:
    """The addresses of one node's listener."""

    listening: Callable[[], Endpoint]
    """Gives the listener's address, with the port that it has."""
    advertised: Endpoint | None
    """The address that the operator set for peers to dial."""

    def check(self, dialled: Endpoint) -> None:
        """Refuse a handshake that was meant for another address.

        Args:
            dialled: The address that the caller says that it dialled.

        Raises:
            RefusalError: WRONG_ADDRESS when this node neither listens at it nor advertises it.
        """
        if self.advertised is not None and _are_equal(dialled, self.advertised):
            return
        if self._is_listened_on(dialled):
            return
        known = self.advertised or self.listening()
        raise RefusalError(
            NetworkCode.WRONG_ADDRESS,
            f"address: {dialled} is not an address of this node, which answers at {known}; dial "
            "that, or have its operator set peers.advertise to the address that peers dial",
            field="address",
            limit=str(known),
        )

    def _is_listened_on(self, dialled: Endpoint) -> bool:
        own = self.listening()
        if dialled.port != own.port:
            return False
        if own.wildcard:
            return dialled.host == "localhost" or _is_of_this_machine(dialled.host)
        if dialled.host == "localhost":
            return is_loopback(own.host)
        return _are_equal(dialled, own)


def _are_equal(first: Endpoint, second: Endpoint) -> bool:
    return first.port == second.port and _canonical(first.host) == _canonical(second.host)


def _canonical(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host.lower().removesuffix(".")


def _is_of_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    # The kernel binds a socket to addresses of this machine only. Nothing is sent.
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return not address.is_unspecified
