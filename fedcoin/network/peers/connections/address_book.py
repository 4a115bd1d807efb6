"""The address book: addresses of peers and the results of dialling them, kept in `peers.json`."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from fedcoin.data.atomic_files import replace_file
from fedcoin.data.errors import RefusalError
from fedcoin.network.peers.connections.endpoints import Endpoint, parse_endpoint
from fedcoin.network.peers.protection.bans import Bans

log = logging.getLogger(__name__)

MAX_ENTRIES = 1000
MAX_FILE_BYTES = 1024 * 1024
MAX_FAILURES = 10
"""An address that never worked is forgotten after this many failures in a row."""


@dataclass(slots=True)
class AddressEntry:
    """The record of one address."""

    node_key: bytes
    """The node key that answered there, or that a peer named; empty when unknown."""

    last_success: float = 0.0
    """The time of the last success in Unix seconds; 0 for never."""

    failures: int = 0
    """Failures since the last success."""


class AddressBook:
    """A bounded set of addresses. A new one replaces the one with the most failures."""

    def __init__(self) -> None:
        self._entries: dict[Endpoint, AddressEntry] = {}
        self.changed = False
        """True when the book differs from the file."""

    def __len__(self) -> int:
        """Return the number of addresses."""
        return len(self._entries)

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint in self._entries

    def add(self, endpoint: Endpoint, node_key: bytes) -> None:
        """Add an address that a peer or the operator named.

        Args:
            endpoint: The address.
            node_key: The node key that is expected there; empty when unknown.
        """
        if endpoint in self._entries:
            return
        if len(self._entries) >= MAX_ENTRIES:
            worst = min(self._entries, key=self._rank)
            if self._entries[worst].last_success and not self._entries[worst].failures:
                return
            del self._entries[worst]
        self._entries[endpoint] = AddressEntry(node_key)
        self.changed = True

    def record_success(self, endpoint: Endpoint, node_key: bytes, now: float) -> None:
        """Record that a peer answered at an address.

        Args:
            endpoint: The address.
            node_key: The node key that the peer proved.
            now: The present time in Unix seconds.
        """
        self.add(endpoint, node_key)
        if endpoint not in self._entries:
            return
        self._entries[endpoint] = AddressEntry(node_key, last_success=now)
        self.changed = True

    def record_failure(self, endpoint: Endpoint) -> None:
        """Record that dialling an address failed.

        Args:
            endpoint: The address.
        """
        entry = self._entries.get(endpoint)
        if entry is None:
            return
        entry.failures += 1
        self.changed = True
        if entry.failures >= MAX_FAILURES and not entry.last_success:
            del self._entries[endpoint]

    def forget(self, endpoint: Endpoint) -> None:
        """Remove an address, for example this node's own.

        Args:
            endpoint: The address.
        """
        self.changed |= self._entries.pop(endpoint, None) is not None

    def candidates(self, connected: Collection[bytes]) -> list[Endpoint]:
        """List the addresses to dial next.

        Args:
            connected: Node keys that are not to be dialled.

        Returns:
            The addresses, with the fewest failures and the latest success first.
        """
        free = [end for end, entry in self._entries.items() if entry.node_key not in connected]
        return sorted(free, key=self._rank, reverse=True)

    def _rank(self, endpoint: Endpoint) -> tuple[int, float]:
        entry = self._entries[endpoint]
        return (-entry.failures, entry.last_success)

    def encode(self, bans: dict[bytes, float]) -> bytes:
        """Return the content for the book's file, and mark the book as saved.

        Args:
            bans: The end of each ban in Unix seconds, by node key.

        Returns:
            JSON in UTF-8.
        """
        self.changed = False
        peers = [
            {
                "address": str(endpoint),
                "node_key": entry.node_key.hex(),
                "last_success": round(entry.last_success),
                "failures": entry.failures,
            }
            for endpoint, entry in self._entries.items()
        ]
        banned = [{"node_key": key.hex(), "until": round(end)} for key, end in bans.items()]
        document = {"version": 1, "peers": peers, "bans": banned}
        return (json.dumps(document, indent=1) + "\n").encode()


def save_address_book(path: Path, content: bytes) -> None:
    """Write the file; a crash leaves the old content or the new one.

    Args:
        path: The file.
        content: What `AddressBook.encode` returned.

    Raises:
        OSError: The file cannot be written.
    """
    replace_file(path, content)


def load_address_book(path: Path) -> tuple[AddressBook, Bans]:
    """Read the file. A missing or damaged file gives an empty book, since the book only saves time.

    Args:
        path: The file.

    Returns:
        The addresses and the bans.
    """
    try:
        return _decode(_read_limited(path))
    except FileNotFoundError:
        return AddressBook(), Bans()
    except (OSError, ValueError, TypeError, KeyError, RecursionError, RefusalError) as error:
        log.warning("%s cannot be read, starting with an empty address book: %s", path, error)
        return AddressBook(), Bans()


def _read_limited(path: Path) -> bytes:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
    return path.read_bytes()


def _decode(raw: bytes) -> tuple[AddressBook, Bans]:
    document: dict[str, list[dict[str, str | int | float]]] = json.loads(raw)
    book = AddressBook()
    for peer in document["peers"][:MAX_ENTRIES]:
        endpoint = parse_endpoint(str(peer["address"]))
        book._entries[endpoint] = AddressEntry(
            bytes.fromhex(str(peer["node_key"])),
            float(peer["last_success"]),
            int(peer["failures"]),
        )
    bans = {bytes.fromhex(str(ban["node_key"])): float(ban["until"]) for ban in document["bans"]}
    return book, Bans(bans)
