"""Hosts as units of limits and bans: one IPv4 address, or one /64 network of IPv6 addresses.

A host with one IPv6 address usually has 2^64 of them, so that a limit on single addresses would
limit nothing. Hosts of exempt networks, such as loopback or the address of a NAT behind which many
members are, share no limit and are not banned.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias
from urllib.parse import unquote

from fedcoin.data.lru import LruDict

IpNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK: Final[tuple[IpNetwork, ...]] = (
    ipaddress.ip_network("127.0.0.0/8"),
    ipaddress.ip_network("::1/128"),
)
"""The loopback networks."""

_IPV6_PREFIX: Final = 64
_IPV4_RANGE, _IPV6_RANGE = 16, 32

MAX_VALIDATOR_ADDRESSES: Final = 128
"""How many addresses of validators are hosts of their own."""

_REMEMBERED: Final = 1_024
"""How many parsed hosts are remembered, since each call of a host asks for its group."""


class ValidatorAddresses:
    """The addresses from which validators' node keys were proved last, one of each key.

    Such an address is a host of its own, so that its neighbours in an IPv6 /64 network take nothing
    of what it may use.
    """

    def __init__(self) -> None:
        """Begin without addresses."""
        self._of_keys: LruDict[bytes, str] = LruDict(MAX_VALIDATOR_ADDRESSES)
        self.addresses: frozenset[str] = frozenset()
        """The addresses, as `ipaddress` writes them."""

    def note(self, node_key: bytes, host: str) -> None:
        """Note that a validator has proved its key.

        Args:
            node_key: The validator's node key, 32 bytes.
            host: The address of the connection; what is no IPv6 address is ignored.
        """
        address = _parse(host)
        if address is not None and address.version == 6:
            self._of_keys.put(node_key, str(address))
            self.addresses = frozenset(self._of_keys.values())


@dataclass(frozen=True, slots=True)
class HostGroups:
    """Which hosts share the limits on calls and connections, and which are exempt from them."""

    exempt: tuple[IpNetwork, ...] = LOOPBACK
    """Networks whose hosts have no limit of their own and are not banned."""
    validators: ValidatorAddresses = field(default_factory=ValidatorAddresses, compare=False)
    """The addresses that are hosts of their own, also within a /64 network."""

    def group_of(self, host: str) -> str:
        """Name the group that a host shares its limits with.

        Args:
            host: An IP address, or other text.

        Returns:
            The address alone if it is a validator's, and else what the function `group_of` returns.
        """
        address = str(_parse(host)) if self.validators.addresses else ""
        return address if address in self.validators.addresses else group_of(host)

    def is_exempt(self, host: str) -> bool:
        """Tell whether a host is exempt from the limits on single hosts, and from bans.

        Args:
            host: An IP address; any other text, such as that of a Unix socket, is exempt.

        Returns:
            True for hosts of the exempt networks.
        """
        address = _parse(host)
        return address is None or any(
            address.version == network.version and address in network for network in self.exempt
        )


@lru_cache(_REMEMBERED)
def group_of(host: str) -> str:
    """Name the group that a host shares its limits with.

    Args:
        host: An IP address, or other text.

    Returns:
        The IPv4 address, the IPv6 network, or the text as it is.
    """
    address = _parse(host)
    if address is None or address.version == 4:
        return host if address is None else str(address)
    return str(ipaddress.ip_network((address, _IPV6_PREFIX), strict=False))


@lru_cache(_REMEMBERED)
def range_of(host: str) -> str:
    """Name the range of addresses that a host is in, which usually has one owner.

    Args:
        host: An IP address or a host name.

    Returns:
        The /16 network of IPv4 addresses, the /32 network of IPv6 addresses, or the last two parts
        of a name.
    """
    address = _parse(host)
    if address is None:
        return ".".join(host.lower().split(".")[-2:])
    prefix = _IPV4_RANGE if address.version == 4 else _IPV6_RANGE
    return str(ipaddress.ip_network((address, prefix), strict=False))


def observed_host(transport: str) -> str:
    """Find the host of a connection.

    Args:
        transport: gRPC's name of the connection, such as `ipv4:1.2.3.4:567`.

    Returns:
        The IP address; empty for a Unix socket.
    """
    scheme, _, rest = unquote(transport).partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return ""
    host = rest.rpartition(":")[0]
    return host.strip("[]")


def is_on_loopback(target: str) -> bool:
    """Tell whether what is sent to an address stays on this machine.

    Args:
        target: `host:port`, `[v6]:port` or `unix:/path`.

    Returns:
        True for Unix sockets, 127.0.0.0/8, ::1 and the name localhost.
    """
    if target.startswith("unix:"):
        return True
    host = target.rpartition(":")[0].strip("[]")
    address = _parse(host)
    return host == "localhost" if address is None else address.is_loopback


@lru_cache(_REMEMBERED)
def _parse(host: str) -> IpAddress | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
