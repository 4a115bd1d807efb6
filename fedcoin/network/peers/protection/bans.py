"""Timed bans of node keys and of hosts.

A node key costs nothing, so a host whose keys are banned again and again is banned itself. A bad
reputation bans for `PeerOptions.ban_s`, the operator for `OPERATOR_BAN_S` or a time of its choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

OPERATOR_BAN_S = 3600.0
"""For how long the operator bans a peer or host when it names no time, in seconds."""

MAX_BANS = 1000
"""The number of bans of keys, and of hosts, that are kept; one more replaces the one that ends
first."""

MAX_BANNED_KEYS_OF_HOST = 3
"""A host is banned itself when this number of its node keys are banned at the same time."""


@dataclass(frozen=True, slots=True)
class Ban:
    """The ban of one node key."""

    until: float
    """The end in Unix seconds."""
    host: str = ""
    """The group of hosts that the key came from; empty when it does not count against one."""


class Bans:
    """The bans of this node. Times are Unix seconds, since bans outlive the process.

    Args:
        keys: The bans by node key, as read from disk.
        hosts: The end of each ban of a host, as read from disk.
    """

    def __init__(
        self, keys: Mapping[bytes, Ban] | None = None, hosts: Mapping[str, float] | None = None
    ) -> None:
        self._keys = dict(keys or {})
        self._hosts = dict(hosts or {})

    def add(self, node_key: bytes, now: float, seconds: float, host: str = "") -> bool:
        """Ban a key. An existing ban that lasts longer is kept.

        Args:
            node_key: The 32-byte node key.
            now: The present time in Unix seconds.
            seconds: How long the ban lasts, in seconds.
            host: The group of hosts that the key came from, which is banned with its third key;
                empty bans the key alone.

        Returns:
            True when the host is banned now.
        """
        self.expire(now)
        known = self._keys.get(node_key, Ban(0.0))
        self._keys[node_key] = Ban(max(known.until, now + seconds), host or known.host)
        if len(self._keys) > MAX_BANS:
            del self._keys[min(self._keys, key=lambda key: self._keys[key].until)]
        of_host = sum(ban.host == host for ban in self._keys.values())
        if host and of_host >= MAX_BANNED_KEYS_OF_HOST:
            self.add_host(host, now, seconds)
            return True
        return False

    def add_host(self, host: str, now: float, seconds: float) -> None:
        """Ban a host. An existing ban that lasts longer is kept.

        Args:
            host: The group of hosts.
            now: The present time in Unix seconds.
            seconds: How long the ban lasts, in seconds.
        """
        self.expire(now)
        self._hosts[host] = max(self._hosts.get(host, 0.0), now + seconds)
        if len(self._hosts) > MAX_BANS:
            del self._hosts[min(self._hosts, key=lambda known: self._hosts[known])]

    def until(self, node_key: bytes, now: float) -> float | None:
        """Find the end of a key's ban.

        Args:
            node_key: The 32-byte node key.
            now: The present time in Unix seconds.

        Returns:
            The end in Unix seconds; None when the key is not banned.
        """
        ban = self._keys.get(node_key)
        return ban.until if ban is not None and ban.until > now else None

    def host_until(self, host: str, now: float) -> float | None:
        """Find the end of a host's ban.

        Args:
            host: The group of hosts.
            now: The present time in Unix seconds.

        Returns:
            The end in Unix seconds; None when the host is not banned.
        """
        end = self._hosts.get(host)
        return end if end is not None and end > now else None

    def expire(self, now: float) -> None:
        """Forget the bans that have ended.

        Args:
            now: The present time in Unix seconds.
        """
        self._keys = {key: ban for key, ban in self._keys.items() if ban.until > now}
        self._hosts = {host: end for host, end in self._hosts.items() if end > now}

    def active(self, now: float) -> dict[bytes, float]:
        """List the bans of keys that have not ended.

        Args:
            now: The present time in Unix seconds.

        Returns:
            The end of each ban in Unix seconds, by node key.
        """
        self.expire(now)
        return {key: ban.until for key, ban in self._keys.items()}

    def encode(self, now: float) -> list[dict[str, str | int]]:
        """Encode the bans that have not ended, for the file of the address book.

        Args:
            now: The present time in Unix seconds.

        Returns:
            JSON objects with `until`, and with `node_key` in hex, `host` or both.
        """
        self.expire(now)
        keys: list[dict[str, str | int]] = [
            {"node_key": key.hex(), "host": ban.host, "until": round(ban.until)}
            for key, ban in self._keys.items()
        ]
        return keys + [{"host": host, "until": round(end)} for host, end in self._hosts.items()]


def decode_bans(records: Iterable[Mapping[str, str | float]]) -> Bans:
    """Read the bans of a file.

    Args:
        records: What `Bans.encode` returned, as read from JSON.

    Returns:
        All bans of the file, also those that have ended.

    Raises:
        ValueError: A field of a record is malformed.
        KeyError: A record lacks a field.
    """
    keys: dict[bytes, Ban] = {}
    hosts: dict[str, float] = {}
    for record in records:
        until, host = float(record["until"]), str(record["host"])
        if "node_key" in record:
            keys[bytes.fromhex(str(record["node_key"]))] = Ban(until, host)
        else:
            hosts[host] = until
    return Bans(keys, hosts)
