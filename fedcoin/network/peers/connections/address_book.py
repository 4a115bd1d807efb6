"""Where peers are or may be, and who is banned: `peers.json`."""

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
"""An address that failed so often in a row, and never worked, is forgotten."""


@dataclass(slots=True)
class Entry:
    """What is known of an address."""

    node_key: bytes
    """Who answered there, or is said to; empty if unknown."""

    last_success: float = 0.0
    """Unix seconds; 0 for never."""

    failures: int = 0
    """How often dialling failed since then."""


class AddressBook:
    """Bounded: what is new takes the place of what failed most and worked longest ago."""

    def __init__(self) -> None:
        self._entries: dict[Endpoint, Entry] = {}
        self.changed = False
        """True when there is something to save."""

    def __len__(self) -> int:
        """How many addresses are known."""
        return len(self._entries)

    def __contains__(self, endpoint: Endpoint) -> bool:
        return endpoint in self._entries

    def heard_of(self, endpoint: Endpoint, node_key: bytes) -> None:
        """Somebody says that there is a peer."""
        if endpoint in self._entries:
            return
        if len(self._entries) >= MAX_ENTRIES:
            worst = min(self._entries, key=self._rank)
            if self._entries[worst].last_success and not self._entries[worst].failures:
                return
            del self._entries[worst]
        self._entries[endpoint] = Entry(node_key)
        self.changed = True

    def succeeded(self, endpoint: Endpoint, node_key: bytes, now: float) -> None:
        """A peer answered there; `now` is Unix time in seconds."""
        self.heard_of(endpoint, node_key)
        if endpoint not in self._entries:
            return
        self._entries[endpoint] = Entry(node_key, last_success=now)
        self.changed = True

    def failed(self, endpoint: Endpoint) -> None:
        """Nobody, or somebody of another network, answered there."""
        entry = self._entries.get(endpoint)
        if entry is None:
            return
        entry.failures += 1
        self.changed = True
        if entry.failures >= MAX_FAILURES and not entry.last_success:
            del self._entries[endpoint]

    def forget(self, endpoint: Endpoint) -> None:
        """Drop an address: it is our own, say."""
        self.changed |= self._entries.pop(endpoint, None) is not None

    def candidates(self, connected: Collection[bytes]) -> list[Endpoint]:
        """Whom to dial next, the most promising first, without those who are connected."""
        free = [end for end, entry in self._entries.items() if entry.node_key not in connected]
        return sorted(free, key=self._rank, reverse=True)

    def _rank(self, endpoint: Endpoint) -> tuple[int, float]:
        entry = self._entries[endpoint]
        return (-entry.failures, entry.last_success)

    def encode(self, bans: dict[bytes, float]) -> bytes:
        """The content of the file."""
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


def save(path: Path, content: bytes) -> None:
    """Write the file so that a crash leaves the old one or the new one. Raises OSError."""
    replace_file(path, content)


def load(path: Path) -> tuple[AddressBook, Bans]:
    """Read the file; without one, or with one that is damaged, begin anew.

    The book only saves time: a damaged one is a warning, not a stop.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES} bytes")
        return _decode(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return AddressBook(), Bans()
    except (OSError, ValueError, TypeError, KeyError, RecursionError, RefusalError) as error:
        log.warning("%s cannot be read, beginning a new address book: %s", path, error)
        return AddressBook(), Bans()


def _decode(document: dict[str, list[dict[str, str | int | float]]]) -> tuple[AddressBook, Bans]:
    book = AddressBook()
    for peer in document["peers"][:MAX_ENTRIES]:
        endpoint = parse_endpoint(str(peer["address"]))
        book._entries[endpoint] = Entry(
            bytes.fromhex(str(peer["node_key"])),
            float(peer["last_success"]),
            int(peer["failures"]),
        )
    bans = {bytes.fromhex(str(ban["node_key"])): float(ban["until"]) for ban in document["bans"]}
    return book, Bans(bans)
