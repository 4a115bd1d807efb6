"""The address book: addresses of peers and the results of dialling them, kept in `peers.json`."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedcoin.data.atomic_files import replace_file
from fedcoin.data.errors import RefusalError
from fedcoin.network.host_groups import range_of
from fedcoin.network.peers.connections.endpoints import Endpoint, is_loopback
from fedcoin.network.peers.connections.node_addresses import NodeAddress, parse_node_address
from fedcoin.network.peers.protection.bans import Bans, decode_bans

log = logging.getLogger(__name__)

MAX_ENTRIES = 1000
"""The largest number of addresses in the book."""
MAX_NEW_OF_RANGE = 64
"""The largest number of addresses of one range (`range_of`) of which none was reached yet; this
machine's own have no such limit."""
MAX_FILE_BYTES = 1024 * 1024
"""The largest size of the file that is read, in bytes."""
FILE_VERSION = 2
"""The version of the file's format; files of other versions are ignored."""
MAX_FAILURES = 10
"""An address that never worked is forgotten after this many failures in a row."""


@dataclass(slots=True)
class AddressEntry:
    """The record of one address."""

    last_success: float = 0.0
    """The time of the last success in Unix seconds; 0 for never."""

    failures: int = 0
    """Failures since the last success."""

    is_pinned: bool = False
    """True when the operator named the address without a key, and this key answered first."""


class AddressBook:
    """A bounded set of addresses with node keys. A new one replaces the one with most failures.

    Addresses that were never reached are what others say, and one who owns a range of addresses can
    name any number. So few of each range are kept, and ranges take turns when peers are chosen:
    first among those that were reached, then among the others.

    What peers say is not proved: two of them may name different keys for one listener, and both are
    kept until a key has been proved there.
    """

    def __init__(self) -> None:
        self._entries: dict[NodeAddress, AddressEntry] = {}
        self.changed = False
        """True when the book differs from the file."""

    def __len__(self) -> int:
        """Return the number of addresses."""
        return len(self._entries)

    def __contains__(self, address: NodeAddress) -> bool:
        return address in self._entries

    def add(self, address: NodeAddress) -> None:
        """Add an address that a peer or the operator named.

        Args:
            address: The address with a node key. It is left out when another key was proved there.
        """
        if address in self._entries or self.known_key(address.endpoint) is not None:
            return
        if self._num_new(address.endpoint.host) >= MAX_NEW_OF_RANGE:
            return
        self._insert(address)

    def _insert(self, address: NodeAddress) -> None:
        if address in self._entries:
            return
        if len(self._entries) >= MAX_ENTRIES:
            worst = min(self._entries, key=self._rank)
            if self._entries[worst].last_success and not self._entries[worst].failures:
                return
            del self._entries[worst]
        self._entries[address] = AddressEntry()
        self.changed = True

    def record_success(self, address: NodeAddress, now: float, *, pin: bool = False) -> None:
        """Record that the node of an address proved its key there.

        Args:
            address: The address with the key that was proved.
            now: The present time in Unix seconds.
            pin: Never replace the address by another one when the book is full.
        """
        is_pinned = pin or (address in self._entries and self._entries[address].is_pinned)
        for other in [end for end in self._entries if end.endpoint == address.endpoint]:
            if other != address:
                del self._entries[other]
        self._insert(address)
        if address not in self._entries and not pin:
            return
        self._entries[address] = AddressEntry(last_success=now, is_pinned=is_pinned)
        self.changed = True

    def record_failure(self, address: NodeAddress) -> None:
        """Record that dialling an address failed.

        Args:
            address: The address that was dialled; one that is not in the book is ignored.
        """
        entry = self._entries.get(address)
        if entry is None:
            return
        entry.failures += 1
        self.changed = True
        if entry.failures >= MAX_FAILURES and not entry.last_success:
            del self._entries[address]

    def forget(self, endpoint: Endpoint) -> None:
        """Remove a listener's addresses, for example this node's own.

        Args:
            endpoint: Host and port of the listener.
        """
        for address in [known for known in self._entries if known.endpoint == endpoint]:
            del self._entries[address]
            self.changed = True

    def known_key(self, endpoint: Endpoint) -> bytes | None:
        """Find the node key that was proved at a listener.

        Args:
            endpoint: Host and port of the listener.

        Returns:
            The key, 32 bytes; None when none was proved there.
        """
        for address, entry in self._entries.items():
            if address.endpoint == endpoint and entry.last_success:
                return address.node_key
        return None

    def candidates(self, connected: Collection[bytes]) -> list[NodeAddress]:
        """List the addresses to dial next.

        Args:
            connected: Node keys that are not to be dialled.

        Returns:
            The addresses: those that were reached when they were dialled last, then the others. Of
            both one range after another, in each the fewest failures and the latest success first.
        """
        free = [known for known in self._entries if known.node_key not in connected]
        ranked = sorted(free, key=self._rank, reverse=True)
        entries = [(known, self._entries[known]) for known in ranked]
        reached = [known for known, entry in entries if entry.last_success and not entry.failures]
        others = [known for known, entry in entries if not entry.last_success or entry.failures]
        return _take_turns(reached) + _take_turns(others)

    def _num_new(self, host: str) -> int:
        if len(self._entries) < MAX_NEW_OF_RANGE or is_loopback(host):
            return 0
        place = range_of(host)
        return sum(
            not entry.last_success and range_of(known.endpoint.host) == place
            for known, entry in self._entries.items()
        )

    def _rank(self, address: NodeAddress) -> tuple[bool, int, float]:
        entry = self._entries[address]
        return (entry.is_pinned, -entry.failures, entry.last_success)

    def encode(self, bans: Bans, now: float) -> bytes:
        """Return the content for the book's file, and mark the book as saved.

        Args:
            bans: The bans, which the file holds too.
            now: The present time in Unix seconds.

        Returns:
            JSON in UTF-8.
        """
        self.changed = False
        peers = [
            {
                "address": str(address),
                "last_success": round(entry.last_success),
                "failures": entry.failures,
                "pinned": entry.is_pinned,
            }
            for address, entry in self._entries.items()
        ]
        document = {"version": FILE_VERSION, "peers": peers, "bans": bans.encode(now)}
        return (json.dumps(document, indent=1) + "\n").encode()


def _take_turns(ranked: Sequence[NodeAddress]) -> list[NodeAddress]:
    """Let the ranges take turns: the first address of each, then the second, and so on."""
    seen: Counter[str] = Counter()
    turns: list[tuple[int, NodeAddress]] = []
    for address in ranked:
        place = range_of(address.endpoint.host)
        turns.append((seen[place], address))
        seen[place] += 1
    return [address for _, address in sorted(turns, key=lambda turn: turn[0])]


def save_address_book(path: Path, content: bytes) -> None:
    """Write the file; a crash leaves the old content or the new one.

    Args:
        path: The file `peers.json`, which is created or replaced.
        content: What `AddressBook.encode` returned.

    Raises:
        OSError: The file cannot be written.
    """
    replace_file(path, content)


def load_address_book(path: Path) -> tuple[AddressBook, Bans]:
    """Read the file. A missing or damaged file gives an empty book, since the book only saves time.

    Args:
        path: The file `peers.json`.

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
    document: dict[str, Any] = json.loads(raw)
    if document["version"] != FILE_VERSION:
        raise ValueError(f"its version is {document['version']!r}, not {FILE_VERSION}")
    book = AddressBook()
    for peer in document["peers"][:MAX_ENTRIES]:
        address = parse_node_address(str(peer["address"]))
        if address.node_key is None:
            raise ValueError(f"{address} has no node key")
        book._entries[address] = AddressEntry(
            float(peer["last_success"]), int(peer["failures"]), peer["pinned"] is True
        )
    return book, decode_bans(document["bans"])
