"""Addresses of listeners, as host and port."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode

MAX_CHARACTERS = 255
"""The largest number of characters of `host:port`."""

# Names and IPv4 addresses. Text that gRPC would read as another scheme ("unix:/path") does not
# match: an address from a stranger must never open anything but a TCP connection.
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """The address of a listener."""

    host: str
    """A host name or an IP address, IPv6 without brackets."""

    port: int
    """1 to 65,535; 0 lets a listener choose a free port."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """True when connections to it stay on this machine."""
        return is_loopback(self.host)

    @property
    def wildcard(self) -> bool:
        """True for 0.0.0.0 and ::, which a listener may use but no node can dial."""
        try:
            return ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            return False

    def seen_from(self, observed_host: str) -> Endpoint:
        """Replace a wildcard host by a host that can be dialled.

        Args:
            observed_host: The host that a connection came from; empty when unknown.

        Returns:
            An endpoint with the observed host; this one when its host is no wildcard or the
            observed host is unknown.
        """
        return Endpoint(observed_host, self.port) if self.wildcard and observed_host else self


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine's loopback interface.

    Args:
        host: A host name or an IP address.

    Returns:
        True for 127.0.0.0/8, ::1 and the name localhost.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def parse_endpoint(text: str, field: str = "address", *, any_port: bool = False) -> Endpoint:
    """Parse the address of a listener.

    Args:
        text: `host:port` or `[v6]:port`.
        field: The field's name for the error.
        any_port: Whether port 0 is accepted.

    Returns:
        The endpoint.

    Raises:
        RefusalError: BAD_HOST when the text has neither form, or the port is out of range.
    """
    if len(text) > MAX_CHARACTERS:
        raise _bad(field, f"has {len(text)} characters, more than {MAX_CHARACTERS}")
    host, colon, port_text = text.rpartition(":")
    if not colon or not port_text.isascii() or not port_text.isdigit() or len(port_text) > 5:
        raise _bad(field, f"{text!r} is not host:port, such as 127.0.0.1:7050")
    port = int(port_text)
    if not (0 if any_port else 1) <= port <= 65_535:
        raise _bad(field, f"port {port} is not between 1 and 65535")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise _bad(field, f"{host!r} is not an IPv6 address") from None
    elif not _NAME.fullmatch(host):
        raise _bad(field, f"{host!r} is neither a host name nor an IP address")
    return Endpoint(host, port)


def _bad(field: str, why: str) -> RefusalError:
    return RefusalError(NetworkCode.BAD_HOST, f"{field}: {why}", field=field)
