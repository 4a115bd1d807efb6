"""Node keys that the operator refuses, such as stolen ones; the list can change at any time."""

from __future__ import annotations

from collections.abc import Set

from fedcoin.data.errors import RefusalError
from fedcoin.network.errors import NetworkCode


class RefusedKeys:
    """The node keys that may not connect to this node, checked in each handshake.

    Args:
        keys: The refused node keys, Ed25519, 32 bytes each.
    """

    def __init__(self, keys: Set[bytes]) -> None:
        self.keys = frozenset(keys)
        """The refused node keys, 32 bytes each."""

    def replace(self, keys: Set[bytes]) -> None:
        """Refuse these keys instead of the present ones. The caller closes connections.

        Args:
            keys: The refused node keys, Ed25519, 32 bytes each.
        """
        self.keys = frozenset(keys)

    def check(self, key: bytes) -> None:
        """Check that a key is not refused.

        Args:
            key: A node key, 32 bytes.

        Raises:
            RefusalError: KEY_REFUSED when the operator refuses this key.
        """
        if key in self.keys:
            raise RefusalError(
                NetworkCode.KEY_REFUSED,
                f"node key {key.hex()} is refused by this node's operator",
                field="node_key",
            )
