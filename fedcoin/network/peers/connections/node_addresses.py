"""Addresses of nodes: a listener with the key of the node that must answer there, `key@host:port`.

The key is the node's Ed25519 public key in lower-case hex, 64 digits, as it is shown everywhere
else. Over TLS the node's certificate names it, too, as a DNS name (`tls_name`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fedcoin.data.crypto.keys import PUBLIC_KEY_BYTES
from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode
from fedcoin.network.peers.connections.endpoints import Endpoint, parse_endpoint

NODE_KEY: Final = re.compile(f"[0-9a-f]{{{2 * PUBLIC_KEY_BYTES}}}")
"""Matches a node key as text."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node is dialled, and which node must answer."""

    endpoint: Endpoint
    """The address of its peers' listener."""
    node_key: bytes | None
    """The node key that must answer, 32 bytes; None while it is not known."""

    def __str__(self) -> str:
        if self.node_key is None:
            return str(self.endpoint)
        return f"{self.node_key.hex()}@{self.endpoint}"


def tls_name(node_key: bytes) -> str:
    """Compose the DNS name that stands for a node key in certificates.

    A label of a DNS name has at most 63 characters, one less than a key has digits.

    Args:
        node_key: The node key, 32 bytes.

    Returns:
        The two halves of the key in lower-case hex, and `fedcoin`, joined by dots. No resolver
        knows the name.
    """
    digits = node_key.hex()
    return f"{digits[:PUBLIC_KEY_BYTES]}.{digits[PUBLIC_KEY_BYTES:]}.fedcoin"


def parse_node_address(text: str, field: str = "address") -> NodeAddress:
    """Parse an address with or without a node key.

    Args:
        text: `key@host:port` or `host:port`.
        field: The field's name for the error.

    Returns:
        The address.

    Raises:
        RefusalError: BAD_HOST when the text has neither form.
    """
    key, at, endpoint = text.rpartition("@")
    if not at:
        return NodeAddress(parse_endpoint(text, field), None)
    if not NODE_KEY.fullmatch(key):
        raise RefusalError(
            NetworkCode.BAD_HOST,
            f"{field}: {key[:80]!r} is not a node key, which is {2 * PUBLIC_KEY_BYTES} digits of "
            "lower-case hex; `fedcoin-node status` on that node shows its key@host:port",
            field=field,
        )
    return NodeAddress(parse_endpoint(endpoint, field), bytes.fromhex(key))
